//! WebSockets, event streams, and rarer parts of HTTP/1.1.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use crate::app::{Answer, App, PATIENCE};
use crate::client::Connection;
use crate::proxy::Proxy;

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";

/// Accepts upgrades and echoes each byte.
fn echo(name: &'static str) -> App {
    App::with(name, move |request| {
        request.header("Upgrade").map(|_| {
            Answer::Stream(Box::new(move |mut stream| {
                let head = format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-App: {name}\r\n\r\n");
                stream.write_all(head.as_bytes()).unwrap();
                let mut byte = [0];
                while stream.read(&mut byte).is_ok_and(|read| read > 0) && stream.write_all(&byte).is_ok() {}
            }))
        })
    })
}

fn open(proxy: &Proxy) -> Connection<TcpStream> {
    let mut connection = proxy.connect();
    connection.send(UPGRADE);
    let head = connection.head().unwrap();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("Upgrade"), Some("websocket"));
    connection
}

fn ping(connection: &mut Connection<TcpStream>) {
    connection.send(b"!");
    let mut byte = [0];
    connection.reader.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"!");
}

#[test]
fn websockets_pass_with_and_without_buffers() {
    let (proxy, app) = (Proxy::start(), echo("app"));
    for flags in ["", "--buffer-requests --buffer-responses"] {
        proxy.deploy("web", &app, flags);
        let mut connection = open(&proxy);
        for _ in 0..3 {
            ping(&mut connection);
        }
        assert_eq!(
            app.last().header("Connection").map(|value| value.to_lowercase()).as_deref(),
            Some("upgrade")
        );
        drop(connection);
    }
    assert_eq!(proxy.logged_request("/ws")["status"], 101);
}

#[test]
fn a_drain_ends_websockets() {
    let (proxy, app, new) = (Proxy::start(), echo("app"), App::start("new"));
    proxy.deploy("web", &app, "");
    let mut connection = open(&proxy);
    ping(&mut connection);
    proxy.deploy("web", &new, if crate::ours() { "--stream-timeout 100ms" } else { "" });
    assert!(connection.is_closed());
}

#[test]
fn websockets_go_to_writers_unless_readers_take_them() {
    let (proxy, writer, reader) = (Proxy::start(), echo("writer"), echo("reader"));
    for (flags, app) in [("", "writer"), ("--read-target-websockets", "reader")] {
        proxy.deploy("web", &writer, &format!("--read-target {} {flags}", reader.address));
        let mut connection = proxy.connect();
        connection.send(UPGRADE);
        assert_eq!(connection.head().unwrap().header("X-App"), Some(app), "{flags}");
    }
}

#[test]
fn a_refused_upgrade_is_an_answer_like_any_other() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    connection.send(UPGRADE);
    let answer = connection.answer("GET").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "app GET /ws"));
}

/// An app that sends an event for each message of the sender, until the sender is dropped.
fn events(headers: &'static str) -> (App, Sender<&'static str>) {
    let (send, receive) = channel::<&'static str>();
    let receive = Arc::new(Mutex::new(receive));
    let app = App::with("app", move |request| {
        if request.target == "/up" {
            return None;
        }
        let receive = Arc::clone(&receive);
        Some(Answer::Stream(Box::new(move |mut stream| {
            let head = format!("HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            while let Ok(event) = receive.lock().unwrap().recv_timeout(PATIENCE) {
                if stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).is_err() {
                    return;
                }
            }
            let _ = stream.write_all(b"0\r\n\r\n");
        })))
    });
    (app, send)
}

fn expect_events(proxy: &Proxy, send: &Sender<&'static str>) {
    let mut connection = proxy.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(connection.head().unwrap().status, 200);
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        send.send(event).unwrap();
        let mut text = vec![0; format!("{:x}\r\n{event}\r\n", event.len()).len()];
        connection.reader.read_exact(&mut text).unwrap();
        assert!(String::from_utf8_lossy(&text).contains(event), "{text:?}");
    }
}

#[test]
fn event_streams_pass_with_and_without_buffers() {
    let proxy = Proxy::start();
    for flags in ["", "--buffer-responses"] {
        let (app, send) = events("Content-Type: text/event-stream; charset=utf-8\r\n");
        proxy.deploy("web", &app, flags);
        expect_events(&proxy, &send);
    }
}

#[test]
fn an_app_may_refuse_buffering() {
    ours_alone!();
    let (proxy, (app, send)) =
        (Proxy::start(), events("Content-Type: text/plain\r\nX-Accel-Buffering: no\r\n"));
    proxy.deploy("web", &app, "--buffer-responses");
    expect_events(&proxy, &send);
}

