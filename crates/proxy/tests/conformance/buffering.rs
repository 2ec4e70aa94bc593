//! Buffering and limits.

use std::io::Write;

use crate::app::{Answer, App, ok};
use crate::client::Response;
use crate::proxy::{Proxy, until};

fn post(proxy: &Proxy, path: &str, body: &[u8]) -> Response {
    let mut bytes =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    proxy.request(bytes)
}

fn echo() -> App {
    App::with("app", |request| {
        (request.target != "/up").then(|| Answer::Plain(200, vec![], request.body.clone()))
    })
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

#[test]
fn bodies_pass_whole_with_and_without_buffers() {
    let (proxy, app) = (Proxy::start(), echo());
    for flags in ["", "--buffer-requests", "--buffer-responses", "--buffer-requests --buffer-responses"] {
        proxy.deploy("web", &app, flags);
        for size in [0, 1, 70_000, 3_000_000] {
            let body = pattern(size);
            let answer = post(&proxy, "/", &body);
            assert!(answer.status == 200 && answer.body == body, "{flags} {size}");
        }
    }
}

#[test]
fn chunked_requests_pass_whole() {
    let (proxy, app) = (Proxy::start(), echo());
    for flags in ["", "--buffer-requests"] {
        proxy.deploy("web", &app, flags);
        let answer = proxy.request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n");
        assert_eq!(answer.text(), "abcdefg", "{flags}");
    }
}

#[test]
fn above_the_memory_size_bodies_go_to_disk_and_still_pass() {
    let (proxy, app) = (Proxy::start(), echo());
    proxy.deploy("web", &app, "--buffer-requests --buffer-responses --buffer-memory 1000 --max-request-body 500000 --max-response-body 500000");
    let body = pattern(400_000);
    assert!(post(&proxy, "/", &body).body == body);
    let left = std::fs::read_dir(proxy.home.path()).unwrap().flatten();
    let left: Vec<_> =
        left.filter(|entry| entry.file_name().to_string_lossy().starts_with("proxy-buffer-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_request_above_its_limit_is_413() {
    let (proxy, app) = (Proxy::start(), echo());
    proxy.deploy("web", &app, "--buffer-requests --max-request-body 10");
    assert_eq!(post(&proxy, "/", &pattern(10)).status, 200);
    assert_eq!(post(&proxy, "/", &pattern(11)).status, 413);
    let chunked = proxy.request(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk\r\n0\r\n\r\n",
    );
    assert_eq!(chunked.status, 413);
    assert_eq!(app.seen().len(), 1);
}

#[test]
fn limits_need_buffers() {
    let (proxy, app) = (Proxy::start(), echo());
    proxy.deploy(
        "web",
        &app,
        "--buffer-requests=false --max-request-body 10 --buffer-responses=false --max-response-body 10",
    );
    assert_eq!(post(&proxy, "/", &pattern(100)).body.len(), 100);
}

#[test]
fn an_answer_above_its_limit_is_500() {
    let (proxy, app) = (Proxy::start(), echo());
    proxy.deploy("web", &app, "--buffer-responses --max-response-body 10");
    assert_eq!(post(&proxy, "/", &pattern(10)).status, 200);
    let answer = post(&proxy, "/", &pattern(11));
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("500"), "{answer:?}");
}

#[test]
fn a_buffered_request_reaches_the_target_only_when_it_is_whole() {
    let (proxy, app) = (Proxy::start(), echo());
    proxy.deploy("web", &app, "--buffer-requests");
    let mut connection = proxy.connect();
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert!(app.seen().is_empty());
    connection.send(b"def");
    assert_eq!(connection.answer("POST").unwrap().text(), "abcdef");
}

#[test]
fn a_buffered_answer_reaches_the_client_only_when_it_is_whole() {
    let (send, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(Some(wait));
    let app = App::with("app", move |request| {
        if request.target == "/up" {
            return None;
        }
        let wait = wait.lock().unwrap().take().unwrap();
        Some(Answer::Stream(Box::new(move |mut stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc").unwrap();
            wait.recv_timeout(crate::app::PATIENCE).unwrap();
            stream.write_all(b"def").unwrap();
        })))
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "--buffer-responses");
    let mut connection = proxy.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    connection.reader.get_ref().set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    assert!(connection.line().is_none(), "the answer has begun");
    connection.reader.get_ref().set_read_timeout(Some(crate::app::PATIENCE)).unwrap();
    send.send(()).unwrap();
    assert_eq!(connection.answer("GET").unwrap().text(), "abcdef");
}

#[test]
fn malformed_chunks_are_400() {
    let (proxy, app) = (Proxy::start(), echo());
    proxy.deploy("web", &app, "--buffer-requests");
    let answer = proxy
        .request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n");
    assert_eq!(answer.status, 400);
    assert!(app.seen().is_empty());
}

#[test]
fn a_client_that_goes_away_while_it_is_read_is_499() {
    let (proxy, app) = (Proxy::start(), echo());
    proxy.deploy("web", &app, "--buffer-requests");
    let mut connection = proxy.connect();
    connection.send(b"POST /gone HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    drop(connection);
    let status = proxy.logged_request("/gone")["status"].clone();
    assert!(status == 499 || status == 400 || status == 500, "{status}");
    assert!(app.seen().is_empty());
}

#[test]
fn a_client_that_goes_away_while_the_target_works_is_499() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    connection.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    app.wait_held(1);
    drop(connection);
    assert_eq!(proxy.logged_request("/hold")["status"], 499);
    app.release();
}

#[test]
fn uploads_are_passed_on_as_they_come_without_buffers() {
    let app = App::with("app", |request| (request.target != "/up").then(|| ok("done")));
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    std::thread::sleep(std::time::Duration::from_millis(50));
    connection.send(b"cde");
    assert_eq!(connection.answer("POST").unwrap().text(), "done");
    until("seen", || app.last().body == b"abcde");
}
