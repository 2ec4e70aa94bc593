//! Forwarded ports. The server is this machine, so a test can connect to them like a program on the server.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bowline_engine::ports::{Accept, Stream};
use common::*;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::net::TcpStream;

/// Sends its name, then echoes its input.
struct Echo(u8);

impl Accept for Echo {
    fn accept(&self, stream: Box<dyn Stream>) -> BoxFuture<'static, ()> {
        let name = self.0;
        Box::pin(async move {
            let (mut from, mut to) = split(stream);
            to.write_all(&[name]).await.unwrap();
            let _ = copy(&mut from, &mut to).await;
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_port_leads_to_who_asked_for_it_until_it_is_dropped() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let one = server.listen(Arc::new(Echo(b'1'))).await.unwrap().expect("sshd lets us");
    let two = server.listen(Arc::new(Echo(b'2'))).await.unwrap().expect("and again");
    assert_ne!(one.port, two.port);
    let mut streams = Vec::new();
    for (port, name) in [(one.port, b'1'), (two.port, b'2'), (one.port, b'1')] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), name);
        stream.write_all(b"hello").await.unwrap();
        let mut said = [0; 5];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello");
        streams.push(stream);
    }
    let port = one.port;
    drop(one);
    // Open connections end with it, and so does the port.
    for at in [0, 2] {
        let end = tokio::time::timeout(Duration::from_secs(10), streams[at].read_u8()).await.unwrap();
        assert!(end.is_err(), "{end:?}");
    }
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        assert!(Instant::now() < until, "the port stays open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(TcpStream::connect(("127.0.0.1", two.port)).await.unwrap().read_u8().await.unwrap(), b'2');
    let strict = Sshd::with("AllowTcpForwarding no");
    assert!(strict.connect().await.listen(Arc::new(Echo(b'3'))).await.unwrap().is_none());
}

struct Flood;

impl Accept for Flood {
    fn accept(&self, mut stream: Box<dyn Stream>) -> BoxFuture<'static, ()> {
        Box::pin(async move { while stream.write_all(&[0; 64 * 1024]).await.is_ok() {} })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_answered_while_as_much_passes_as_can_or_nobody_takes_it() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let flood = server.listen(Arc::new(Flood)).await.unwrap().expect("sshd lets us");
    // One client reads everything, the other nothing.
    let mut taker = TcpStream::connect(("127.0.0.1", flood.port)).await.unwrap();
    let _idle = TcpStream::connect(("127.0.0.1", flood.port)).await.unwrap();
    let taking = tokio::spawn(async move {
        let mut taken = 0;
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = taker.read(&mut buffer).await {
            taken += length;
        }
        taken
    });
    for _ in 0..20 {
        let began = Instant::now();
        let output = server.run(&step("echo there"), Some(SOON), &|_| {}).await.unwrap();
        assert_eq!(output.stdout, "there\n");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    drop(flood);
    assert!(taking.await.unwrap() > 1024 * 1024);
}
