//! Remote port forwarding (`ssh -R`): sshd passes connections to `127.0.0.1:PORT` on the server to us as channels.

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

/// The forwarded ports of a connection. Requests from the server for any other port are refused.
#[derive(Clone)]
pub(crate) struct Forwards {
    ports: Arc<Mutex<BTreeMap<u32, Forward>>>,
    backlog: Backlog,
}

/// Accepts a port's connections. They end when the sender of `over` is dropped.
#[derive(Clone)]
struct Forward {
    accept: Arc<dyn Accept>,
    over: watch::Receiver<()>,
}

impl Forwards {
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

/// Keeps a forwarded port open. When this is dropped, the port closes and its connections end.
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

/// Asks sshd to open a port. Returns `None` if it refuses.
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

pub(crate) fn pass(forwards: &Forwards, port: u32, channel: Channel<Msg>, reply: ChannelOpenHandle) {
    let Some(Forward { accept, mut over }) = forwards.ports().get(&port).cloned() else {
        // Dropping `reply` refuses the connection.
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
