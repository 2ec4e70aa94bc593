//! A request on its way to a target: its head, then its body as it comes.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, request};
use hyper::body::{Body, Frame};

use super::connection::Connection;
use crate::plane::body::{BoxError, RequestBody};

/// Trailers that would change how a message is read.
const NEVER_TRAILERS: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::HOST,
    header::SET_COOKIE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

/// Why a request could not be sent to its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client's body broke off, or was not as long as it said.
    Body(BoxError),
    /// The target takes no more.
    Target(io::Error),
}

/// How the end of the body is marked.
#[derive(Debug)]
enum Framing {
    /// By its length, of which so much is left.
    Length(u64),
    /// By chunks, with those trailers that the head has announced.
    Chunked(Vec<HeaderName>),
    /// There is nothing left to come.
    Ended,
}

/// A request that is being sent.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) method: Method,
    body: RequestBody,
    framing: Framing,
    /// The head, later the line before a chunk; of it, `sent` bytes are gone.
    line: Vec<u8>,
    sent: usize,
    data: Bytes,
    tail: &'static [u8],
    /// Something of it may have reached a target.
    begun: bool,
    repeatable: bool,
    /// The head waits for the first piece of the body, if that is there already.
    looked: bool,
}

impl Sending {
    pub(super) fn new(request: Request<RequestBody>) -> Self {
        let (mut head, body) = request.into_parts();
        let framing = framing(&mut head, &body);
        let safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        Self {
            line: encode(&head),
            method: head.method,
            repeatable: safe && matches!(framing, Framing::Ended),
            body,
            framing,
            sent: 0,
            data: Bytes::new(),
            tail: b"",
            begun: false,
            looked: false,
        }
    }

    /// Whether it does no harm to send it once more although a target may have seen it.
    pub(super) fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    /// Whether no target can have seen any of it.
    pub(super) fn is_unsent(&self) -> bool {
        !self.begun
    }

    /// Starts over, for another connection. Only the head of a request that is repeatable can have been sent.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        self.begun = false;
    }

    /// Sends what is there; ready when all of it has been sent.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<(), Broken>> {
        loop {
            if !self.looked || self.is_written() {
                self.looked = true;
                match self.poll_next(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Body(error))),
                    Poll::Pending if self.is_written() => return Poll::Pending,
                    Poll::Pending => {}
                }
                if self.is_written() {
                    return Poll::Ready(Ok(()));
                }
            }
            let pieces =
                [IoSlice::new(&self.line[self.sent..]), IoSlice::new(&self.data), IoSlice::new(self.tail)];
            match ready!(connection.poll_send(cx, &pieces)) {
                Ok(0) => return Poll::Ready(Err(Broken::Target(io::ErrorKind::WriteZero.into()))),
                Ok(written) => self.advance(written),
                Err(error) => return Poll::Ready(Err(Broken::Target(error))),
            }
        }
    }

    fn is_written(&self) -> bool {
        self.sent == self.line.len() && self.data.is_empty() && self.tail.is_empty()
    }

    fn advance(&mut self, written: usize) {
        self.begun = true;
        let of_line = written.min(self.line.len() - self.sent);
        self.sent += of_line;
        let of_data = (written - of_line).min(self.data.len());
        self.data.advance(of_data);
        self.tail = &self.tail[written - of_line - of_data..];
    }

    /// Takes the next piece of the body. Nothing to write afterwards means that there is none.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        while !matches!(self.framing, Framing::Ended) {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(frame) => frame?,
                None => return Poll::Ready(self.end(None)),
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(self.piece(data)),
                Err(other) => return Poll::Ready(self.end(Frame::into_trailers(other).ok())),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn piece(&mut self, data: Bytes) -> Result<(), BoxError> {
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or("the body is longer than it said")?;
                if *left == 0 {
                    self.framing = Framing::Ended;
                }
            }
            Framing::Chunked(_) => {
                self.next_line();
                // Writing to a vector cannot fail.
                let _ = write!(self.line, "{:x}\r\n", data.len());
                self.tail = b"\r\n";
                if self.body.is_end_stream() {
                    self.tail = b"\r\n0\r\n\r\n";
                    self.framing = Framing::Ended;
                }
            }
            Framing::Ended => {}
        }
        self.data = data;
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), BoxError> {
        match std::mem::replace(&mut self.framing, Framing::Ended) {
            Framing::Length(1..) => return Err("the body is shorter than it said".into()),
            Framing::Length(0) | Framing::Ended => {}
            Framing::Chunked(announced) => {
                self.next_line();
                self.line.extend_from_slice(b"0\r\n");
                let trailers = trailers.unwrap_or_default();
                for (name, value) in trailers.iter().filter(|(name, _)| announced.contains(name)) {
                    field(&mut self.line, name, value);
                }
                self.line.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }

    /// Makes room for another line, behind a head that has not been written yet.
    fn next_line(&mut self) {
        if self.sent == self.line.len() {
            self.line.clear();
            self.sent = 0;
        }
    }
}

/// How the body will be framed. The head says the same.
fn framing(head: &mut request::Parts, body: &RequestBody) -> Framing {
    head.headers.remove(header::TRANSFER_ENCODING);
    if body.is_end_stream() {
        return Framing::Ended;
    }
    let given = head.headers.get(header::CONTENT_LENGTH);
    let given = given.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = given.or_else(|| body.size_hint().exact()) {
        if given.is_none() {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        return if length == 0 { Framing::Ended } else { Framing::Length(length) };
    }
    head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    let announced = head.headers.get_all(header::TRAILER).iter().filter_map(|names| names.to_str().ok());
    let announced = announced.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse().ok());
    Framing::Chunked(announced.filter(|name| !NEVER_TRAILERS.contains(name)).collect())
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

fn field(line: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    line.extend_from_slice(name.as_str().as_bytes());
    line.extend_from_slice(b": ");
    line.extend_from_slice(value.as_bytes());
    line.extend_from_slice(b"\r\n");
}
