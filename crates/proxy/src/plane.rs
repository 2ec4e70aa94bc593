//! The data plane: threads that accept connections and forward requests to targets.
//!
//! Each worker is a thread with its own runtime. All workers accept from the same listeners, and each has its own
//! connections to targets, so that a request never leaves its thread.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, watch};

use crate::client_address::Ranges;
use crate::error_pages::ErrorPages;
use crate::service::Services;
use crate::tls::Tls;

mod answers;
mod body;
mod client;
mod exchange;
mod forward;
mod guard;
mod headers;
mod http1;
mod http2;
mod io_watch;
mod listen;
mod record;
mod spool;
mod tunnel;
pub(crate) mod upstream;
mod wire;
mod worker;

/// Entry points for `bin/fuzz`.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    pub use super::http1::head::read_the_same_in_pieces as head;
    pub use super::wire::chunked::read_the_same_in_pieces as chunks;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub workers: usize,
    /// The configured port, for the log.
    pub http_port: u16,
    /// The configured port, for the log.
    pub https_port: u16,
    /// Until the head of a request is complete.
    pub header_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Between two parts of a body, in either direction.
    pub body_timeout: Duration,
    /// Open connections; more connections wait in the listeners' queues.
    pub max_connections: usize,
    /// Networks whose connections start with the PROXY protocol.
    pub balancers: Option<Ranges>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Accepts no new connections. Open ones end with their requests.
    Closing,
}

impl Phase {
    fn is_closing(self) -> bool {
        self == Self::Closing
    }
}

type Receiver = mpsc::UnboundedReceiver<listen::Accepted>;

struct Shared {
    services: Services,
    settings: Settings,
    tls: Option<Arc<Tls>>,
    pages: ErrorPages,
    phase: watch::Sender<Phase>,
    connections: AtomicUsize,
    ended: Notify,
    load: Box<[AtomicUsize]>,
    handover: Box<[mpsc::UnboundedSender<listen::Accepted>]>,
}

impl Shared {
    /// Also returns where each worker receives connections that others have accepted.
    fn new(services: Services, settings: Settings, tls: Option<Arc<Tls>>) -> (Self, Vec<Receiver>) {
        let (senders, receivers): (Vec<_>, _) =
            (0..settings.workers).map(|_| mpsc::unbounded_channel()).unzip();
        let shared = Self {
            services,
            tls,
            pages: ErrorPages::default(),
            phase: watch::Sender::new(Phase::Serving),
            connections: AtomicUsize::new(0),
            ended: Notify::new(),
            load: (0..settings.workers).map(|_| AtomicUsize::new(0)).collect(),
            handover: senders.into(),
            settings,
        };
        (shared, receivers)
    }

    fn port(&self, scheme: Scheme) -> u16 {
        match scheme {
            Scheme::Http => self.settings.http_port,
            Scheme::Https => self.settings.https_port,
        }
    }

    fn is_closing(&self) -> bool {
        self.phase.borrow().is_closing()
    }

    /// Waits until another connection is allowed.
    async fn take_place(&self) {
        let one_more = |open: usize| (open < self.settings.max_connections).then_some(open + 1);
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok() {
                return;
            }
            ended.await;
        }
    }

    fn connection_ended(&self) {
        let before = self.connections.fetch_sub(1, Ordering::Relaxed);
        if before >= self.settings.max_connections || before == 1 {
            self.ended.notify_waiters();
        }
    }

    /// The worker for a connection accepted by `own`. Handing it over costs more than a small difference in load.
    fn least_loaded(&self, own: usize) -> usize {
        let load = |worker: usize| self.load[worker].load(Ordering::Relaxed);
        let running = (0..self.load.len()).filter(|worker| !self.handover[*worker].is_closed());
        let least = running.min_by_key(|worker| load(*worker)).unwrap_or(own);
        if load(own) <= load(least) + load(least) / 8 { own } else { least }
    }
}

pub struct Plane {
    shared: Arc<Shared>,
}

impl Plane {
    pub fn start(
        services: Services,
        settings: Settings,
        tls: Option<Arc<Tls>>,
        listeners: &[(Scheme, &TcpListener)],
    ) -> io::Result<Self> {
        for (_, listener) in listeners {
            // Accepted connections inherit the option.
            socket2::SockRef::from(*listener).set_tcp_nodelay(true)?;
        }
        let (shared, receivers) = Shared::new(services, settings, tls);
        let shared = Arc::new(shared);
        for (id, receiver) in receivers.into_iter().enumerate() {
            let listeners = listeners
                .iter()
                .map(|(scheme, listener)| Ok((*scheme, listener.try_clone()?)))
                .collect::<io::Result<Vec<_>>>()?;
            let shared = Arc::clone(&shared);
            let run = move || run(id, shared, listeners, receiver);
            std::thread::Builder::new().name(format!("worker-{id}")).spawn(run)?;
        }
        Ok(Self { shared })
    }

    /// Stops accepting connections. Open ones end with their current requests, or soon if they are idle.
    pub fn close(&self) {
        self.shared.phase.send_replace(Phase::Closing);
    }

    /// Waits until no connection is open.
    pub async fn closed(&self) {
        loop {
            let mut ended = std::pin::pin!(self.shared.ended.notified());
            ended.as_mut().enable();
            if self.shared.connections.load(Ordering::Relaxed) == 0 {
                return;
            }
            ended.await;
        }
    }
}

fn run(id: usize, shared: Arc<Shared>, listeners: Vec<(Scheme, TcpListener)>, accepted: Receiver) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) else {
        return;
    };
    runtime.block_on(async move {
        let worker = std::rc::Rc::new(worker::Worker::new(id, shared));
        for (scheme, listener) in listeners {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                tokio::task::spawn_local(listen::accept(std::rc::Rc::clone(&worker), listener, scheme));
            }
        }
        tokio::task::spawn_local(listen::take_over(std::rc::Rc::clone(&worker), accepted));
        worker.watch().await;
    });
}
