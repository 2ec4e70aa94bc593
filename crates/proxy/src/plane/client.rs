//! One client connection: its address and its phase, so that the worker can end connections that take too long.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use tokio::sync::Notify;

use super::Scheme;

/// Seconds since the worker started: precise enough for timeouts, and free to read.
pub(super) type Tick = u32;

/// A client's connection. Only its own worker accesses the mutable fields; they are atomics to make streams `Send`.
#[derive(Debug)]
pub(super) struct Client {
    /// The peer's address, from the PROXY protocol if that is on.
    pub address: IpAddr,
    pub client_port: u16,
    /// The configured port that the connection arrived on.
    pub port: u16,
    pub scheme: Scheme,
    address_header: HeaderValue,
    in_progress: AtomicU32,
    phase_since: AtomicU32,
    head_begun: AtomicBool,
    write_blocked: Since,
    body_awaited: Since,
    /// Set by the first request over HTTP/2. Ends the connection when notified.
    goodbye: OnceLock<Arc<Notify>>,
}

/// How long a connection may stay in each phase, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) head: Tick,
    pub(super) idle: Tick,
    /// For each part of a body, in either direction.
    pub(super) body: Tick,
}

impl Client {
    pub(super) fn new(peer: SocketAddr, port: u16, scheme: Scheme, now: Tick) -> Self {
        let address = peer.ip().to_canonical();
        let text = HeaderValue::from_str(&address.to_string());
        Self {
            address,
            client_port: peer.port(),
            port,
            scheme,
            address_header: text.unwrap_or_else(|_| HeaderValue::from_static("")),
            in_progress: AtomicU32::new(0),
            phase_since: AtomicU32::new(now),
            // A client connects to send a request, so the time for the head starts now.
            head_begun: AtomicBool::new(true),
            write_blocked: Since::default(),
            body_awaited: Since::default(),
            goodbye: OnceLock::new(),
        }
    }

    pub(super) fn address_header(&self) -> &HeaderValue {
        &self.address_header
    }

    pub(super) fn address_text(&self) -> &str {
        self.address_header.to_str().unwrap_or_default()
    }

    pub(super) fn request_begun(&self) {
        self.in_progress.fetch_add(1, Relaxed);
    }

    pub(super) fn request_ended(&self) {
        self.in_progress.fetch_sub(1, Relaxed);
        self.head_begun.store(false, Relaxed);
        self.phase_since.store(super::worker::tick(), Relaxed);
    }

    /// Notes that bytes arrived. Between requests, they are the start of a head.
    pub(super) fn read(&self, now: Tick) {
        if self.in_progress.load(Relaxed) == 0 && !self.head_begun.swap(true, Relaxed) {
            self.phase_since.store(now, Relaxed);
        }
    }

    /// Notes whether writing to the client is blocked.
    pub(super) fn wrote(&self, blocked: bool, now: Tick) {
        self.write_blocked.set(blocked, now);
    }

    /// Notes whether the proxy waits for a request's body.
    pub(super) fn awaits_body(&self, waiting: bool, now: Tick) {
        self.body_awaited.set(waiting, now);
    }

    /// Notes a request over HTTP/2. From then on, notifying `goodbye` ends the connection.
    pub(super) fn speaks_http2(&self, goodbye: &Arc<Notify>) {
        if self.goodbye.get().is_none() {
            let _ = self.goodbye.set(Arc::clone(goodbye));
        }
    }

    /// Whether the connection has been in its current phase for too long, and how to end it.
    pub(super) fn overdue(&self, now: Tick, patience: Patience) -> Option<Overdue<'_>> {
        let passed = |since: Tick, limit: Tick| now.saturating_sub(since) > limit;
        let stuck = |since: &Since| since.get().is_some_and(|since| passed(since, patience.body));
        if stuck(&self.write_blocked) || stuck(&self.body_awaited) {
            return Some(Overdue::Stuck);
        }
        // Blocked writes are the end of a response.
        if self.in_progress.load(Relaxed) > 0 || self.write_blocked.get().is_some() {
            return None;
        }
        let since = self.phase_since.load(Relaxed);
        if let Some(goodbye) = self.goodbye.get() {
            // Over HTTP/2, bytes between requests need not start a request.
            return passed(since, patience.idle).then_some(Overdue::Http2(goodbye));
        }
        let limit = if self.head_begun.load(Relaxed) { patience.head } else { patience.idle };
        passed(since, limit).then_some(Overdue::Stuck)
    }
}

/// How to end an overdue connection.
#[derive(Debug)]
pub(super) enum Overdue<'a> {
    /// Close it.
    Stuck,
    /// Notify it, because it is idle and the client may be sending the next request at this moment.
    Http2(&'a Notify),
}

/// The time when something started, while it is going on.
#[derive(Debug)]
struct Since(AtomicU32);

impl Default for Since {
    fn default() -> Self {
        Self(AtomicU32::new(Tick::MAX))
    }
}

impl Since {
    /// Notes whether it is going on. The first of several starts counts.
    fn set(&self, going_on: bool, now: Tick) {
        let known = self.0.load(Relaxed);
        if going_on != (known != Tick::MAX) {
            self.0.store(if going_on { now } else { Tick::MAX }, Relaxed);
        }
    }

    fn get(&self) -> Option<Tick> {
        Some(self.0.load(Relaxed)).filter(|since| *since != Tick::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { head: 10, idle: 60, body: 30 };

    fn client() -> Client {
        Client::new(([127, 0, 0, 1], 9).into(), 80, Scheme::Http, 0)
    }

    #[test]
    fn a_head_has_to_be_complete_in_time_however_it_trickles() {
        let client = client();
        client.read(9);
        assert!(client.overdue(10, PATIENCE).is_none());
        assert!(client.overdue(11, PATIENCE).is_some());
    }

    #[test]
    fn a_request_may_take_its_time_but_not_a_body_or_a_reader_that_stalls() {
        let client = client();
        client.request_begun();
        assert!(client.overdue(1000, PATIENCE).is_none());
        client.awaits_body(true, 1000);
        assert!(client.overdue(1031, PATIENCE).is_some());
        client.awaits_body(false, 1031);
        client.wrote(true, 1031);
        client.wrote(true, 1050);
        assert!(client.overdue(1062, PATIENCE).is_some());
        client.wrote(false, 1062);
        assert!(client.overdue(2000, PATIENCE).is_none());
    }

    #[test]
    fn an_answer_that_is_still_being_written_is_not_idleness() {
        let client = client();
        client.request_begun();
        client.wrote(true, 1);
        client.request_ended();
        let hurry = Patience { idle: 1, ..PATIENCE };
        assert!(client.overdue(20, hurry).is_none());
        client.wrote(false, 20);
        assert!(client.overdue(20, hurry).is_some());
    }

    #[test]
    fn an_idle_http2_connection_is_told_to_end_whatever_came_in_between_requests() {
        let client = client();
        client.speaks_http2(&Arc::default());
        client.request_begun();
        client.request_ended();
        client.read(1);
        assert!(client.overdue(61, PATIENCE).is_none());
        assert!(matches!(client.overdue(62, PATIENCE), Some(Overdue::Http2(_))));
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4() {
        let client = Client::new("[::ffff:10.0.0.1]:9".parse().unwrap(), 80, Scheme::Http, 0);
        assert_eq!(client.address_header(), "10.0.0.1");
    }
}
