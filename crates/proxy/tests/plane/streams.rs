//! WebSockets, event streams and half-closed connections.

use std::io::{Read, Write};
use std::time::Duration;

use crate::support::{Client, Next, Proxy, Target, deploy};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Accepts upgrades on `/ws` and echoes every byte. Sends an event stream on other paths, except `/refused`.
fn streamer() -> Target {
    Target::new(|request, stream| match request.path() {
        "/ws" => {
            let head =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            let mut chunk = [0; 100];
            while let Ok(n @ 1..) = stream.read(&mut chunk) {
                if stream.write_all(&chunk[..n]).is_err() {
                    break;
                }
            }
            Next::Close
        }
        "/refused" => crate::support::respond(stream, "no"),
        _ => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n";
            stream.write_all(head.as_bytes()).unwrap();
            while stream.write_all(b": beat\n").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
            Next::Close
        }
    })
}

fn websocket(proxy: &Proxy) -> Client {
    let mut client = proxy.connect();
    client.send(UPGRADE);
    let head = client.until("\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 101 ") && head.to_lowercase().contains("upgrade: websocket"),
        "{head}"
    );
    client
}

fn events(proxy: &Proxy) -> Client {
    let mut client = proxy.connect();
    client.send("GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.until("data: first\n\n");
    client
}

#[test]
fn a_websocket_carries_bytes_both_ways_with_and_without_buffering() {
    let proxy = Proxy::start();
    let target = streamer();
    for buffered in [false, true] {
        proxy
            .deploy_with(&target, |_, options| {
                options.buffer_requests = buffered;
                options.buffer_responses = buffered;
            })
            .unwrap();
        let mut client = websocket(&proxy);
        for word in ["one", "two"] {
            client.send(word);
            client.until(word);
        }
        events(&proxy);
    }
}

#[test]
fn an_upgrade_that_is_refused_is_an_ordinary_answer() {
    let proxy = Proxy::start();
    proxy.deploy(&streamer());
    let mut client = proxy.connect();
    let refused = client.request(&UPGRADE.replace("/ws", "/refused"));
    assert!(refused.starts_with("HTTP/1.1 200 ") && refused.ends_with("no"), "{refused}");
    assert!(client.request(&UPGRADE.replace("/ws", "/refused")).ends_with("no"), "the connection goes on");
}

#[test]
fn streams_end_at_a_deadline_of_their_own_and_not_before() {
    let proxy = Proxy::start();
    let old = streamer();
    proxy.deploy(&old);
    let (mut socket, mut stream) = (websocket(&proxy), events(&proxy));
    let mut next = deploy("app", &Target::saying("new"));
    next.deployment.stream_timeout = Duration::from_secs(5);
    std::thread::scope(|scope| {
        let deploying = scope.spawn(|| proxy.runtime.block_on(proxy.services.deploy(next)));
        while !proxy.get("/refused").ends_with("new") {
            std::thread::sleep(Duration::from_millis(10));
        }
        socket.send("still");
        socket.until("still");
        stream.until(": beat\n");
        assert!(!deploying.is_finished());
        deploying.join().unwrap().unwrap();
    });
    assert_eq!(socket.rest(), "");
    assert!(!stream.rest().ends_with("0\r\n\r\n"), "a stream that is cut off does not look complete");
}

#[test]
fn an_answer_that_asks_not_to_be_buffered_is_streamed() {
    let proxy = Proxy::start();
    let (send, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let target = Target::new(move |_, stream| {
        let head =
            "HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        wait.lock().unwrap().recv_timeout(crate::support::PATIENCE).unwrap();
        let _ = stream.write_all(b"4\r\nlast\r\n0\r\n\r\n");
        Next::Stay
    });
    proxy.deploy_with(&target, |_, options| options.buffer_responses = true).unwrap();
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.until("first");
    send.send(()).unwrap();
    client.until("last");
}

#[test]
fn a_client_that_closes_its_half_counts_as_gone_and_frees_the_target() {
    let proxy = Proxy::start();
    let (sender, cut) = std::sync::mpsc::channel();
    let (begin, begun) = std::sync::mpsc::channel();
    let target = Target::new(move |_, stream| {
        begin.send(()).unwrap();
        let ended = stream.read(&mut [0; 10]);
        sender.send(matches!(ended, Ok(0) | Err(_))).unwrap();
        Next::Close
    });
    proxy.deploy(&target);
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    begun.recv_timeout(crate::support::PATIENCE).unwrap();
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), "");
    assert!(cut.recv_timeout(crate::support::PATIENCE).unwrap());
}
