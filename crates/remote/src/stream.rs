//! The byte stream beneath an SSH connection: a TCP socket, a channel of a jump host, or a local command. The wrapper
//! [`Guarded`] adds two things that russh lacks.
//!
//! A connection can be *cut* from outside: russh reads in a separate task, which would wait forever for a server that
//! accepts and stays silent. And a write that makes no progress fails after a while: russh sends keepalives from the
//! task that writes, so a full socket to a dead server would block both.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, Sleep};

use crate::backlog::Backlog;

pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A stream that ends when its [`Cut`] is dropped, or when a write stalls.
pub(crate) struct Guarded {
    inner: Box<dyn Bytes>,
    cut: oneshot::Receiver<()>,
    stalled: Option<Pin<Box<Sleep>>>,
    /// How long a write may make no progress.
    patience: Duration,
    heard: Heard,
    backlog: Backlog,
    _room: Option<OwnedSemaphorePermit>,
}

/// When the other side last sent something.
#[derive(Debug, Clone)]
pub(crate) struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Instant::now();
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).elapsed()
    }
}

/// Ends the connection when dropped.
#[derive(Debug)]
pub(crate) struct Cut(#[expect(dead_code, reason = "held for its drop")] oneshot::Sender<()>);

impl Guarded {
    pub(crate) fn new(
        inner: Box<dyn Bytes>,
        patience: Duration,
        backlog: Backlog,
        room: Option<OwnedSemaphorePermit>,
    ) -> (Self, Cut, Heard) {
        let (sender, cut) = oneshot::channel();
        let heard = Heard(Arc::new(Mutex::new(Instant::now())));
        let stream = Self { inner, cut, stalled: None, patience, heard: heard.clone(), backlog, _room: room };
        (stream, Cut(sender), heard)
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match Pin::new(&mut self.cut).poll(cx) {
            Poll::Ready(_) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed on this side")),
            Poll::Pending => Ok(()),
        }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("nothing could be sent for {} s", patience.as_secs_f32()),
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        let poll = Pin::new(&mut self.inner).poll_read(cx, buf);
        if poll.is_ready() {
            self.heard.now();
        }
        poll
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = poll {
            self.backlog.sent(bytes);
        }
        self.watch(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, poll)
    }

    /// Never fails: russh would report the error in place of the reason why the connection ended.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx).map(|_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_cut_ends_a_read_that_waits() {
        let (near, _far) = tokio::io::duplex(64);
        let (mut stream, cut, _) =
            Guarded::new(Box::new(near), Duration::from_secs(25), Backlog::default(), None);
        let read = tokio::spawn(async move { stream.read_u8().await.unwrap_err().kind() });
        tokio::task::yield_now().await;
        drop(cut);
        assert_eq!(read.await.unwrap(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_is_an_error() {
        let (near, _far) = tokio::io::duplex(64);
        let (mut stream, _cut, _) =
            Guarded::new(Box::new(near), Duration::from_secs(25), Backlog::default(), None);
        let began = tokio::time::Instant::now();
        let error = stream.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 25));
    }
}
