//! One address that requests go to: its health, its open requests, and its connections.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use tokio::sync::Notify;

use crate::cancel::Cancel;
use crate::lock;
use crate::options::is_target;
use crate::plane::upstream::Pool;
use crate::stats::Counter;

pub struct Target {
    name: Arc<str>,
    host: Box<str>,
    port: u16,
    header: HeaderValue,
    health: AtomicU8,
    draining: AtomicBool,
    cancelled: AtomicBool,
    cancels: AtomicUsize,
    requests: AtomicUsize,
    streams: AtomicUsize,
    emptied: Notify,
    connections: Mutex<HashMap<u64, Arc<Cancel>>>,
    next_connection: AtomicU64,
    pools: Box<[Pool]>,
    stats: Counter,
}

/// The last result of the health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// Not checked yet.
    Adding,
    Healthy,
    Unhealthy,
}

impl Health {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adding => "adding",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{0} :invalid host pattern")]
pub struct InvalidTarget(String);

impl Target {
    /// Creates a target that has not been checked yet, with a pool of connections per worker.
    pub fn new(name: &str, workers: usize) -> Result<Self, InvalidTarget> {
        let invalid = || InvalidTarget(name.to_owned());
        if !is_target(name) {
            return Err(invalid());
        }
        let (host, port) = split(name).ok_or_else(invalid)?;
        Ok(Self {
            host: host.into(),
            port,
            header: HeaderValue::from_str(name).map_err(|_| invalid())?,
            name: name.into(),
            health: AtomicU8::new(Health::Adding as u8),
            draining: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            cancels: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            emptied: Notify::new(),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(0),
            pools: (0..workers).map(|_| Pool::default()).collect(),
            stats: Counter::default(),
        })
    }

    /// The name it was deployed with.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 80 if the name has no port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of `X-Kamal-Target`.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    pub fn stats(&self) -> &Counter {
        &self.stats
    }

    pub(crate) fn pool(&self, worker: usize) -> &Pool {
        &self.pools[worker % self.pools.len()]
    }

    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Adding,
            1 => Health::Healthy,
            _ => Health::Unhealthy,
        }
    }

    /// Sets the health and returns the previous one.
    pub fn set_health(&self, health: Health) -> Health {
        let was = self.health();
        self.health.store(health as u8, Ordering::Relaxed);
        was
    }

    pub fn is_healthy(&self) -> bool {
        self.health() == Health::Healthy
    }

    /// Whether the target refuses new requests.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Whether a drain has reached its deadline and cut off what was open.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// How often a drain has cut off what was open. The target of a paused service accepts requests again, so a
    /// request that was cut off can detect it only by this number.
    pub fn cancels(&self) -> usize {
        self.cancels.load(Ordering::SeqCst)
    }

    /// Starts a request, unless the target is draining. Then the request must be routed again.
    ///
    /// The counter goes up before the flag is read, and [`Target::start_drain`] sets the flag before the counter is
    /// read, so that one of the two always sees the other.
    pub fn begin(self: &Arc<Self>) -> Option<InFlight> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let begun = InFlight { target: Arc::clone(self), stream: false };
        (!self.is_draining()).then_some(begun)
    }

    /// Refuses new requests from now on, and closes idle connections.
    pub(crate) fn start_drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.close_idle();
    }

    pub(crate) fn end_drain(&self) {
        self.cancelled.store(false, Ordering::SeqCst);
        self.draining.store(false, Ordering::SeqCst);
    }

    pub(crate) fn close_idle(&self) {
        for pool in &self.pools {
            pool.clear();
        }
    }

    /// Open requests that are not streams.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Open WebSockets and event streams.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::SeqCst)
    }

    /// Resolves when a request or a stream of a draining target has ended.
    pub(crate) fn ended(&self) -> tokio::sync::futures::Notified<'_> {
        self.emptied.notified()
    }

    /// Cancels open WebSockets and event streams.
    pub(crate) fn cancel_streams(&self) {
        for connection in lock(&self.connections).values().filter(|connection| connection.is_streaming()) {
            connection.cancel();
        }
    }

    /// Cancels everything that is open.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.cancels.fetch_add(1, Ordering::SeqCst);
        for connection in lock(&self.connections).values() {
            connection.cancel();
        }
    }

    /// Registers a connection, so that a drain can cancel it. Dropping the returned entry unregisters it.
    pub(crate) fn register(self: &Arc<Self>, connection: Arc<Cancel>) -> Registered {
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let mut connections = lock(&self.connections);
        if self.is_cancelled() {
            connection.cancel();
        }
        connections.insert(id, connection);
        Registered { target: Arc::downgrade(self), id }
    }

    fn one_less(&self, counter: &AtomicUsize) {
        counter.fetch_sub(1, Ordering::SeqCst);
        if self.is_draining() {
            self.emptied.notify_waiters();
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("name", &self.name)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

/// A request that counts as open on its target until this is dropped.
#[derive(Debug)]
pub struct InFlight {
    target: Arc<Target>,
    stream: bool,
}

impl InFlight {
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Counts the request as a WebSocket or an event stream from now on. Drains have a separate deadline for these.
    pub fn becomes_stream(&mut self) {
        if !self.stream {
            self.stream = true;
            self.target.streams.fetch_add(1, Ordering::SeqCst);
            self.target.one_less(&self.target.requests);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let target = &self.target;
        target.one_less(if self.stream { &target.streams } else { &target.requests });
    }
}

/// Keeps a connection registered with its target until dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    target: std::sync::Weak<Target>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(target) = self.target.upgrade() {
            lock(&target.connections).remove(&self.id);
        }
    }
}

/// Splits `host[:port]` or `[v6][:port]`. The default port is 80.
fn split(name: &str) -> Option<(&str, u16)> {
    if let Some(rest) = name.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return Some((host, port.strip_prefix(':').map_or(Some(80), |port| port.parse().ok())?));
    }
    match name.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((name, 80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports() {
        let of = |name| Target::new(name, 1).map(|t| (t.host().to_owned(), t.port()));
        assert_eq!(of("web"), Ok(("web".into(), 80)));
        assert_eq!(of("web:3000"), Ok(("web".into(), 3000)));
        assert_eq!(of("[::1]:3000"), Ok(("::1".into(), 3000)));
        assert_eq!(of("[::1]"), Ok(("::1".into(), 80)));
        assert_eq!(of("http://web").unwrap_err().to_string(), "http://web :invalid host pattern");
    }

    #[test]
    fn a_draining_target_takes_no_request_and_counts_those_it_has() {
        let target = Arc::new(Target::new("web", 1).unwrap());
        let mut first = target.begin().unwrap();
        target.start_drain();
        assert!(target.begin().is_none());
        assert_eq!((target.requests(), target.streams()), (1, 0));
        first.becomes_stream();
        assert_eq!((target.requests(), target.streams()), (0, 1));
        drop(first);
        assert_eq!((target.requests(), target.streams()), (0, 0));
        target.end_drain();
        assert!(target.begin().is_some());
    }
}
