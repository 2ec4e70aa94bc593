//! Ports of a server that lead to us. The server is this machine, so a test connects to them as a program there would.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bowline_config::Ssh;
use bowline_engine::ports::{Accept, Network, Stream};
use bowline_registry::{Digest, Limits, Registry, Store};
use common::*;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::net::TcpStream;

/// Says back what it is told, in capitals of its own.
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
    if !possible() {
        return;
    }
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
    // Connections that are open end with it, and so does the port.
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

/// Sends without an end.
struct Flood;

impl Accept for Flood {
    fn accept(&self, mut stream: Box<dyn Stream>) -> BoxFuture<'static, ()> {
        Box::pin(async move { while stream.write_all(&[0; 64 * 1024]).await.is_ok() {} })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_answered_while_as_much_passes_as_can_or_nobody_takes_it() {
    if !possible() {
        return;
    }
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let flood = server.listen(Arc::new(Flood)).await.unwrap().expect("sshd lets us");
    // One takes what comes, the other nothing.
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

/// Hands a server's connections to the registry.
struct Serve(Arc<Registry>);

impl Accept for Serve {
    fn accept(&self, stream: Box<dyn Stream>) -> BoxFuture<'static, ()> {
        let registry = Arc::clone(&self.0);
        Box::pin(async move {
            let _ = registry.serve(stream, Arc::default()).await;
        })
    }
}

/// A registry of an image with a layer of so many bytes, and the path of that layer.
fn offered(directory: &std::path::Path, length: usize) -> (Arc<Registry>, String) {
    let layout = directory.join("layout");
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{}}}"#,
            bytes.len()
        )
    };
    let bytes = vec![7; length];
    let path = format!("/v2/app/blobs/{}", Digest::of(&bytes));
    let layer = blob("layer.v1.tar+gzip", &bytes);
    drop(bytes);
    let config = blob("config.v1+json", br#"{"os":"linux","architecture":"amd64"}"#);
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    let manifest = blob("manifest.v1+json", manifest.as_bytes());
    std::fs::write(layout.join("index.json"), format!(r#"{{"manifests":[{manifest}]}}"#)).unwrap();
    let store = Store::open(&directory.join("store")).unwrap();
    let image = store.take_layout(&layout, "app:v1").unwrap();
    let registry = Registry::new(Arc::new(store), None, Limits::default());
    registry.offer("app:v1", &image).unwrap();
    (Arc::new(registry), path)
}

/// A line to a port of this machine that takes so many bytes a second of what we send.
async fn slow_line(port: u16, rate: usize) -> u16 {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(64).unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut from_us, mut to_us) = near.into_split();
            let (mut from_it, mut to_it) = far.into_split();
            tokio::spawn(async move { copy(&mut from_it, &mut to_us).await });
            tokio::spawn(async move {
                let mut buffer = [0; 8 * 1024];
                while let Ok(length @ 1..) = from_us.read(&mut buffer).await {
                    if to_it.write_all(&buffer[..length]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_micros((length * 1_000_000 / rate) as u64)).await;
                }
            });
        }
    });
    own
}

fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Run it alone: `cargo nextest run --run-ignored only -E 'test(fifty_servers)' --no-capture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement that takes a while and 50 sshds"]
async fn fifty_servers_that_take_a_layer_over_slow_lines_need_little_memory() {
    if !possible() {
        return;
    }
    const SERVERS: usize = 50;
    let sshd = Sshd::with("MaxStartups 100");
    let directory = tempfile::tempdir().unwrap();
    let (registry, path) = {
        let directory = directory.path().to_owned();
        // In another thread the layer's bytes are given back before anything is measured.
        tokio::task::spawn_blocking(move || offered(&directory, 200 << 20)).await.unwrap()
    };
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = most_memory();
    let line = slow_line(sshd.port, 500_000).await;
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        let network = network(Ssh { port: line, ..sshd.ssh() }, sshd.options());
        let server = network.connect("127.0.0.1").await.unwrap();
        let port =
            server.listen(Arc::new(Serve(Arc::clone(&registry)))).await.unwrap().expect("sshd lets us");
        servers.push((network, server, port));
    }
    let connected = most_memory();
    let mut reading = Vec::new();
    for (_, _, port) in &servers {
        for _ in 0..3 {
            let mut stream = TcpStream::connect(("127.0.0.1", port.port)).await.unwrap();
            let ask = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream.write_all(ask.as_bytes()).await.unwrap();
            reading.push(tokio::spawn(async move {
                let (mut sum, mut buffer) = (0, [0; 4096]);
                let until = tokio::time::Instant::now() + Duration::from_secs(30);
                while let Ok(Ok(length @ 1..)) =
                    tokio::time::timeout_at(until, stream.read(&mut buffer)).await
                {
                    sum += length;
                }
                sum
            }));
        }
    }
    let mut sum = 0;
    for reading in reading {
        sum += reading.await.unwrap();
    }
    let most = most_memory();
    let mib = |bytes: usize| bytes >> 20;
    println!(
        "{SERVERS} servers, {} MiB received: {} MiB before, {} MiB connected, {} MiB at most",
        mib(sum),
        mib(before),
        mib(connected),
        mib(most)
    );
    assert!(sum > SERVERS << 20, "{sum} bytes were received");
    assert!(most < 64 << 20, "{} MiB", mib(most));
}