#[test]
fn an_event_stream_ends_at_its_own_deadline() {
    ours_alone!();
    let (proxy, (app, send)) = (Proxy::start(), events("Content-Type: text/event-stream\r\n"));
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(connection.head().unwrap().status, 200);
    // As an ordinary request, it would hold up the deploy until the drain timeout, much longer than the test waits.
    proxy.deploy("web", &App::start("new"), "--drain-timeout 1h --stream-timeout 100ms");
    let mut rest = Vec::new();
    let _ = connection.reader.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it ended as if it were whole");
    drop(send);
}

#[test]
fn trailers_pass() {
    let raw = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";
    let app = App::with("app", |request| (request.target != "/up").then(|| Answer::Raw(raw.to_vec())));
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "");
    let answer = proxy.get_with("a.example", "/", "TE: trailers\r\n");
    assert_eq!(answer.text(), "abc");
    // kamal-proxy announces trailers but loses them.
    if crate::ours() {
        let [(name, value)] = answer.trailers.as_slice() else { panic!("{answer:?}") };
        assert!(name.eq_ignore_ascii_case("X-Sum") && value == "7", "{answer:?}");
    }
}

#[test]
fn answers_without_a_body_keep_the_connection() {
    let app = App::with("app", |request| match request.target.as_str() {
        "/204" => Some(Answer::Plain(204, vec![], vec![])),
        "/304" => Some(Answer::Plain(304, vec![("ETag", "\"x\"".into())], vec![])),
        "/head" => Some(Answer::Plain(200, vec![], vec![b'x'; 10])),
        _ => None,
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    for (method, target, status) in
        [("GET", "/204", 204), ("GET", "/304", 304), ("HEAD", "/head", 200), ("GET", "/", 200)]
    {
        connection.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let answer = connection.answer(method).unwrap();
        assert_eq!(answer.status, status, "{target}");
        if target == "/head" {
            assert_eq!(answer.header("Content-Length"), Some("10"));
        }
    }
}

#[test]
fn continue_is_said_before_the_body() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    for flags in ["", "--buffer-requests"] {
        proxy.deploy("web", &app, flags);
        let mut connection = proxy.connect();
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(connection.answer("POST").unwrap().status, 100, "{flags}");
        connection.send(b"abc");
        // kamal-proxy also passes on the app's `100 Continue`.
        let answer =
            std::iter::repeat_with(|| connection.answer("POST").unwrap()).find(|answer| answer.status != 100);
        assert_eq!(answer.unwrap().text(), "app POST /");
        assert_eq!(app.last().body, b"abc");
    }
}

#[test]
fn interim_answers_arrive() {
    let app = App::with("app", |request| {
        (request.target == "/hints").then(|| {
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
            Answer::Raw(format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").into_bytes())
        })
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    connection.send(b"GET /hints HTTP/1.1\r\nHost: a\r\n\r\n");
    let hints = connection.answer("GET").unwrap();
    assert_eq!((hints.status, hints.header("Link")), (103, Some("</a.css>; rel=preload")));
    assert_eq!(connection.answer("GET").unwrap().text(), "hello");
}

#[test]
fn an_answer_that_is_cut_off_is_not_made_whole() {
    let app = App::with("app", |request| {
        Some(Answer::Raw(match request.target.as_str() {
            "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec(),
            "/chunks" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec(),
            _ => return None,
        }))
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "");
    for target in ["/length", "/chunks"] {
        let mut connection = proxy.connect();
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let answer = connection.answer("GET");
        // If nothing has been passed on yet, a 502 is as honest as a cut connection.
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 502), "{target}: {answer:?}");
    }
}

#[test]
fn answers_until_the_end_of_the_connection_pass() {
    let app = App::with("app", |request| {
        (request.target != "/up").then(|| Answer::Raw(b"HTTP/1.0 200 OK\r\n\r\nall of it".to_vec()))
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "");
    assert_eq!(proxy.get("a.example", "/").text(), "all of it");
}

#[test]
fn an_app_that_closes_idle_connections_costs_no_request() {
    let app = App::with("app", |request| {
        (request.target != "/up")
            .then(|| Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()))
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    for round in 0..50 {
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(connection.answer("GET").unwrap().status, 200, "{round}");
        if round % 7 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

#[test]
fn http_1_0_is_served() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    connection.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(connection.answer("GET").unwrap().text(), "app GET /");
    assert!(connection.is_closed());
}

#[test]
fn a_request_without_a_host_reaches_the_target_under_the_targets_name() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"] {
        let mut connection = proxy.connect();
        connection.send(request.as_bytes());
        assert_eq!(connection.answer("GET").unwrap().text(), "app GET /");
        assert_eq!(app.seen().pop().unwrap().header("Host").as_deref(), Some(app.address.as_str()));
    }
}

#[test]
fn a_half_closed_client_gets_its_answer() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    connection.reader.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    // kamal-proxy treats the client as gone.
    match connection.answer("GET") {
        Some(answer) if !crate::ours() => assert_eq!(answer.status, 499),
        answer => assert!(answer.is_none_or(|answer| answer.text() == "app GET /")),
    }
}
