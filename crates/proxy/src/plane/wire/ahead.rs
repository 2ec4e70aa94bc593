//! A stream whose bytes are read ahead into a buffer.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Reads up to this size go through the stack, so that the buffer takes only as much memory as they need.
const SMALL: usize = 16 << 10;

/// A stream, and the bytes that have arrived but are not used yet.
#[derive(Debug)]
pub(in crate::plane) struct Ahead<S> {
    pub(in crate::plane) stream: S,
    pub(in crate::plane) buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ahead<S> {
    pub(in crate::plane) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Reads what is available into the buffer, up to about `size` bytes. Zero bytes mean the end.
    pub(in crate::plane) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        if size > SMALL {
            self.buffer.reserve(size);
            return pin!(self.stream.read_buf(&mut self.buffer)).poll(cx);
        }
        let mut room = [MaybeUninit::uninit(); SMALL];
        let mut read = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        self.buffer.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    pub(in crate::plane) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let length = self.buffer.len().min(into.remaining());
        into.put_slice(&self.buffer[..length]);
        self.buffer.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
