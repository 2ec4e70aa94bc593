//! Several targets, readers, writer affinity.

use crate::app::{Answer, App};
use crate::client::Response;
use crate::proxy::Proxy;

fn writer_cookie(answer: &Response) -> Option<String> {
    answer.all("Set-Cookie").into_iter().find(|cookie| cookie.starts_with("kamal-writer=")).map(str::to_owned)
}

fn send(proxy: &Proxy, method: &str, headers: &str) -> Response {
    proxy.request(format!("{method} / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n{headers}\r\n"))
}

#[test]
fn targets_take_turns() {
    let (proxy, one, two, three) =
        (Proxy::start(), App::start("one"), App::start("two"), App::start("three"));
    proxy.ok(&format!("deploy web --target {},{} --target {}", one.address, two.address, three.address));
    for _ in 0..12 {
        assert_eq!(proxy.get("a.example", "/").status, 200);
    }
    let seen = [&one, &two, &three].map(|app| app.seen().len());
    assert_eq!(seen, [4, 4, 4]);
}

#[test]
fn reads_go_to_readers_and_writes_to_writers() {
    let (proxy, writer, reader) = (Proxy::start(), App::start("writer"), App::start("reader"));
    proxy.ok(&format!("deploy web --target {} --read-target {}", writer.address, reader.address));
    assert_eq!(proxy.get("a.example", "/").text(), "reader GET /");
    assert_eq!(send(&proxy, "HEAD", "").status, 200);
    assert_eq!(reader.last().method, "HEAD");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(send(&proxy, method, "").text(), format!("writer {method} /"));
    }
    assert!(proxy.list().contains(&format!("{},{}", writer.address, reader.address)));
}

#[test]
fn a_write_makes_reads_go_to_the_writer_for_a_while() {
    let (proxy, writer, reader) = (Proxy::start(), App::start("writer"), App::start("reader"));
    proxy.ok(&format!(
        "deploy web --target {} --read-target {} --writer-affinity-timeout 300ms",
        writer.address, reader.address
    ));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let cookie = writer_cookie(&send(&proxy, "POST", "")).expect("a cookie");
    let value = cookie.split(';').next().unwrap().to_owned();
    let until: u128 = value.strip_prefix("kamal-writer=").unwrap().parse().unwrap();
    assert!(until >= now + 300 && until <= now + 20_000, "{until} {now}");
    assert!(cookie.contains("Path=/") && cookie.contains("HttpOnly"), "{cookie}");
    assert_eq!(writer_cookie(&proxy.get("a.example", "/")), None);
    let later = format!("Cookie: kamal-writer={}\r\n", now + 60_000);
    assert_eq!(proxy.get_with("a.example", "/", &later).text(), "writer GET /");
    let over = format!("Cookie: x=1; kamal-writer={}\r\n", now - 1);
    assert_eq!(proxy.get_with("a.example", "/", &over).text(), "reader GET /");
    assert_eq!(proxy.get_with("a.example", "/", "Cookie: kamal-writer=soon\r\n").text(), "reader GET /");
}

#[test]
fn no_affinity_without_readers_or_time_or_when_the_app_says_so() {
    let writer = App::with("writer", |request| {
        (request.method == "PUT")
            .then(|| Answer::Plain(200, vec![("X-Writer-Affinity", "false".into())], vec![]))
    });
    let (proxy, reader) = (Proxy::start(), App::start("reader"));
    proxy.deploy("web", &writer, "");
    assert_eq!(writer_cookie(&send(&proxy, "POST", "")), None);
    proxy.deploy("web", &writer, &format!("--read-target {} --writer-affinity-timeout 0", reader.address));
    assert_eq!(writer_cookie(&send(&proxy, "POST", "")), None);
    proxy.deploy("web", &writer, &format!("--read-target {}", reader.address));
    let answer = send(&proxy, "PUT", "");
    assert_eq!((writer_cookie(&answer), answer.header("X-Writer-Affinity")), (None, None));
    assert!(writer_cookie(&send(&proxy, "POST", "")).is_some());
}

#[test]
fn reads_fall_back_to_writers() {
    let (proxy, writer, reader) = (Proxy::start(), App::start("writer"), App::start("reader"));
    proxy.ok(&format!(
        "deploy web --target {} --read-target {} --health-check-interval 20ms",
        writer.address, reader.address
    ));
    reader.set_healthy(false);
    crate::proxy::until("fallen back", || proxy.get("a.example", "/").text() == "writer GET /");
}

#[test]
fn readers_must_be_healthy_too() {
    let (proxy, writer, reader) = (Proxy::start(), App::start("writer"), App::start("reader"));
    reader.set_healthy(false);
    let line = format!(
        "deploy web --target {} --read-target {} --deploy-timeout 200ms",
        writer.address, reader.address
    );
    assert!(proxy.fails(&line).starts_with("target failed to become healthy"));
}
