//! Ports of this machine, lent to a server: what connects to `127.0.0.1:PORT` there reaches `127.0.0.1:PORT` here, as
//! with `ssh -R`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bowline_engine::ports::Held;
use russh::Channel;
use russh::client::{ChannelOpenHandle, Msg};
use tokio::net::TcpStream;

use crate::Result;
use crate::session::{Session, Stay, Staying};

const HERE: &str = "127.0.0.1";

/// The ports that are lent: a server reaches no others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lendings(Arc<Mutex<BTreeSet<u16>>>);

impl Lendings {
    fn ports(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port that is lent until this is dropped.
struct Lent {
    session: Arc<Session>,
    port: u16,
    _staying: Staying,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.session.lendings().ports().remove(&self.port);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (session, port) = (Arc::clone(&self.session), u32::from(self.port));
            runtime.spawn(async move {
                // If it fails, the connection is gone, and the port with it.
                let _ = session.handle().cancel_tcpip_forward(HERE, port).await;
            });
        }
    }
}

/// Lends a port; `None` if sshd does not let us have it there.
pub(crate) async fn lend(session: Arc<Session>, port: u16) -> Result<Option<Held>> {
    match session.handle().tcpip_forward(HERE, u32::from(port)).await {
        Ok(_) => {
            session.lendings().ports().insert(port);
            let _staying = session.stay(Stay::Port);
            Ok(Some(Box::new(Lent { session, port, _staying })))
        }
        Err(russh::Error::RequestDenied) => Ok(None),
        Err(_) => Err(session.lost()),
    }
}

/// Somebody on the server has connected: lets the bytes pass, if the port is lent and something listens here.
pub(crate) fn pass(lendings: &Lendings, port: u32, channel: Channel<Msg>, reply: ChannelOpenHandle) {
    let Some(port) = u16::try_from(port).ok().filter(|port| lendings.ports().contains(port)) else {
        // Dropped, the reply is a refusal.
        return;
    };
    tokio::spawn(async move {
        if let Ok(mut here) = TcpStream::connect((HERE, port)).await {
            reply.accept().await;
            // Whoever is at one of the ends sees that it broke.
            let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut here).await;
        }
    });
}
