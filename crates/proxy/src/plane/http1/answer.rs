//! The head of a response to a client.

use std::cell::RefCell;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode, Version, response};
use hyper::body::Body;
use hyper::ext::ReasonPhrase;

use crate::plane::body::Outgoing;
use crate::plane::client::Tick;
use crate::plane::wire::{Message, OutFraming, field, trailers_announced};
use crate::plane::worker::tick;

/// The properties of a request that its response depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResponseContext {
    pub(super) version: Version,
    pub(super) keeps_alive: bool,
    pub(super) takes_trailers: bool,
    /// Whether the response must not have a body.
    pub(super) is_head: bool,
}

/// Prepares a response for sending. Also returns whether another request may follow.
pub(super) fn message(answer: Response<Outgoing>, context: ResponseContext) -> (Message<Outgoing>, bool) {
    let (mut head, body) = answer.into_parts();
    let framing = framing(&mut head, &body, context);
    let closes = head.headers.get(header::CONNECTION).is_some_and(|value| value == "close");
    let keeps_alive = context.keeps_alive && !closes && !matches!(framing, OutFraming::Close);
    let connection = match context.version {
        _ if head.status == StatusCode::SWITCHING_PROTOCOLS => None,
        Version::HTTP_10 if keeps_alive => Some("keep-alive"),
        _ if keeps_alive => None,
        _ => Some("close"),
    };
    if let Some(connection) = connection {
        head.headers.insert(header::CONNECTION, HeaderValue::from_static(connection));
    }
    (Message::new(encode(&head, context.version), body, framing), keeps_alive)
}

/// Encodes an interim response, which has only a head.
pub(super) fn interim(response: &Response<()>) -> Vec<u8> {
    let mut line = Vec::with_capacity(96 + response.headers().len() * 48);
    let reason = response.extensions().get::<ReasonPhrase>();
    status_line(&mut line, response.status(), Version::HTTP_11, reason);
    for (name, value) in response.headers() {
        field(&mut line, name, value);
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// Chooses the framing of the body and makes the head match.
fn framing(head: &mut response::Parts, body: &Outgoing, context: ResponseContext) -> OutFraming {
    head.headers.remove(header::TRANSFER_ENCODING);
    let bodyless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodyless || head.status.is_informational() {
        head.headers.remove(header::CONTENT_LENGTH);
        return OutFraming::Ended;
    }
    let exact = body.size_hint().exact();
    if context.is_head {
        if let Some(length @ 1..) = exact {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        return OutFraming::Ended;
    }
    let given = head.headers.get(header::CONTENT_LENGTH);
    let given = given.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = exact.or(given) {
        if given != Some(length) {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        return if length == 0 { OutFraming::Ended } else { OutFraming::Length(length) };
    }
    if context.version == Version::HTTP_10 {
        return OutFraming::Close;
    }
    head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    let trailers = if context.takes_trailers { trailers_announced(&head.headers) } else { Vec::new() };
    OutFraming::Chunked(trailers)
}

fn encode(head: &response::Parts, version: Version) -> Vec<u8> {
    let mut line = Vec::with_capacity(96 + head.headers.len() * 48);
    status_line(&mut line, head.status, version, head.extensions.get::<ReasonPhrase>());
    for (name, value) in &head.headers {
        field(&mut line, name, value);
    }
    if !head.headers.contains_key(header::DATE) {
        field(&mut line, &header::DATE, &date());
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn status_line(line: &mut Vec<u8>, status: StatusCode, version: Version, reason: Option<&ReasonPhrase>) {
    line.extend_from_slice(if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    line.extend_from_slice(status.as_str().as_bytes());
    line.push(b' ');
    let known = status.canonical_reason().unwrap_or_default().as_bytes();
    line.extend_from_slice(reason.map_or(known, ReasonPhrase::as_bytes));
    line.extend_from_slice(b"\r\n");
}

/// The `Date` header, computed once a second.
pub(in crate::plane) fn date() -> HeaderValue {
    thread_local! {
        static DATE: RefCell<Option<(Tick, HeaderValue)>> = const { RefCell::new(None) };
    }
    DATE.with_borrow_mut(|known| {
        let now = tick();
        match known {
            Some((second, date)) if *second == now => date.clone(),
            _ => {
                let text = httpdate::HttpDate::from(SystemTime::now()).to_string();
                let date = HeaderValue::from_maybe_shared(Bytes::from(text));
                let date = date.unwrap_or_else(|_| HeaderValue::from_static(""));
                *known = Some((now, date.clone()));
                date
            }
        }
    })
}

/// The response to invalid HTTP.
pub(super) fn refusal(status: StatusCode) -> Vec<u8> {
    let mut line = Vec::new();
    status_line(&mut line, status, Version::HTTP_11, None);
    line.extend_from_slice(b"connection: close\r\ncontent-length: 0\r\n");
    field(&mut line, &header::DATE, &date());
    line.extend_from_slice(b"\r\n");
    line
}
