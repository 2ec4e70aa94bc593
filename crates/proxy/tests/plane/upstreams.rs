//! Targets that close early, respond early, send invalid responses, or don't exist.

use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Next, Proxy, Target, respond};

fn answering(bytes: &'static str) -> (Proxy, Target) {
    let proxy = Proxy::start();
    let target = Target::new(move |_, stream| {
        let _ = stream.write_all(bytes.as_bytes());
        Next::Close
    });
    proxy.deploy(&target);
    (proxy, target)
}

#[test]
fn rubbish_is_a_bad_gateway() {
    for bytes in [
        "",
        "hello\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200",
        "HTTP/1.1 99999 Odd\r\n\r\n",
    ] {
        let (proxy, _) = answering(bytes);
        let answer = proxy.get("/");
        assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{bytes:?}: {answer}");
        assert!(answer.contains("text/html; charset=utf-8"), "{answer}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_made_to_look_whole() {
    let (proxy, _) = answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhell");
    let answer = proxy.get("/");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("content-length: 10"), "{answer}");
    assert!(answer.ends_with("hell"), "{answer}");
    let (proxy, _) = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n");
    assert!(!proxy.get("/").ends_with("0\r\n\r\n"));
}

#[test]
fn an_answer_that_ends_with_the_connection_is_whole() {
    let (proxy, _) = answering("HTTP/1.0 200 OK\r\n\r\nhello");
    let answer = proxy.get("/");
    assert!(answer.contains("hello"), "{answer}");
}

#[test]
fn an_answer_before_the_body_is_read_reaches_the_client() {
    let proxy = Proxy::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target { address: listener.local_addr().unwrap(), requests: std::sync::Arc::default() };
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut client = crate::support::Client::new(stream.unwrap());
            let head = client.until("\r\n\r\n");
            let status = if head.starts_with("GET /up") { "200 OK" } else { "401 Unauthorized" };
            client.send(&format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"));
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    proxy.deploy(&target);
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nstart");
    assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 401 "));
}

#[test]
fn a_target_that_is_not_there_is_a_bad_gateway_and_a_slow_one_a_time_out() {
    let proxy = Proxy::start();
    let target = Target::new(|request, stream| {
        if request.path() == "/slow" {
            std::thread::sleep(crate::support::PATIENCE);
        }
        respond(stream, "late")
    });
    proxy.deploy_with(&target, |_, options| options.response_timeout = Duration::from_millis(200)).unwrap();
    assert!(proxy.get("/slow").starts_with("HTTP/1.1 504 "));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = Target { address: closed.local_addr().unwrap(), requests: std::sync::Arc::default() };
    let mut deploy = crate::support::deploy("app", &gone);
    drop(closed);
    deploy.deployment.force = true;
    proxy.runtime.block_on(proxy.services.deploy(deploy)).unwrap();
    assert!(proxy.get("/").starts_with("HTTP/1.1 503 "), "forced, and never healthy");
}

#[test]
fn idle_connections_that_the_target_closes_break_no_request() {
    let proxy = Proxy::start();
    let (begun, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (beginning, ending) = (Arc::clone(&begun), Arc::clone(&done));
    let target = Target::new(move |request, stream| {
        let number = beginning.fetch_add(1, Ordering::SeqCst);
        respond(stream, &format!("{}{}", request.path(), String::from_utf8_lossy(&request.body)));
        // Closes without announcing it.
        let closes = number % 3 == 2;
        if closes {
            let _ = stream.shutdown(Shutdown::Both);
        }
        ending.fetch_add(1, Ordering::SeqCst);
        if closes { Next::Close } else { Next::Stay }
    });
    proxy.deploy(&target);
    let mut client = proxy.connect();
    for i in 0..200 {
        let answer = client.request(&format!("GET /{i} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("/{i}")), "{i}: {answer}");
    }
    for i in 0..50 {
        // Once the target has closed the connection, the proxy must notice before it writes.
        while begun.load(Ordering::SeqCst) != done.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let answer =
            client.request(&format!("POST /{i} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx"));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("/{i}x")), "{i}: {answer}");
    }
}

#[test]
fn a_switch_of_protocols_that_was_not_asked_for_is_a_bad_gateway() {
    let (proxy, _) =
        answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\nx");
    assert!(proxy.get("/").starts_with("HTTP/1.1 502 "));
}

#[test]
fn an_answer_with_two_lengths_is_passed_on_with_one() {
    let (proxy, _) = answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let answer = proxy.get("/").to_lowercase();
    assert!(
        answer.contains("transfer-encoding: chunked\r\n") && answer.contains("\r\nhello\r\n"),
        "{answer}"
    );
    assert!(!answer.contains("content-length"), "{answer}");
}

#[test]
fn what_comes_after_an_answer_is_not_the_answer_to_the_next_request() {
    let proxy = Proxy::start();
    let target = Target::new(|_, stream| {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let more = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        stream.write_all(format!("{answer}{more}").as_bytes()).map_or(Next::Close, |()| Next::Stay)
    });
    proxy.deploy(&target);
    let mut client = proxy.connect();
    for method in ["GET", "POST", "GET"] {
        let answer =
            client.request(&format!("{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n"));
        assert!(answer.ends_with("hello"), "{answer}");
    }
}

#[test]
fn a_client_may_finish_its_body_after_the_answer_and_then_ask_again() {
    let proxy = Proxy::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target { address: listener.local_addr().unwrap(), requests: Arc::default() };
    let (whole, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (whole, mut client) = (whole.clone(), crate::support::Client::new(stream.unwrap()));
            std::thread::spawn(move || {
                while client.until("\r\n\r\n").starts_with("GET ") {
                    client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
                client.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
                client.until("start and end");
                whole.send(()).unwrap();
            });
        }
    });
    proxy.deploy(&target);
    let mut client = proxy.connect();
    let early = client.request("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 13\r\n\r\nstart ");
    assert!(early.starts_with("HTTP/1.1 403 ") && early.ends_with("no"), "{early}");
    client.send("and end");
    seen.recv_timeout(crate::support::PATIENCE).unwrap();
    assert!(client.request("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").ends_with("ok"));
}
