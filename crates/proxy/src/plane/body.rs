//! Bodies in transit to targets and clients.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

use super::client::Client;
use super::record::RequestRecord;
use super::upstream::AnswerBody;
use super::worker::tick;
use super::{http1, http2};
use crate::compress::Packed;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes per read from disk.
const CHUNK: usize = 64 << 10;

#[derive(Debug)]
pub(super) enum RequestBody {
    /// Forwarded as it arrives.
    Incoming(FromClient),
    /// Read whole beforehand.
    Spooled(Spooled),
}

impl RequestBody {
    pub(super) fn of(client: &Arc<Client>, body: Received) -> Self {
        Self::Incoming(FromClient { body, client: Arc::clone(client) })
    }

    /// The client's connection, for use after HTTP has ended on it.
    pub(super) fn upgrade(&self) -> Option<http1::Upgraded> {
        match self {
            Self::Incoming(body) => body.body.upgrade(),
            Self::Spooled(_) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Incoming(body) => Pin::new(body).poll_frame(cx),
            Self::Spooled(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(body) => body.is_end_stream(),
            Self::Spooled(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(body) => body.size_hint(),
            Self::Spooled(body) => body.size_hint(),
        }
    }
}

#[derive(Debug)]
pub(super) enum Received {
    Http1(http1::Body),
    Http2(http2::Body),
}

impl Received {
    pub(super) fn upgrade(&self) -> Option<http1::Upgraded> {
        match self {
            Self::Http1(body) => Some(body.upgrade()),
            Self::Http2(_) => None,
        }
    }
}

/// The body of a client's request. The worker detects a client that stops sending it.
#[derive(Debug)]
pub(super) struct FromClient {
    body: Received,
    client: Arc<Client>,
}

impl Body for FromClient {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = match &mut self.body {
            Received::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Received::Http2(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        };
        self.client.awaits_body(polled.is_pending(), tick());
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Received::Http1(body) => body.is_end_stream(),
            Received::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Received::Http1(body) => body.size_hint(),
            Received::Http2(body) => body.size_hint(),
        }
    }
}

impl Drop for FromClient {
    fn drop(&mut self) {
        self.client.awaits_body(false, tick());
    }
}

/// A body that was read whole: the start is in memory, the rest in a file.
#[derive(Debug, Default)]
pub(super) struct Spooled {
    pub memory: VecDeque<Bytes>,
    pub file: Option<tokio::fs::File>,
    /// Remaining bytes, in memory and file together.
    pub left: u64,
    pub trailers: Option<http::HeaderMap>,
}

impl Body for Spooled {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if let Some(bytes) = this.memory.pop_front() {
            this.left -= bytes.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if this.left > 0
            && let Some(file) = &mut this.file
        {
            let mut chunk = vec![0; CHUNK];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(file).poll_read(cx, &mut read))?;
            let length = read.filled().len();
            if length == 0 {
                return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
            }
            chunk.truncate(length);
            this.left = this.left.saturating_sub(length as u64);
            return Poll::Ready(Some(Ok(Frame::data(chunk.into()))));
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A body in transit to a client, with the request that ends with it.
pub(super) struct Outgoing {
    kind: BodySource,
    open: Option<Box<RequestRecord>>,
}

pub(super) enum BodySource {
    Empty,
    /// From the proxy itself.
    Whole(Bytes),
    /// From a target, as it arrives.
    Target(AnswerBody),
    /// From a target, read whole beforehand.
    Spooled(Spooled),
    /// From a target, compressed on the way.
    Packed(Box<Packed<Outgoing>>),
}

impl Outgoing {
    /// A body without its [`RequestRecord`], which [`Self::belongs_to`] adds.
    pub(super) fn new(kind: BodySource) -> Self {
        Self { kind, open: None }
    }

    /// Adds the request, which is logged when the body ends.
    pub(super) fn belongs_to(mut self, open: Box<RequestRecord>) -> Self {
        self.open = Some(open);
        self
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = match &mut this.kind {
            BodySource::Empty => Poll::Ready(None),
            BodySource::Whole(bytes) if !bytes.has_remaining() => Poll::Ready(None),
            BodySource::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            BodySource::Target(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            BodySource::Spooled(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            BodySource::Packed(body) => {
                Pin::new(&mut **body).poll_frame(cx).map_err(|error| error.to_string().into())
            }
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(open)) = (&polled, &mut this.open)
            && let Some(data) = frame.data_ref()
        {
            open.sent(data.len());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            BodySource::Empty => true,
            BodySource::Whole(bytes) => bytes.is_empty(),
            BodySource::Target(body) => body.is_end_stream(),
            BodySource::Spooled(body) => body.is_end_stream(),
            BodySource::Packed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            BodySource::Empty => SizeHint::with_exact(0),
            BodySource::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            BodySource::Target(body) => body.size_hint(),
            BodySource::Spooled(body) => body.size_hint(),
            BodySource::Packed(body) => body.size_hint(),
        }
    }
}
