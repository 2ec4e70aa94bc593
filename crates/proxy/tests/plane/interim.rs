//! Interim responses from a target.

use std::future::poll_fn;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::floods::{client, serving};
use crate::support::{PATIENCE, Proxy, Target, respond, settings};

/// A target that sends early hints, and its response when the test allows it.
fn hinting(hints: String) -> (Target, Sender<()>) {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let target = Target::new(move |_, stream| {
        stream.write_all(hints.as_bytes()).unwrap();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        respond(stream, "hello")
    });
    (target, go)
}

#[test]
fn early_hints_reach_the_client_before_the_answer() {
    let (target, go) = hinting(
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\
         Keep-Alive: timeout=5\r\nContent-Length: 7\r\n\r\n"
            .to_owned(),
    );
    let proxy = Proxy::start();
    proxy.deploy(&target);
    let mut client = proxy.connect();
    for body in ["", "Content-Length: 3\r\n\r\nabc"] {
        let rest = if body.is_empty() { "\r\n" } else { body };
        client.send(&format!("POST / HTTP/1.1\r\nHost: a.test\r\n{rest}"));
        assert_eq!(client.until("\r\n\r\n"), "HTTP/1.1 102 Processing\r\n\r\n");
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
        assert_eq!(client.until("\r\n\r\n"), hints);
        go.send(()).unwrap();
        assert!(client.until("hello").starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn early_hints_reach_an_http2_client_before_the_answer() {
    let (target, go) =
        hinting("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: close\r\n\r\n".to_owned());
    let served = serving(settings(), target);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
        let connector = TlsConnector::from(client(Path::new(&served.chain)));
        let stream = connector.connect(ServerName::try_from("a.test").unwrap(), stream).await.unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("https://a.test/").body(()).unwrap();
        let (mut answer, _) = requests.send_request(request, true).unwrap();
        let hints = poll_fn(|cx| answer.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!(hints.status(), http::StatusCode::EARLY_HINTS);
        assert_eq!(hints.headers()["link"], "</a.css>");
        assert_eq!(hints.headers().len(), 1);
        go.send(()).unwrap();
        let (head, mut body) = answer.await.unwrap().into_parts();
        assert_eq!(
            (head.status, &head.headers["content-length"]),
            (http::StatusCode::OK, &"5".parse().unwrap())
        );
        assert!(head.headers.contains_key("date"));
        assert_eq!(body.data().await.unwrap().unwrap(), "hello");
    });
}

#[test]
fn clients_that_know_no_interim_answers_get_none() {
    let (target, go) = hinting("HTTP/1.1 103 Early Hints\r\n\r\n".to_owned());
    let proxy = Proxy::start();
    proxy.deploy(&target);
    go.send(()).unwrap();
    let answer = proxy.raw("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 ") && answer.ends_with("hello"), "{answer}");
}

#[test]
fn the_proxy_alone_tells_clients_to_go_on() {
    let proxy = Proxy::start();
    let seen = Arc::new(Mutex::new(String::new()));
    let said = Arc::clone(&seen);
    proxy.deploy(&Target::new(move |request, stream| {
        *said.lock().unwrap() = String::from_utf8_lossy(&request.body).into_owned();
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        respond(stream, "hello")
    }));
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    assert!(client.until("hello").starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(*seen.lock().unwrap(), "abc");
}

#[test]
fn interim_answers_without_end_are_not_passed_on_without_end() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::new(|_, stream| {
        stream.write_all("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000).as_bytes()).unwrap();
        respond(stream, "hello")
    }));
    let answer = proxy.get("/");
    assert_eq!(answer.matches("103 Early Hints").count(), 16);
    assert!(answer.ends_with("hello"), "{answer}");
}
