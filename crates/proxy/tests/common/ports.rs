//! Ports for servers that a test starts.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A free port that stays free until the test uses it: it is below the range from which the kernel assigns ports, and
/// each process (one per test) starts its search at a different place.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 1500 * 8).unwrap();
    let mut ports =
        std::iter::repeat_with(|| 20_000 + (first + TAKEN.fetch_add(1, Ordering::SeqCst)) % 12_000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
