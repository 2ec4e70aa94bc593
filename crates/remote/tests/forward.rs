//! A port of this machine, lent to a server and taken back. That bytes pass is a test of real servers: here the server
//! is this machine, where a port can't be both.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_had_on_the_server_until_it_is_taken_back() {
    if !possible() {
        return;
    }
    let sshd = Sshd::start();
    let (server, port) = (sshd.connect().await, free_port());
    let lent = server.lend(port).await.unwrap().expect("sshd lets us have it");
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "sshd listens");
    assert!(server.lend(port).await.unwrap().is_none(), "it is had once");
    drop(lent);
    let until = Instant::now() + Duration::from_secs(10);
    while TcpListener::bind(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "it was not taken back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let strict = Sshd::with("AllowTcpForwarding no");
    assert!(strict.connect().await.lend(port).await.unwrap().is_none());
}
