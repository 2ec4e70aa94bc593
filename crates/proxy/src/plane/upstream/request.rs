//! A request in transit to a target.

use http::header::{self, HeaderValue};
use http::{Method, Request, request};
use hyper::body::Body;

use crate::plane::body::RequestBody;
use crate::plane::wire::{Message, OutFraming, field, trailers_announced};

#[derive(Debug)]
pub(super) struct Sending {
    pub(super) method: Method,
    pub(super) message: Message<RequestBody>,
    repeatable: bool,
}

impl Sending {
    pub(super) fn new(request: Request<RequestBody>) -> Self {
        let (mut head, body) = request.into_parts();
        let framing = framing(&mut head, &body);
        let safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        let repeatable = safe && matches!(framing, OutFraming::Ended);
        let message = Message::new(encode(&head), body, framing);
        Self { method: head.method, message, repeatable }
    }

    /// Whether the request can safely be sent again even if a target has seen it.
    pub(super) fn is_repeatable(&self) -> bool {
        self.repeatable
    }
}

/// Chooses the framing of the body and makes the head match.
fn framing(head: &mut request::Parts, body: &RequestBody) -> OutFraming {
    head.headers.remove(header::TRANSFER_ENCODING);
    if body.is_end_stream() {
        return OutFraming::Ended;
    }
    let given = head.headers.get(header::CONTENT_LENGTH);
    let given = given.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = given.or_else(|| body.size_hint().exact()) {
        if given.is_none() {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        return if length == 0 { OutFraming::Ended } else { OutFraming::Length(length) };
    }
    head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    OutFraming::Chunked(trailers_announced(&head.headers))
}

fn encode(head: &request::Parts) -> Vec<u8> {
    let mut line = Vec::with_capacity(64 + head.headers.len() * 48);
    line.extend_from_slice(head.method.as_str().as_bytes());
    line.push(b' ');
    line.extend_from_slice(head.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    line.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in &head.headers {
        field(&mut line, name, value);
    }
    line.extend_from_slice(b"\r\n");
    line
}
