//! Clients that want their requests misread, and clients that take more than their share.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use crate::support::{Proxy, Target, settings};

const BODY: &str = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// Sends a request and returns the statuses of all responses. The target must not see a smuggled request.
fn statuses(request: &str) -> Vec<u16> {
    let proxy = Proxy::start();
    let target = Target::new(|request, stream| {
        assert!(!request.path().contains("smuggled"), "{}", request.head);
        crate::support::respond(stream, "seen")
    });
    proxy.deploy(&target);
    let answer = proxy.raw(request);
    let status = |part: &str| part.split(' ').next().unwrap().parse().unwrap();
    answer.split("HTTP/1.1 ").skip(1).map(status).collect()
}

fn with(headers: &str) -> Vec<u16> {
    statuses(&format!("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{headers}\r\n\r\n{BODY}"))
}

#[test]
fn two_lengths_are_refused() {
    let both = format!("Content-Length: {}\r\nTransfer-Encoding: chunked", BODY.len());
    assert_eq!(with(&both), [400]);
    let both = format!("Transfer-Encoding: chunked\r\nContent-Length: {}", BODY.len());
    assert_eq!(with(&both), [400]);
    assert_eq!(with("Content-Length: 0\r\nContent-Length: 5"), [400]);
}

#[test]
fn odd_lengths_are_refused() {
    for length in ["+5", "-1", "0x10", "5 5", "5,5", "99999999999999999999999"] {
        assert_eq!(with(&format!("Content-Length: {length}")), [400], "{length}");
    }
}

#[test]
fn odd_transfer_encodings_are_refused() {
    for encoding in ["chunked, identity", "identity", "xchunked", "gzip", "chunked, chunked", "\x0bchunked"] {
        let seen = with(&format!("Transfer-Encoding: {encoding}"));
        assert!(matches!(seen[..], [400] | [501]), "{encoding}: {seen:?}");
    }
    let seen = with("Transfer-Encoding : chunked");
    assert_eq!(seen, [400], "a blank before the colon");
    let seen = statuses(&format!(
        "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{BODY}"
    ));
    assert_eq!(seen, [400], "HTTP/1.0 knows no chunks");
}

#[test]
fn folded_headers_are_refused() {
    assert_eq!(with("X-A: 1\r\n folded"), [400]);
    assert_eq!(with("X-A: 1\r\n\tContent-Length: 5"), [400]);
    assert_eq!(with("X-A: 1\rContent-Length: 5"), [400]);
    assert_eq!(with("X-A\0: 1"), [400]);
}

#[test]
fn a_bare_line_feed_ends_a_line_for_the_proxy_and_never_reaches_the_target_as_such() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::echo());
    let answer = proxy.raw("GET /x HTTP/1.1\nHost: a.test\nX-A: 1\nConnection: close\n\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, seen) = answer.split_once("\r\n\r\n").unwrap();
    assert!(seen.contains("x-a: 1\r\n") && !seen.replace("\r\n", "").contains('\n'), "{seen:?}");
}

#[test]
fn hosts_are_single_and_sound() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a.test\r\n\r\n",
    ] {
        let request = request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        assert_eq!(statuses(&request), [400], "{request}");
    }
}

#[test]
fn an_absolute_target_wins_over_the_host_header() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::echo());
    let answer = proxy.raw("GET http://b.test/x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("GET /x HTTP/1.1\r\n") && answer.contains("host: b.test\r\n"), "{answer}");
    assert!(!answer.contains("a.test"), "{answer}");
}

#[test]
fn malformed_chunks_end_the_request() {
    for body in [
        "5\r\nhelloX\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "zz\r\n",
        "fffffffffffffffff\r\n",
        "5\nhello\r\n0\r\n\r\n",
    ] {
        let seen = statuses(&format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{body}{BODY}"
        ));
        assert!(
            seen.iter().all(|status| matches!(status, 400 | 502)) && seen.len() <= 1,
            "{body:?}: {seen:?}"
        );
    }
}

#[test]
fn connect_and_h2c_do_not_get_past_routing() {
    assert_eq!(statuses("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\nConnection: close\r\n\r\n"), [405]);
    let proxy = Proxy::start();
    proxy.deploy(&Target::echo());
    let answer = proxy.raw(
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        !answer.to_lowercase().contains("h2c") && !answer.to_lowercase().contains("http2-settings"),
        "{answer}"
    );
}

#[test]
fn large_heads_are_refused() {
    let many: String = (0..200).map(|i| format!("X-{i}: 1\r\n")).collect();
    assert_eq!(statuses(&format!("GET / HTTP/1.1\r\nHost: a.test\r\n{many}\r\n")), [431]);
    let long = "x".repeat(400 << 10);
    let seen = statuses(&format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-A: {long}\r\n\r\n"));
    assert_eq!(seen, [431]);
}

#[test]
fn a_client_that_trickles_its_head_is_cut_off() {
    let mut impatient = settings();
    impatient.header_timeout = Duration::from_secs(1);
    let proxy = Proxy::with(impatient);
    let mut client = proxy.connect();
    let ended = std::thread::scope(|scope| {
        let mut writer = crate::support::Client::new(client.stream.try_clone().unwrap());
        scope.spawn(move || {
            for piece in
                ["GET / HT", "TP/1.1\r\n", "Host: a", ".test\r\n", "X-A", ": 1", "\r\nX-B: 2", "\r\nX-C"]
            {
                writer.send(piece);
                std::thread::sleep(Duration::from_millis(700));
            }
        });
        client.stream.read(&mut [0; 100])
    });
    let waits = |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(
        ended.as_ref().is_ok_and(|read| *read == 0) || ended.as_ref().is_err_and(|e| !waits(e)),
        "{ended:?}"
    );
}

#[test]
fn an_idle_connection_is_closed() {
    let mut impatient = settings();
    impatient.idle_timeout = Duration::from_secs(1);
    let proxy = Proxy::with(impatient);
    proxy.deploy(&Target::saying("hello"));
    let mut client = proxy.connect();
    assert!(client.request("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").ends_with("hello"));
    assert_eq!(client.stream.read(&mut [0; 100]).unwrap(), 0);
}

#[test]
fn a_client_that_stops_sending_its_body_is_cut_off() {
    let mut impatient = settings();
    impatient.body_timeout = Duration::from_secs(1);
    let proxy = Proxy::with(impatient);
    let target = Target::echo();
    for buffered in [true, false] {
        proxy.deploy_with(&target, |_, options| options.buffer_requests = buffered).unwrap();
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nstart");
        assert_eq!(client.rest(), "");
    }
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let mut few = settings();
    few.max_connections = 2;
    let proxy = Proxy::with(few);
    proxy.deploy(&Target::saying("hello"));
    let get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut first = proxy.connect();
    let mut second = proxy.connect();
    assert!(first.request(get).ends_with("hello") && second.request(get).ends_with("hello"));
    let mut third = proxy.connect();
    third.send(get);
    third.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.stream.read(&mut [0; 10]).is_err());
    drop(first);
    third.stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    third.until("hello");
}
