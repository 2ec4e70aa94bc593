//! One connection to a target: a stream, what has been read ahead, and a way to end it from outside.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::cancel::Cancel;
use crate::target::{Registered, Target};

/// A connection to a target. It is used by one request at a time, in that request's task.
#[derive(Debug)]
pub(in crate::plane) struct Connection {
    stream: TcpStream,
    /// What has come and is not used yet.
    pub(super) buffer: BytesMut,
    cancel: Arc<Cancel>,
    _registered: Registered,
}

impl Connection {
    pub(super) async fn open(target: &Arc<Target>) -> io::Result<Self> {
        let stream = connect(target.host(), target.port()).await?;
        let cancel = Arc::new(Cancel::default());
        let registered = target.register(Arc::clone(&cancel));
        Ok(Self { stream, buffer: BytesMut::new(), cancel, _registered: registered })
    }

    pub(in crate::plane) fn cancel(&self) -> &Arc<Cancel> {
        &self.cancel
    }

    /// Reads more into the buffer, at most about `size`. Zero bytes are the end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<io::Result<usize>> {
        self.buffer.reserve(size);
        let read = pin!(self.stream.read_buf(&mut self.buffer)).poll(cx);
        self.unless_cancelled(cx, read)
    }

    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.unless_cancelled(cx, written)
    }

    fn unless_cancelled<T>(&self, cx: &Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() || self.cancel.wakes(cx.waker()) {
            return polled;
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// Whether nothing has come on an idle connection, neither bytes nor its end, as far as the runtime has seen.
    pub(super) fn is_quiet(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0]);
        !self.cancel.is_cancelled() && nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same, but asks the system, for requests that cannot be sent again.
    pub(super) fn is_open(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let nothing = rustix::net::recv(&self.stream, &mut [0_u8; 1], flags);
        nothing.is_err_and(|error| error == rustix::io::Errno::AGAIN)
    }
}

/// Connects to the first address of a host that accepts.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = match host.parse::<IpAddr>() {
        Ok(address) => TcpStream::connect((address, port)).await?,
        Err(_) => TcpStream::connect((host, port)).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// For connections that have switched to another protocol.
impl AsyncRead for Connection {
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

impl AsyncWrite for Connection {
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
