//! One connection to a target: a stream, the bytes read ahead, and a way to cancel it.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::net::RecvFlags;
use tokio::net::TcpStream;

use crate::cancel::Cancel;
use crate::plane::wire::Ahead;
use crate::target::{Registered, Target};

/// A connection to a target. One request at a time uses it, in that request's task.
#[derive(Debug)]
pub(in crate::plane) struct Connection {
    pub(super) io: Ahead<TcpStream>,
    cancel: Arc<Cancel>,
    _registered: Registered,
}

impl Connection {
    pub(super) async fn open(target: &Arc<Target>) -> io::Result<Self> {
        let stream = connect(target.host(), target.port()).await?;
        let cancel = Arc::new(Cancel::default());
        let registered = target.register(Arc::clone(&cancel));
        Ok(Self { io: Ahead::new(stream), cancel, _registered: registered })
    }

    pub(in crate::plane) fn cancel(&self) -> &Arc<Cancel> {
        &self.cancel
    }

    /// The stream of a connection that has switched to another protocol.
    pub(in crate::plane) fn stream(&mut self) -> &mut Ahead<TcpStream> {
        &mut self.io
    }

    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<io::Result<usize>> {
        let read = self.io.poll_fill(cx, size);
        self.unless_cancelled(cx, read)
    }

    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.io.poll_send(cx, bytes);
        self.unless_cancelled(cx, written)
    }

    fn unless_cancelled<T>(&self, cx: &Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() || self.cancel.wakes(cx.waker()) {
            return polled;
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// Whether nothing has arrived on an idle connection, neither bytes nor its end, as far as the runtime knows.
    pub(super) fn is_quiet(&self) -> bool {
        let nothing = self.io.stream.try_read(&mut [0]);
        !self.cancel.is_cancelled() && nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Like [`Self::is_quiet`], but asks the system. For requests that can't be sent again.
    pub(super) fn is_open(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let nothing = rustix::net::recv(&self.io.stream, &mut [0_u8; 1], flags);
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
