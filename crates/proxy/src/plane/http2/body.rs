//! The body of a request over HTTP/2.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::header::{self, HeaderMap};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

#[derive(Debug)]
pub(in crate::plane) struct Body {
    stream: RecvStream,
    /// Remaining bytes, if the client declared the length.
    left: Option<u64>,
    /// Whether all data has been read, so that only trailers can follow.
    read: bool,
}

impl Body {
    pub(super) fn new(stream: RecvStream, headers: &HeaderMap) -> Self {
        let length =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let left = if stream.is_end_stream() { Some(length.unwrap_or(0)) } else { length };
        Self { stream, left, read: false }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        // A client that resets its request without an error only needs the response.
        let unless_content =
            |error: h2::Error| (error.reason() != Some(Reason::NO_ERROR)).then_some(Err(error));
        if !self.read {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // This only fails for more bytes than were received.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(unless_content(error)),
                None => self.read = true,
            }
        }
        Poll::Ready(match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => unless_content(error),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
