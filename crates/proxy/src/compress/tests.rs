#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::io::Read;

use http_body_util::{BodyExt, Full};
use hyper::Response;
use tokio::sync::mpsc;

use super::*;

fn asked(accept: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("accept-encoding", HeaderValue::from_str(accept).unwrap());
    headers
}

fn answer(headers: &[(&'static str, &'static str)]) -> response::Parts {
    let mut response = Response::builder();
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

fn unpack(coding: Coding, packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        Coding::Zstd => zstd::stream::read::Decoder::new(packed).unwrap().read_to_end(&mut plain),
        Coding::Brotli => brotli::Decompressor::new(packed, 4096).read_to_end(&mut plain),
        Coding::Gzip => flate2::read::GzDecoder::new(packed).read_to_end(&mut plain),
    }
    .unwrap();
    plain
}

#[test]
fn the_client_chooses_and_we_break_ties() {
    for (accept, expected) in [
        ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
        ("gzip, deflate, br", Some(Coding::Brotli)),
        ("gzip", Some(Coding::Gzip)),
        ("GZIP;Q=0.5", Some(Coding::Gzip)),
        ("gzip;q=1.0, br;q=0.9, zstd;q=0.1", Some(Coding::Gzip)),
        ("*", Some(Coding::Zstd)),
        ("*, zstd;q=0", Some(Coding::Brotli)),
        ("*;q=0", None),
        ("gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=2", None),
        ("gzip;q=0.1234", None),
        ("gzip;q=-1", None),
        ("deflate", None),
        ("", None),
        (",;q=1,", None),
    ] {
        assert_eq!(negotiate(&asked(accept)), expected, "{accept}");
    }
    assert_eq!(negotiate(&HeaderMap::new()), None);
}

#[test]
fn only_answers_that_gain_by_it_are_packed() {
    let choice = |method: &Method, status: u16, headers: &[(&'static str, &'static str)]| {
        let mut answer = answer(headers);
        answer.status = StatusCode::from_u16(status).unwrap();
        let coding = choose(method, &asked("gzip"), &mut answer);
        assert_eq!(coding.is_some(), answer.headers.contains_key("vary"), "{status} {headers:?}");
        coding.is_some()
    };
    let html = ("content-type", "text/html; charset=utf-8");
    for headers in [
        &[html][..],
        &[html, ("content-length", "1024")],
        &[("content-type", "application/problem+json")],
        &[("content-type", "image/svg+xml")],
        &[html, ("cache-control", "public, max-age=1")],
    ] {
        assert!(choice(&Method::GET, 200, headers), "{headers:?}");
    }
    assert!(choice(&Method::POST, 500, &[html]));
    for headers in [
        &[][..],
        &[html, ("content-length", "1023")],
        &[html, ("content-encoding", "br")],
        &[html, ("content-range", "bytes 0-1/2")],
        &[html, ("x-accel-buffering", "no")],
        &[html, ("cache-control", "public, No-Transform")],
        &[("content-type", "text/event-stream")],
        &[("content-type", "Text/Event-Stream; charset=utf-8")],
        &[("content-type", "image/png")],
        &[("content-type", "application/zip")],
    ] {
        assert!(!choice(&Method::GET, 200, headers), "{headers:?}");
    }
    assert!(!choice(&Method::HEAD, 200, &[html]));
    for status in [101, 204, 205, 206, 304] {
        assert!(!choice(&Method::GET, status, &[html]), "{status}");
    }
}

#[test]
fn caches_learn_what_the_choice_hung_on() {
    let html = ("content-type", "text/html");
    for (before, after) in [
        (None, vec!["Accept-Encoding"]),
        (Some("Cookie"), vec!["Cookie", "Accept-Encoding"]),
        (Some("Cookie, accept-encoding"), vec!["Cookie, accept-encoding"]),
        (Some("*"), vec!["*"]),
    ] {
        let mut answer = match before {
            Some(vary) => answer(&[html, ("vary", vary)]),
            None => answer(&[html]),
        };
        assert_eq!(choose(&Method::GET, &HeaderMap::new(), &mut answer), None);
        assert_eq!(answer.headers.get_all("vary").iter().collect::<Vec<_>>(), after);
    }
}

