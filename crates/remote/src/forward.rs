//! Ports of a server that lead to us: sshd forwards each connection to `127.0.0.1:PORT` there as a channel, as with `ssh -R`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bowline_engine::ports::{Accept, Listening};
use russh::Channel;
use russh::client::{ChannelOpenHandle, Msg};
use tokio::sync::watch;

use crate::Result;
use crate::backlog::{Backlog, Paced};
use crate::session::{Session, Stay, Staying};

const THERE: &str = "127.0.0.1";

/// The ports that lead to us: programs on the server reach us in no other way.
#[derive(Clone)]
pub(crate) struct Forwards {
    ports: Arc<Mutex<BTreeMap<u32, Forward>>>,
    backlog: Backlog,
}

/// The acceptor of a port's connections, and its end.
#[derive(Clone)]
struct Forward {
    accept: Arc<dyn Accept>,
    over: watch::Receiver<()>,
}

impl Forwards {
    /// Those of the connection with this backlog: none yet.
    pub(crate) fn new(backlog: Backlog) -> Self {
        Self { ports: Arc::default(), backlog }
    }

    fn ports(&self) -> MutexGuard<'_, BTreeMap<u32, Forward>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Forwards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.ports().keys()).finish()
    }
}

/// A port that leads to us until this is dropped; its connections end with it.
struct Open {
    session: Arc<Session>,
    port: u32,
    _over: watch::Sender<()>,
    _staying: Staying,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.session.forwards().ports().remove(&self.port);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (session, port) = (Arc::clone(&self.session), self.port);
            runtime.spawn(async move {
                // If it fails, the connection is gone, and the port with it.
                let _ = session.handle().cancel_tcpip_forward(THERE, port).await;
            });
        }
    }
}

/// Asks sshd to open a port; `None` if it refuses.
pub(crate) async fn listen(session: Arc<Session>, accept: Arc<dyn Accept>) -> Result<Option<Listening>> {
    let port = match session.handle().tcpip_forward(THERE, 0).await {
        Ok(port) => port,
        Err(russh::Error::RequestDenied) => return Ok(None),
        Err(_) => return Err(session.lost()),
    };
    let Ok(number) = u16::try_from(port) else { return Ok(None) };
    let (_over, over) = watch::channel(());
    session.forwards().ports().insert(port, Forward { accept, over });
    let _staying = session.stay(Stay::Port);
    Ok(Some(Listening { port: number, held: Box::new(Open { session, port, _over, _staying }) }))
}

/// Passes a new connection to the port's acceptor, if the port is ours.
pub(crate) fn pass(forwards: &Forwards, port: u32, channel: Channel<Msg>, reply: ChannelOpenHandle) {
    let Some(Forward { accept, mut over }) = forwards.ports().get(&port).cloned() else {
        // Dropped, the reply is a refusal.
        return;
    };
    let backlog = forwards.backlog.clone();
    tokio::spawn(async move {
        reply.accept().await;
        // The channel is closed when its stream is dropped.
        tokio::select! {
            () = accept.accept(Box::new(Paced::new(channel.into_stream(), backlog))) => {}
            _ = over.changed() => {}
        }
    });
}
