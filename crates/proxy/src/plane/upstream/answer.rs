//! A response of a target: its head, then its body as it arrives.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode, Version};
use httparse::{ParserConfig, Status};
use hyper::body::{Body, Frame, SizeHint};
use hyper::ext::ReasonPhrase;
use tokio::time::timeout;

use super::connection::Connection;
use super::request::Sending;
use crate::header_list::has_token;
use crate::plane::wire::head::{self, Fields, MAX_HEAD};
use crate::plane::wire::{Framing, Next};
use crate::target::Target;

/// Bytes per read while waiting for a head.
const HEAD_ROOM: usize = 16 << 10;
/// Bytes per read of a body that arrives fast.
const MAX_ROOM: usize = 64 << 10;

/// How long the rest of a request may take after its response.
const REST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    framing: Framing,
    /// Whether the connection can be used again after the body.
    keeps_alive: bool,
}

impl Connection {
    /// Reads the head of the response to a request. `interim` gets the interim responses before it.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        interim: &mut dyn FnMut(Response<()>),
    ) -> Poll<io::Result<Head>> {
        loop {
            while !self.io.buffer.is_empty()
                && let Some(head) = parse(&mut self.io.buffer, method)?
            {
                match head.response.status() {
                    // The proxy itself sends this to clients that wait for it.
                    StatusCode::CONTINUE => {}
                    StatusCode::SWITCHING_PROTOCOLS => return Poll::Ready(Ok(head)),
                    status if status.is_informational() => interim(head.response),
                    _ => return Poll::Ready(Ok(head)),
                }
            }
            if self.io.buffer.len() >= MAX_HEAD {
                return Poll::Ready(Err(malformed("the head of the response is too large")));
            }
            if ready!(self.poll_fill(cx, HEAD_ROOM))? == 0 {
                let error = "connection closed before message completed";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)));
            }
        }
    }
}

fn parse(buffer: &mut BytesMut, method: &Method) -> io::Result<Option<Head>> {
    let mut room = head::room();
    let mut parsed = httparse::Response::new(&mut []);
    let status = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, buffer, &mut room);
    let length = match status {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let code = code.ok_or_else(|| malformed("an invalid status"))?;
    let reason = parsed.reason.filter(|reason| Some(*reason) != code.canonical_reason());
    let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let fields = Fields::of(buffer, parsed.headers);
    let bytes = buffer.split_to(length).freeze();
    let fields = fields.and_then(|fields| fields.into_map(&bytes));
    let mut response = Response::new(());
    *response.status_mut() = code;
    *response.version_mut() = version;
    *response.headers_mut() = fields.map_err(|_| malformed("an invalid header"))?;
    let map = response.headers_mut();
    let keeps_alive = keeps_alive(version, map);
    let framing = framing(code, version, map, method)?;
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    Ok(Some(Head { response, framing, keeps_alive }))
}

fn keeps_alive(version: Version, headers: &HeaderMap) -> bool {
    let says = |token: &str| has_token(headers, header::CONNECTION, token);
    !says("close") && (version == Version::HTTP_11 || says("keep-alive"))
}

/// Determines the framing (RFC 9112, section 6.3) and makes the headers match.
fn framing(
    status: StatusCode,
    version: Version,
    headers: &mut HeaderMap,
    method: &Method,
) -> io::Result<Framing> {
    let bodyless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodyless || status.is_informational() || *method == Method::HEAD {
        return Ok(Framing::ENDED);
    }
    if let Some(last) = headers.get_all(header::TRANSFER_ENCODING).iter().next_back() {
        if version == Version::HTTP_10 {
            return Err(malformed("a response of HTTP/1.0 with Transfer-Encoding"));
        }
        let last = last.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        headers.remove(header::CONTENT_LENGTH);
        return Ok(if chunked { Framing::CHUNKED } else { Framing::Close });
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(Framing::Close) };
    let digits = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let parsed = digits.and_then(|text| text.parse().ok()).filter(|_| lengths.all(|other| other == length));
    let parsed = parsed.ok_or_else(|| malformed("an invalid Content-Length"))?;
    if headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(parsed));
    }
    Ok(Framing::Length(parsed))
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The body of a target's response. Its connection returns to the pool when the body has been read to its end.
#[derive(Debug)]
pub(in crate::plane) struct AnswerBody {
    framing: Framing,
    keeps_alive: bool,
    /// Bytes per read.
    room: usize,
    lease: Option<Lease>,
}

