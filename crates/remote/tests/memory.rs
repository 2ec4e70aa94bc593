//! The memory used while fifty servers on slow connections receive an image. It includes the test's own clients.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // It prints what it measured.

mod common;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bowline_config::Ssh;
use bowline_engine::ports::{Accept, Image, Images, Network, Server, Stream};
use bowline_registry::{Digest, Limits, Registry, Store};
use bowline_remote::KeptImages;
use common::*;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::TcpStream;

const SERVERS: usize = 50;
/// In bytes.
const LAYER: usize = 200 << 20;
/// The speed of each connection in bytes per second.
const RATE: usize = 500_000;
const TIME: Duration = Duration::from_secs(30);

struct Serve(Arc<Registry>);

impl Accept for Serve {
    fn accept(&self, stream: Box<dyn Stream>) -> BoxFuture<'static, ()> {
        let registry = Arc::clone(&self.0);
        Box::pin(async move {
            let _ = registry.serve(stream, Arc::default()).await;
        })
    }
}

/// Writes the layout of an image `app:v1` with one layer. Returns the layer's digest.
fn layout(directory: &Path) -> Digest {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{}}}"#,
            bytes.len()
        )
    };
    let bytes = vec![7; LAYER];
    let digest = Digest::of(&bytes);
    let layer = blob("layer.v1.tar+gzip", &bytes);
    let config = blob("config.v1+json", br#"{"os":"linux","architecture":"amd64"}"#);
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    let manifest = blob("manifest.v1+json", manifest.as_bytes());
    std::fs::write(directory.join("index.json"), format!(r#"{{"manifests":[{manifest}]}}"#)).unwrap();
    digest
}

/// Writes the layout in another thread, so that the memory for the layer is freed before measuring.
async fn made(directory: &Path) -> Digest {
    let layouts = directory.join("layout");
    tokio::task::spawn_blocking(move || layout(&layouts)).await.unwrap()
}

/// Starts a slow proxy to a local port. Returns its port.
async fn slow_line(port: u16) -> u16 {
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
                    tokio::time::sleep(Duration::from_micros((length * 1_000_000 / RATE) as u64)).await;
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

async fn servers(sshd: &Sshd) -> Vec<(Box<dyn Network>, Arc<dyn Server>)> {
    let line = slow_line(sshd.port).await;
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        let network = network(Ssh { port: line, ..sshd.ssh() }, sshd.options());
        let server = network.connect("127.0.0.1").await.unwrap();
        servers.push((Box::new(network) as Box<dyn Network>, server));
    }
    servers
}

/// Measures the memory during work that returns the number of bytes received.
async fn measured(work: impl Future<Output = usize>) {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = most_memory();
    let received = work.await;
    let most = most_memory();
    let mib = |bytes: usize| bytes >> 20;
    println!(
        "{SERVERS} servers, {} MiB received: {} MiB before, {} MiB at most",
        mib(received),
        mib(before),
        mib(most)
    );
    assert!(received > SERVERS << 20, "{received} bytes were received");
    assert!(most < 64 << 20, "{} MiB", mib(most));
}

/// Run it alone: `cargo nextest run --run-ignored only -E 'binary(memory)' -j 1 --no-capture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement that takes a while and 50 sshds"]
async fn fifty_servers_that_pull_an_image_need_little_memory() {
    skip_without_sshd!();
    let sshd = Sshd::with("MaxStartups 100");
    let directory = tempfile::tempdir().unwrap();
    let path = format!("/v2/app/blobs/{}", made(directory.path()).await);
    let store = Store::open(&directory.path().join("store")).unwrap();
    let image = store.take_layout(&directory.path().join("layout"), "app:v1").unwrap();
    let registry = Registry::new(Arc::new(store), None, Limits::default());
    registry.offer("app:v1", &image).unwrap();
    let registry = Arc::new(registry);
    measured(async {
        let servers = servers(&sshd).await;
        let (mut ports, mut reading) = (Vec::new(), Vec::new());
        for (_, server) in &servers {
            let port =
                server.listen(Arc::new(Serve(Arc::clone(&registry)))).await.unwrap().expect("sshd lets us");
            for _ in 0..3 {
                let mut stream = TcpStream::connect(("127.0.0.1", port.port)).await.unwrap();
                let ask = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                stream.write_all(ask.as_bytes()).await.unwrap();
                reading.push(tokio::spawn(async move {
                    let (mut sum, mut buffer) = (0, [0; 4096]);
                    let until = tokio::time::Instant::now() + TIME;
                    while let Ok(Ok(length @ 1..)) =
                        tokio::time::timeout_at(until, stream.read(&mut buffer)).await
                    {
                        sum += length;
                    }
                    sum
                }));
            }
            ports.push(port);
        }
        let mut sum = 0;
        for reading in reading {
            sum += reading.await.unwrap();
        }
        sum
    })
    .await;
}

/// Sends the image to a program on a server. Returns how many bytes were accepted.
async fn feed(server: Arc<dyn Server>, image: Arc<dyn Image>) -> usize {
    let attached = server.attach(&step("exec cat > /dev/null"), None, SOON).await.unwrap();
    let (input, mut output) = (attached.input, attached.output);
    let mut pieces = image.archive("app:v1", "amd64");
    let mut sum = 0;
    let feeding = async {
        while let Some(piece) = pieces.next().await.unwrap() {
            let length = piece.len();
            input.send(piece).await;
            sum += length;
        }
    };
    tokio::select! {
        () = feeding => panic!("the image is too small to measure anything"),
        ended = output.next() => panic!("{:?}", ended.map(|ended| matches!(ended, ControlFlow::Break(_)))),
        () = tokio::time::sleep(TIME) => {}
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement that takes a while and 50 sshds"]
async fn fifty_servers_that_load_an_image_need_little_memory() {
    skip_without_sshd!();
    let sshd = Sshd::with("MaxStartups 100\nAllowTcpForwarding no");
    let directory = tempfile::tempdir().unwrap();
    made(directory.path()).await;
    let images = KeptImages::below(&directory.path().join("store"));
    images.take(directory.path().join("layout").to_str().unwrap(), "app:v1").await.unwrap();
    let image = images.open("app:v1", "app:v1").await.unwrap().expect("it was kept");
    measured(async {
        let servers = servers(&sshd).await;
        let feeding =
            servers.iter().map(|(_, server)| tokio::spawn(feed(Arc::clone(server), Arc::clone(&image))));
        let feeding: Vec<_> = feeding.collect();
        let mut sum = 0;
        for feeding in feeding {
            sum += feeding.await.unwrap();
        }
        sum
    })
    .await;
}
