//! The state that a client's connection shares with the body of its current request.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{Response, StatusCode};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;

use super::answer;
use super::head::{self, Head};
use super::stream::Io;
use crate::plane::wire::head::MAX_HEAD;
use crate::plane::wire::{Ahead, Framing, Next};

const ROOM: usize = 16 << 10;
/// Bytes of an unread body that are read to keep the connection.
const MAX_UNREAD: usize = 256 << 10;
/// Bytes of interim responses that may wait for a slow client.
const MAX_INTERIM: usize = MAX_HEAD;
/// Tells a client to send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client's connection after HTTP has ended on it.
pub(in crate::plane) type Upgraded = oneshot::Receiver<Ahead<Io>>;

pub(super) struct Link {
    /// `None` once it has been handed over.
    io: Option<Ahead<Io>>,
    /// The number of the current request.
    number: u64,
    /// The rest of its body.
    framing: Framing,
    /// Whether the client waits for `100 Continue` before it sends the body.
    expects: bool,
    /// Unsent bytes of interim responses.
    interim: BytesMut,
    reading: Reading,
    /// The task that waits for the end of the body.
    waiting: Option<Waker>,
    upgrade: Option<oneshot::Sender<Ahead<Io>>>,
}

/// The state of the current request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// It is being read, or may still be.
    Open,
    /// It has been dropped, so nothing reads the rest.
    Dropped,
    /// Reading failed.
    Broken,
}