#[derive(Debug)]
struct Lease {
    connection: Connection,
    /// The request, if its response arrived before all of it was sent.
    sending: Option<Box<Sending>>,
    target: Arc<Target>,
    worker: usize,
}

impl AnswerBody {
    pub(super) fn new(
        head: &Head,
        connection: Connection,
        sending: Option<Box<Sending>>,
        target: &Arc<Target>,
        worker: usize,
    ) -> Self {
        let lease = Lease { connection, sending, target: Arc::clone(target), worker };
        let Head { framing, keeps_alive, .. } = *head;
        let mut body = Self { framing, keeps_alive, room: HEAD_ROOM, lease: Some(lease) };
        if body.framing.is_ended() && head.response.status() != StatusCode::SWITCHING_PROTOCOLS {
            body.done();
        }
        body
    }

    /// Makes drains count the connection as a stream.
    pub(in crate::plane) fn becomes_stream(&self) {
        if let Some(lease) = &self.lease {
            lease.connection.cancel().set_streaming(true);
        }
    }

    /// The connection, after it has switched to another protocol.
    pub(in crate::plane) fn into_connection(self) -> Option<Connection> {
        self.lease.map(|lease| lease.connection)
    }

    fn done(&mut self) {
        let Some(Lease { mut connection, sending, target, worker }) = self.lease.take() else { return };
        if let Some(mut sending) = sending {
            // The client may want to finish before it reads the response.
            let rest = async move {
                let rest = |cx: &mut Context<'_>| {
                    sending.message.poll(cx, |cx, bytes| connection.poll_send(cx, bytes))
                };
                timeout(REST, poll_fn(rest)).await
            };
            tokio::task::spawn_local(rest);
            return;
        }
        connection.cancel().set_streaming(false);
        if self.keeps_alive && connection.io.buffer.is_empty() && !target.is_draining() {
            connection.io.buffer = BytesMut::new();
            target.pool(worker).put(connection);
            // A drain that began meanwhile has already closed the idle connections.
            if target.is_draining() {
                target.pool(worker).clear();
            }
        }
    }

    /// Reads the next piece of the body. Returns `None` at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Frame<Bytes>>>> {
        let Some(lease) = &mut self.lease else { return Poll::Ready(Ok(None)) };
        self.keeps_alive &= lease.poll_sending(cx);
        let connection = &mut lease.connection;
        loop {
            let room = match self.framing.next(&mut connection.io.buffer)? {
                Next::Piece(frame) => return Poll::Ready(Ok(Some(frame))),
                Next::End => return Poll::Ready(Ok(None)),
                Next::More(left) => {
                    left.map_or(self.room, |left| usize::try_from(left).unwrap_or(usize::MAX).min(self.room))
                }
            };
            let read = ready!(connection.poll_fill(cx, room))?;
            if read >= self.room {
                self.room = (self.room * 2).min(MAX_ROOM);
            }
            if read == 0 {
                self.framing.ends()?;
                self.keeps_alive = false;
            }
        }
    }
}

impl Lease {
    /// Continues to send a request whose response arrived first. Returns false if that fails: it no longer matters to
    /// the response, but the connection can't be used again.
    fn poll_sending(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(sending) = &mut self.sending else { return true };
        let connection = &mut self.connection;
        let Poll::Ready(sent) = sending.message.poll(cx, |cx, bytes| connection.poll_send(cx, bytes)) else {
            return true;
        };
        self.sending = None;
        sent.is_ok()
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.poll_piece(cx)).transpose();
        if matches!(piece, Some(Err(_))) {
            // The rest of the connection can't be interpreted.
            self.lease = None;
        } else if self.framing.is_ended() {
            self.done();
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.framing.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.framing.size_hint()
    }
}
