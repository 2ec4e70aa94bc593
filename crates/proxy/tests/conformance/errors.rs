//! Error responses of the proxy itself.

use std::fs;

use crate::app::{Answer, App};
use crate::client::Response;
use crate::proxy::Proxy;

fn is_html(answer: &Response) -> bool {
    answer.header("Content-Type") == Some("text/html; charset=utf-8")
}

#[test]
fn an_unreachable_target_is_502() {
    let app = App::with("app", |request| (request.target != "/up").then(|| Answer::Raw(vec![])));
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "");
    let answer = proxy.get("a.example", "/");
    assert!(answer.status == 502 && is_html(&answer), "{answer:?}");
}

#[test]
fn rubbish_from_the_target_is_502() {
    let (proxy, app) = (
        Proxy::start(),
        App::with("app", |request| {
            Some(Answer::Raw(match request.target.as_str() {
                "/up" => return None,
                "/text" => b"hello\r\n\r\n".to_vec(),
                "/cut" => b"HTTP/1.1 200 OK\r\nContent-Le".to_vec(),
                "/two-lengths" => {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec()
                }
                _ => b"HTTP/1.1 20x OK\r\n\r\n".to_vec(),
            }))
        }),
    );
    proxy.deploy("web", &app, "");
    for path in ["/text", "/cut", "/two-lengths", "/status"] {
        assert_eq!(proxy.get("a.example", path).status, 502, "{path}");
    }
}

#[test]
fn a_target_that_does_not_answer_in_time_is_504() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--target-timeout 200ms");
    let answer = proxy.get("a.example", "/hold");
    assert!(answer.status == 504 && is_html(&answer), "{answer:?}");
}

#[test]
fn the_apps_own_errors_pass_untouched() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    for status in [400, 404, 413, 500, 502, 503, 504] {
        let answer = proxy.get("a.example", &format!("/status/{status}"));
        assert_eq!((answer.status, answer.text().as_str()), (status, "app status"));
    }
}

#[test]
fn custom_pages_are_used_where_there_is_one() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    let pages = proxy.home.path().join("pages");
    fs::create_dir(&pages).unwrap();
    fs::write(pages.join("503.html"), "<b>closed{{ if .Message }}: {{ .Message }}{{ else }}.{{ end }}</b>")
        .unwrap();
    fs::write(pages.join("notes.txt"), "{{ not a template").unwrap();
    proxy.deploy("web", &app, &format!("--error-pages {} --target-timeout 1s", pages.display()));
    proxy.ok("stop web");
    let answer = proxy.get("a.example", "/");
    assert!(is_html(&answer) && answer.text() == "<b>closed.</b>", "{answer:?}");
    proxy.ok("stop web --message <soon>");
    assert_eq!(proxy.get("a.example", "/").text(), "<b>closed: &lt;soon&gt;</b>");
    proxy.ok("resume web");
    let built_in = proxy.get("a.example", "/hold");
    assert!(built_in.status == 504 && is_html(&built_in) && !built_in.text().contains("closed"));
    assert_eq!(proxy.get("a.example", "/status/503").text(), "app status");
}

#[test]
fn pages_that_cannot_be_used_fail_the_deploy() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    let pages = proxy.home.path().join("pages");
    fs::create_dir(&pages).unwrap();
    let line = format!("deploy web --target {} --error-pages {}", app.address, pages.display());
    assert_eq!(proxy.fails(&line), "unable to load error pages");
    fs::write(pages.join("404.html"), "{{ if .Message }").unwrap();
    assert_eq!(proxy.fails(&line), "unable to load error pages");
    assert_eq!(proxy.get("a.example", "/").status, 404);
}

#[test]
fn other_statuses_have_a_plain_heading() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--buffer-responses --max-response-body 1");
    let answer = proxy.get("a.example", "/");
    assert!(answer.status == 500 && is_html(&answer), "{answer:?}");
    assert_eq!(answer.text().trim(), "<h1>500 Internal Server Error</h1>");
}

#[test]
fn an_error_does_not_end_the_connection() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--host a.example");
    let mut connection = proxy.connect();
    for (host, status) in [("a.example", 200), ("b.example", 404), ("a.example", 200)] {
        connection.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(connection.answer("GET").unwrap().status, status);
    }
}

#[test]
fn head_gets_no_body() {
    let proxy = Proxy::start();
    let mut connection = proxy.connect();
    connection.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(connection.answer("HEAD").unwrap().status, 404);
    assert_eq!(connection.answer("GET").unwrap().status, 404);
}
