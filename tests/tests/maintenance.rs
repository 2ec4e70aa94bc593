//! `app maintenance` and `app live` replace the app with a page and back, without a gap.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Sandbox, Server, wait_until};

/// A full response with headers, on a new connection.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect((address, 80)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Sends requests all the time and records each new answer: `200 v1`, `503 Back at noon.`.
struct Visitor {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Visitor {
    fn comes_to(server: &Server) -> Self {
        let (over, address) = (Arc::new(AtomicBool::new(false)), server.address.clone());
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut seen: Vec<String> = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let answer = summary(&get(&address, "/version"));
                if seen.last() != Some(&answer) {
                    seen.push(answer);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        Self { over, thread }
    }

    fn leaves(self) -> Vec<String> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

/// The status, and the version or the page's message.
fn summary(answer: &str) -> String {
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if status != "503" {
        return format!("{status} {}", body.trim());
    }
    assert!(head.contains("\r\nRetry-After: "), "{head}");
    assert!(head.contains("\r\nContent-Type: text/html; charset=utf-8"), "{head}");
    let text = body.split_once("<p>").and_then(|(_, rest)| rest.split_once("</p>"));
    format!("{status} {}", text.map_or(body, |(text, _)| text))
}

#[test]
fn a_maintenance_page_takes_the_apps_place_and_every_request_gets_a_response() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "pause");
    project
        .set("labels", &format!("\n  traefik.http.routers.{}-web.rule: Host(`shop.test`)", project.service));
    project.deploy("v1").ok();

    let visitors: Vec<Visitor> = lease.iter().map(Visitor::comes_to).collect();
    let address = lease[0].address.clone();
    let slow = std::thread::spawn(move || get(&address, "/slow?ms=3000"));
    std::thread::sleep(Duration::from_millis(300));
    let begun = project.bowline(&["app", "maintenance", "-m", "Back at <noon>.", "--retry-after", "900"]);
    begun.says("the app has no open requests").ok();
    assert!(slow.is_finished(), "the command did not wait for a request that the app had");
    assert!(slow.join().unwrap().starts_with("HTTP/1.1 200 "));
    assert!(get(&lease[0].address, "/any/path").contains("\r\nRetry-After: 900\r\n"));
    project.bowline(&["app", "maintenance", "--message", "Back at one."]).ok();
    project.deploy("v2").says("web is in maintenance here").ok();
    project.bowline(&["app", "live"]).says("live").ok();
    for (server, visitor) in lease.iter().zip(visitors) {
        wait_until("the app answers", Duration::from_secs(5), || {
            summary(&get(&server.address, "/version")) == "200 v2"
        });
        let seen = visitor.leaves();
        // While one page replaces another, both may answer.
        let new = |(at, answer): &(usize, &String)| !seen[..*at].contains(answer);
        let firsts: Vec<&String> = seen.iter().enumerate().filter(new).map(|(_, answer)| answer).collect();
        assert_eq!(firsts, ["200 v1", "503 Back at &lt;noon&gt;.", "503 Back at one.", "200 v2"], "{seen:?}");
        assert_eq!(seen.iter().filter(|answer| answer.starts_with("200")).count(), 2, "{seen:?}");
    }
    project.bowline(&["app", "live"]).says("was not in maintenance").ok();
    for server in lease.iter() {
        nothing_is_left(server);
    }
}

#[test]
fn the_projects_own_page_and_an_app_that_does_not_run() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "stopped");
    project
        .set("labels", &format!("\n  traefik.http.routers.{}-web.rule: Host(`shop.test`)", project.service));
    project.bowline(&["app", "maintenance"]).says("Traefik is not running").exits(1);
    project.deploy("v1").ok();
    project.set("error_pages_path", "public");
    project.write("public/503.html", "<title>{{ broken</title><p>{{ .Message }}</p> \"é\" \u{1f6a7}");
    project.bowline(&["app", "stop"]).ok();
    project.bowline(&["app", "maintenance", "-m", "Soon."]).ok();
    let answer = get(&server.address, "/");
    assert!(answer.ends_with("<title>{{ broken</title><p>Soon.</p> \"é\" \u{1f6a7}"), "{answer}");
    project.bowline(&["app", "live"]).says("the app is not running").says("app start").exits(1);
    assert!(get(&server.address, "/").starts_with("HTTP/1.1 503 "), "the page stays");
    project.bowline(&["app", "start"]).ok();
    assert!(get(&server.address, "/").starts_with("HTTP/1.1 503 "), "the page stays");
    project.bowline(&["app", "live"]).ok();
    assert_eq!(summary(&get(&server.address, "/version")), "200 v1");

    // A killed run leaves a container like this.
    let labels = format!("--label bowline.maintenance={}/ --label bowline.role=web", project.service);
    server.ssh(&format!("docker create {labels} $(docker inspect -f '{{{{.Image}}}}' traefik)")).ok();
    project.bowline(&["app", "live"]).says("was not in maintenance").ok();
    nothing_is_left(server);
    project.bowline(&["app", "maintenance"]).ok();
    project.bowline(&["app", "remove", "-y"]).ok();
    nothing_is_left(server);
    expect::runs(&project, server, &[]);
}

fn nothing_is_left(server: &Server) {
    let left = server.ssh(
        "docker ps -aq --filter label=bowline.maintenance; docker image ls -aq --filter label=bowline.maintenance; ls -d /tmp/tmp.* 2>/dev/null; :",
    );
    assert_eq!(left.ok().trim(), "");
}