#[tokio::test]
async fn a_packed_body_unpacks_to_the_same() {
    let text: Vec<u8> =
        (0..200_000u32).flat_map(|n| format!("line {} of many\n", n % 977).into_bytes()).collect();
    for coding in PREFERENCE {
        for plain in [&text[..], b""] {
            let mut head = answer(&[("content-length", "9"), ("etag", "\"v1\""), ("accept-ranges", "bytes")]);
            let encoder = Encoder::new(coding).unwrap();
            let body = wrap(encoder, &mut head.headers, Full::new(Bytes::copy_from_slice(plain)));
            assert_eq!(head.headers["content-encoding"], coding.token());
            assert_eq!(head.headers["etag"], "W/\"v1\"");
            assert!(
                !head.headers.contains_key("content-length") && !head.headers.contains_key("accept-ranges")
            );
            let packed = body.collect().await.unwrap().to_bytes();
            assert_eq!(unpack(coding, &packed), plain, "{coding:?}");
            assert!(plain.is_empty() || packed.len() < plain.len() / 10, "{coding:?}: {}", packed.len());
        }
    }
}

/// A body whose frames the test sends one by one.
struct Channel(mpsc::Receiver<Frame<Bytes>>);

impl Body for Channel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

#[tokio::test]
async fn what_has_arrived_reaches_the_client_while_the_target_pauses() {
    for coding in PREFERENCE {
        let (sender, receiver) = mpsc::channel(4);
        let mut body = wrap(Encoder::new(coding).unwrap(), &mut HeaderMap::new(), Channel(receiver));
        let mut seen = Vec::new();
        for part in ["first, ", "second, ", "third"] {
            sender.send(Frame::data(part.into())).await.unwrap();
            let mut frames = 0;
            while frames == 0 || !partly_unpacked(coding, &seen).ends_with(part) {
                seen.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
                frames += 1;
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("1"));
        sender.send(Frame::trailers(trailers.clone())).await.unwrap();
        drop(sender);
        let mut last = None;
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => seen.extend(data),
                Err(frame) => last = frame.into_trailers().ok(),
            }
        }
        assert_eq!(unpack(coding, &seen), b"first, second, third", "{coding:?}");
        assert_eq!(last, Some(trailers), "{coding:?}");
        assert!(body.is_end_stream());
    }
}

/// Decompresses what a client can decompress of the bytes so far.
fn partly_unpacked(coding: Coding, packed: &[u8]) -> String {
    let mut plain = Vec::new();
    let mut buffer = [0; 256];
    let mut decoder: Box<dyn Read> = match coding {
        Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(packed).unwrap()),
        Coding::Brotli => Box::new(brotli::Decompressor::new(packed, 4096)),
        Coding::Gzip => Box::new(flate2::read::GzDecoder::new(packed)),
    };
    while let Ok(count) = decoder.read(&mut buffer) {
        if count == 0 {
            break;
        }
        plain.extend(&buffer[..count]);
    }
    String::from_utf8(plain).unwrap()
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_ended_properly() {
    let broken = || {
        let frames = [Ok(Frame::data(Bytes::from_static(b"half"))), Err(io::Error::other("reset"))];
        Frames(frames.into_iter().collect())
    };
    for coding in PREFERENCE {
        let body = wrap(Encoder::new(coding).unwrap(), &mut HeaderMap::new(), broken());
        let error = body.collect().await.unwrap_err();
        assert_eq!(error.to_string(), "reset", "{coding:?}");
    }
}

struct Frames(std::collections::VecDeque<io::Result<Frame<Bytes>>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front())
    }
}
