//! An outgoing message: its head, then its body as it arrives.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body, Frame};

use crate::plane::body::BoxError;

/// Trailers that would change how a message is interpreted.
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

#[derive(Debug)]
pub(in crate::plane) enum Broken {
    /// Its body ended early, or is not as long as the head says.
    Body(BoxError),
    /// The peer accepts no more bytes.
    Peer(io::Error),
}

/// How the end of a body is marked.
#[derive(Debug)]
pub(in crate::plane) enum OutFraming {
    /// By its length; this many bytes are left.
    Length(u64),
    /// By chunks, with the trailers that the head has announced.
    Chunked(Vec<HeaderName>),
    /// By the end of the connection.
    Close,
    /// It has already ended.
    Ended,
}

#[derive(Debug)]
pub(in crate::plane) struct Message<B> {
    /// `None` once its end has been seen: what ends with the body does so before the peer sees the end.
    body: Option<B>,
    framing: OutFraming,
    /// The head, later the line before a chunk. The first `sent` bytes of it have been written.
    line: Vec<u8>,
    sent: usize,
    data: Bytes,
    tail: &'static [u8],
    /// Whether part of the message may have arrived.
    begun: bool,
    /// Whether the body has been polled once. If its first piece is ready then, it is written with the head.
    looked: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Message<B>
where
    B::Error: Into<BoxError>,
{
    pub(in crate::plane) fn new(head: Vec<u8>, body: B, framing: OutFraming) -> Self {
        let body = (!matches!(framing, OutFraming::Ended)).then_some(body);
        Self {
            body,
            framing,
            line: head,
            sent: 0,
            data: Bytes::new(),
            tail: b"",
            begun: false,
            looked: false,
        }
    }

    /// Whether no part of the message can have arrived.
    pub(in crate::plane) fn is_unsent(&self) -> bool {
        !self.begun
    }

    /// Starts again with the head. For a message that is unsent or has no body.
    pub(in crate::plane) fn rewind(&mut self) {
        self.sent = 0;
        self.begun = false;
    }

    /// Sends what is available through `write`. Ready when the whole message has been sent.
    pub(in crate::plane) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut Context<'_>, &[IoSlice<'_>]) -> Poll<io::Result<usize>>,
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
            match ready!(write(cx, &pieces)) {
                Ok(0) => return Poll::Ready(Err(Broken::Peer(io::ErrorKind::WriteZero.into()))),
                Ok(written) => self.advance(written),
                Err(error) => return Poll::Ready(Err(Broken::Peer(error))),
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

    /// Takes the next piece of the body. If there is nothing to write afterwards, the message is complete.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        while let Some(body) = &mut self.body {
            let frame = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(frame) => frame.map_err(Into::into)?,
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
            OutFraming::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or("the body is longer than it said")?;
                if *left == 0 {
                    self.ended();
                }
            }
            OutFraming::Chunked(_) => {
                self.next_line();
                // Writing to a vector can't fail.
                let _ = write!(self.line, "{:x}\r\n", data.len());
                self.tail = b"\r\n";
                if self.body.as_ref().is_some_and(Body::is_end_stream) {
                    self.tail = b"\r\n0\r\n\r\n";
                    self.ended();
                }
            }
            OutFraming::Close | OutFraming::Ended => {}
        }
        self.data = data;
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), BoxError> {
        match self.ended() {
            OutFraming::Length(1..) => return Err("the body is shorter than it said".into()),
            OutFraming::Length(0) | OutFraming::Close | OutFraming::Ended => {}
            OutFraming::Chunked(announced) => {
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

    fn ended(&mut self) -> OutFraming {
        self.body = None;
        std::mem::replace(&mut self.framing, OutFraming::Ended)
    }

    /// Makes room for another line, after a head that has not been written yet.
    fn next_line(&mut self) {
        if self.sent == self.line.len() {
            self.line.clear();
            self.sent = 0;
        }
    }
}

/// The trailers that a head announces, without those that would change how the message is interpreted.
pub(in crate::plane) fn trailers_announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let names = headers.get_all(header::TRAILER).iter().filter_map(|names| names.to_str().ok());
    let names = names.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse().ok());
    names.filter(|name| !NEVER_TRAILERS.contains(name)).collect()
}

/// Appends a header line.
pub(in crate::plane) fn field(line: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    line.extend_from_slice(name.as_str().as_bytes());
    line.extend_from_slice(b": ");
    line.extend_from_slice(value.as_bytes());
    line.extend_from_slice(b"\r\n");
}