impl Link {
    pub(super) fn new(io: Io) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            io: Some(Ahead::new(io)),
            number: 0,
            framing: Framing::ENDED,
            expects: false,
            interim: BytesMut::new(),
            reading: Reading::Dropped,
            waiting: None,
            upgrade: None,
        }))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.io.as_mut().map_or(Poll::Ready(Ok(0)), |io| io.poll_fill(cx, ROOM))
    }

    /// Reads the next request: `None` at the end of the connection. The inner error is the status for invalid HTTP.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Result<Head, StatusCode>>>> {
        let mut known = 0;
        loop {
            let Some(io) = &mut self.io else { return Poll::Ready(Ok(None)) };
            let length = io.buffer.len();
            if length > 0 && (known == 0 || length > MAX_HEAD || head::may_be_complete(&io.buffer, known)) {
                match head::parse(&mut io.buffer) {
                    Ok(None) => {}
                    Ok(Some(head)) => return Poll::Ready(Ok(Some(Ok(self.begin(head))))),
                    Err(status) => return Poll::Ready(Ok(Some(Err(status)))),
                }
            }
            known = length;
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }

    fn begin(&mut self, head: Head) -> Head {
        self.number += 1;
        self.framing = head.framing;
        self.expects = head.expects;
        self.reading = Reading::Open;
        self.upgrade = None;
        head
    }

    /// Resolves when the client leaves while it waits for a response. Keeps what the client sends in the meantime.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.framing.is_ended() && self.io.as_ref().is_some_and(|io| io.buffer.len() < MAX_HEAD) {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    /// Queues an interim response, or drops it if there is no room.
    pub(super) fn say(&mut self, response: &Response<()>) {
        let head = answer::interim(response);
        if self.interim.len() + head.len() <= MAX_INTERIM {
            self.interim.extend_from_slice(&head);
        }
    }

    /// Sends the queued interim responses.
    pub(super) fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(io) = &mut self.io else { return Poll::Ready(Ok(())) };
        while !self.interim.is_empty() {
            match ready!(Pin::new(&mut io.stream).poll_write(cx, &self.interim))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.interim.advance(sent),
            }
            if self.interim.is_empty() {
                self.interim = BytesMut::new();
                // What is not flushed yet goes out with the next write.
                let _ = Pin::new(&mut io.stream).poll_flush(cx)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Some(io) => io.poll_send(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().map_or(Poll::Ready(Ok(())), |io| Pin::new(io).poll_flush(cx))
    }

    /// Announces the end of the connection. Without TLS, closing it is enough.
    pub(super) fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Some(Ahead { stream: Io::Tls(stream), .. }) => Pin::new(stream).poll_shutdown(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Waits until the current request has been read to its end. Returns false if the connection can't be used again.
    pub(super) fn poll_read_to_end(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match self.reading {
            _ if self.framing.is_ended() => Poll::Ready(true),
            Reading::Broken => Poll::Ready(false),
            Reading::Open => {
                self.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
            Reading::Dropped => Poll::Ready(self.skips_body(cx)),
        }
    }

    /// Skips the rest of an unread body. Returns false if the rest has not arrived yet.
    fn skips_body(&mut self, cx: &mut Context<'_>) -> bool {
        let mut left = MAX_UNREAD;
        // A client that waits for `100 Continue` may send its body or another request.
        while !self.expects && left > 0 {
            let Some(io) = &mut self.io else { return false };
            match self.framing.next(&mut io.buffer) {
                Ok(Next::Piece(_)) => {}
                Ok(Next::End) => return true,
                Ok(Next::More(_)) => match io.poll_fill(cx, ROOM) {
                    Poll::Ready(Ok(read @ 1..)) => left = left.saturating_sub(read),
                    _ => return false,
                },
                Err(_) => return false,
            }
        }
        false
    }

    /// Hands the connection over to the receiver that [`Body::upgrade`] returned.
    pub(super) fn hand_over(&mut self) {
        if let (Some(upgrade), Some(io)) = (self.upgrade.take(), self.io.take()) {
            let _ = upgrade.send(io);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Frame<Bytes>>>> {
        loop {
            let Some(io) = &mut self.io else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            match self.framing.next(&mut io.buffer)? {
                Next::Piece(frame) => return Poll::Ready(Ok(Some(frame))),
                Next::End => return Poll::Ready(Ok(None)),
                Next::More(_) => {}
            }
            if std::mem::take(&mut self.expects) {
                self.interim.extend_from_slice(CONTINUE);
            }
            // A client that doesn't read may still send.
            if let Poll::Ready(Err(error)) = self.poll_interim(cx) {
                return Poll::Ready(Err(error));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                self.framing.ends()?;
            }
        }
    }

    fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

/// Closes the connection when its task ends, even if something still holds the body of a request.
pub(super) struct Closing(Rc<RefCell<Link>>);

impl Closing {
    pub(super) fn new(link: &Rc<RefCell<Link>>) -> Self {
        Self(Rc::clone(link))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.borrow_mut().io = None;
    }
}

pub(in crate::plane) struct Body {
    link: Rc<RefCell<Link>>,
    number: u64,
}

impl Body {
    pub(super) fn new(link: &Rc<RefCell<Link>>) -> Self {
        Self { number: link.borrow().number, link: Rc::clone(link) }
    }

    /// The connection, for use after HTTP has ended on it.
    pub(in crate::plane) fn upgrade(&self) -> Upgraded {
        let (sender, upgraded) = oneshot::channel();
        self.link.borrow_mut().upgrade = Some(sender);
        upgraded
    }

    fn framing(&self) -> Framing {
        let link = self.link.borrow();
        if link.number == self.number { link.framing } else { Framing::ENDED }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("framing", &self.framing()).finish_non_exhaustive()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut link = self.link.borrow_mut();
        if link.number != self.number {
            return Poll::Ready(None);
        }
        let frame = ready!(link.poll_body(cx)).transpose();
        if matches!(frame, Some(Err(_))) {
            link.reading = Reading::Broken;
        }
        if link.framing.is_ended() || link.reading == Reading::Broken {
            link.wake();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.framing().is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.framing().size_hint()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let mut link = self.link.borrow_mut();
        if link.number == self.number && link.reading == Reading::Open {
            link.reading = Reading::Dropped;
            link.wake();
        }
    }
}
