//! One connection of a client: who it is, and what it is doing, for those that keep it too long.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use http::HeaderValue;

/// How the client speaks to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Seconds since the worker started: precise enough for time-outs, and free to read.
pub(super) type Tick = u32;

/// A client's connection. Only its own worker reads and writes what changes; atomics are there because streams have to be `Send`.
#[derive(Debug)]
pub(super) struct Client {
    /// The address, by the PROXY protocol if that is on.
    pub address: IpAddr,
    /// The port to it.
    pub client_port: u16,
    /// The configured port it came in on.
    pub port: u16,
    /// How it speaks to us.
    pub scheme: Scheme,
    address_header: HeaderValue,
    in_progress: AtomicU32,
    phase_since: AtomicU32,
    head_begun: AtomicBool,
    write_blocked: Since,
    body_awaited: Since,
}

/// How long a connection may stay in one phase, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) head: Tick,
    pub(super) idle: Tick,
    /// For each piece of a body, in either direction.
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
            // A client connects to say something: the time for the head runs from here.
            head_begun: AtomicBool::new(true),
            write_blocked: Since::default(),
            body_awaited: Since::default(),
        }
    }

    /// The address as the value of a header.
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

    /// Bytes came in. Between requests they are the start of a head.
    pub(super) fn read(&self, now: Tick) {
        if self.in_progress.load(Relaxed) == 0 && !self.head_begun.swap(true, Relaxed) {
            self.phase_since.store(now, Relaxed);
        }
    }

    /// Whether the client takes what is written.
    pub(super) fn wrote(&self, blocked: bool, now: Tick) {
        self.write_blocked.set(blocked, now);
    }

    /// Whether a request's body is waited for.
    pub(super) fn awaits_body(&self, waiting: bool, now: Tick) {
        self.body_awaited.set(waiting, now);
    }

    /// Whether it has been in its present phase for too long.
    pub(super) fn is_overdue(&self, now: Tick, patience: Patience) -> bool {
        let passed = |since: Tick, limit: Tick| now.saturating_sub(since) > limit;
        let stuck = |since: &Since| since.get().is_some_and(|since| passed(since, patience.body));
        if stuck(&self.write_blocked) || stuck(&self.body_awaited) {
            return true;
        }
        let limit = if self.head_begun.load(Relaxed) { patience.head } else { patience.idle };
        self.in_progress.load(Relaxed) == 0 && passed(self.phase_since.load(Relaxed), limit)
    }
}

/// Since when something has been going on, if it is.
#[derive(Debug)]
struct Since(AtomicU32);

impl Default for Since {
    fn default() -> Self {
        Self(AtomicU32::new(Tick::MAX))
    }
}

impl Since {
    /// Notes that it goes on, or that it does not. The first moment counts.
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
        assert!(!client.is_overdue(10, PATIENCE));
        assert!(client.is_overdue(11, PATIENCE));
    }

    #[test]
    fn a_request_may_take_its_time_but_not_a_body_or_a_reader_that_stalls() {
        let client = client();
        client.request_begun();
        assert!(!client.is_overdue(1000, PATIENCE));
        client.awaits_body(true, 1000);
        assert!(client.is_overdue(1031, PATIENCE));
        client.awaits_body(false, 1031);
        client.wrote(true, 1031);
        client.wrote(true, 1050);
        assert!(client.is_overdue(1062, PATIENCE));
        client.wrote(false, 1062);
        assert!(!client.is_overdue(2000, PATIENCE));
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4() {
        let client = Client::new("[::ffff:10.0.0.1]:9".parse().unwrap(), 80, Scheme::Http, 0);
        assert_eq!(client.address_header(), "10.0.0.1");
    }
}
