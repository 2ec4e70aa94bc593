//! Limits the bytes that wait in this process on their way to a server. russh accepts writes to a channel while the
//! other side's window is open, and a window is megabytes. With many servers on slow connections, that would add up.
//! So all long streams go through [`Paced`]: forwarded connections, and the standard input of programs.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use russh::ChannelWriteHalf;
use russh::client::Msg;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// The limit in bytes. It exceeds what the kernel accepts at once, so that a connection never runs dry.
const MOST: usize = 128 * 1024;

/// The bytes of one SSH connection that channels have accepted and the kernel hasn't.
///
/// Writers count plain text, [`Self::sent`] counts packets, so the count is slightly too low until nothing waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    less: Arc<Notify>,
}

impl Backlog {
    pub(crate) fn sent(&self, bytes: usize) {
        let less = |waiting: usize| Some(waiting.saturating_sub(bytes));
        let _ = self.0.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        self.0.less.notify_waiters();
    }

    pub(crate) async fn write(&self, to: &ChannelWriteHalf<Msg>, bytes: &[u8]) -> io::Result<()> {
        Paced::new(Box::pin(to.make_writer()), self.clone()).write_all(bytes).await
    }

    fn is_full(&self) -> bool {
        self.0.bytes.load(Ordering::Acquire) >= MOST
    }
}

/// A stream that accepts writes only while the backlog is below the limit.
pub(crate) struct Paced<S> {
    inner: S,
    backlog: Backlog,
    less: Option<Pin<Box<OwnedNotified>>>,
}

impl<S> Paced<S> {
    pub(crate) fn new(inner: S, backlog: Backlog) -> Self {
        Self { inner, backlog, less: None }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.backlog.is_full() {
            let less = self.less.get_or_insert_with(|| {
                let mut less = Box::pin(Arc::clone(&self.backlog.0.less).notified_owned());
                // From here on, no notification is missed.
                less.as_mut().enable();
                less
            });
            if self.backlog.is_full() {
                ready!(less.as_mut().poll(cx));
            }
            self.less = None;
        }
        self.less = None;
        Poll::Ready(())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx));
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf));
        if let Ok(bytes) = written {
            self.backlog.0.bytes.fetch_add(bytes, Ordering::AcqRel);
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_channel_is_written_to_only_while_little_waits() {
        let backlog = Backlog::default();
        let mut channels = [(); 2].map(|()| Paced::new(tokio::io::sink(), backlog.clone()));
        let writing = tokio::spawn(async move {
            for _ in 0..64 {
                for channel in &mut channels {
                    channel.write_all(&[0; 16 * 1024]).await.unwrap();
                }
            }
        });
        let mut sent = 0;
        while !writing.is_finished() {
            // The clock is paused, so the writer writes as much as it can before this continues.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let waiting = backlog.0.bytes.load(Ordering::Acquire);
            assert!(waiting < MOST + 16 * 1024, "{waiting} bytes wait");
            backlog.sent(10_000);
            sent += 10_000;
        }
        assert!(sent >= 2 * 1024 * 1024 - MOST - 16 * 1024);
        writing.await.unwrap();
    }
}
