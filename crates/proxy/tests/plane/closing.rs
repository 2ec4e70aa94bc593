//! Connections that are open when the plane closes, as it does after another process has taken over.

use std::io::{Read, Write};
use std::time::Duration;

use crate::floods::{END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PREFACE, SETTINGS, frame, serving};
use crate::support::{Proxy, Target, respond, settings};

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 8;
/// Longer than an idle connection is kept once the plane closes.
const LONG: Duration = Duration::from_secs(3);

/// The kind and the payload of the next frame.
fn next(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).unwrap();
    (head[3], payload)
}

/// Reads this much of the response's body.
fn body(stream: &mut impl Read, length: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < length {
        if let (DATA, payload) = next(stream) {
            body.extend(payload);
        }
    }
    body
}

fn until(stream: &mut impl Read, kind: u8) {
    while next(stream).0 != kind {}
}

#[test]
fn an_http2_connection_that_has_only_shaken_hands_gets_its_answer_and_a_goodbye() {
    let served = serving(settings(), Target::saying("home"));
    let mut stream = served.shake_hands();
    served.proxy.plane.close();
    let request = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, END_STREAM | END_HEADERS, 1, GET)];
    stream.write_all(&request.concat()).unwrap();
    let (mut said, mut goodbye) = (Vec::new(), false);
    while said != b"home" || !goodbye {
        match next(&mut stream) {
            (DATA, payload) => said.extend(payload),
            (kind, _) => goodbye |= kind == GOAWAY,
        }
    }
}

#[test]
fn an_answer_over_http2_waits_for_a_slow_client() {
    let served = serving(settings(), Target::new(|_, stream| respond(stream, &"x".repeat(1000))));
    let mut stream = served.shake_hands();
    let window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 10]);
    stream
        .write_all(&[PREFACE, &window, &frame(HEADERS, END_STREAM | END_HEADERS, 1, GET)].concat())
        .unwrap();
    assert_eq!(body(&mut stream, 10).len(), 10);
    served.proxy.plane.close();
    until(&mut stream, GOAWAY);
    std::thread::sleep(LONG);
    stream.write_all(&frame(WINDOW_UPDATE, 0, 1, &1000u32.to_be_bytes())).unwrap();
    assert_eq!(body(&mut stream, 990).len(), 990);
}

#[test]
fn the_end_of_an_answer_waits_for_a_slow_client() {
    // More than the system buffers at both ends, and little enough for the proxy to buffer the rest.
    const LENGTH: usize = 6 << 20;
    let proxy = Proxy::start();
    proxy.deploy(&Target::new(|_, stream| respond(stream, &"x".repeat(LENGTH))));
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.until("\r\n\r\n");
    proxy.plane.close();
    std::thread::sleep(LONG);
    assert_eq!(client.rest().len(), LENGTH);
}
