//! Simulated servers for `bin/bench --fleet`: one process that speaks SSH on many loopback addresses. It answers a
//! deploy's scripts, with pauses for the time that Docker would take.
//!
//! `fleet COUNT ONE_WAY_MS` prints the port that all addresses share, and serves until its standard input ends. It
//! accepts any key. Every server runs version v1 of the service `fleet`, whatever a deploy does, so every deploy
//! starts from the same state. When a server starts a container, its number is appended to the file `started` in the
//! current directory.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "it is started by a bench, and ends with what went wrong"
)]

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bowline_core::shell::{beginning, word_of};
use bowline_tests::fleet::{STARTED, address};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// The command that starts a container.
const STARTS: &str = "docker run --detach";
/// How long it takes.
const RUN: Duration = Duration::from_millis(400);
/// How long stopping a container takes, and pulling an image that the server already has.
const STOP: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [count, one_way] = arguments[..] else {
        println!("fleet COUNT ONE_WAY_MS");
        return;
    };
    let one_way = Duration::from_millis(one_way);
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
    let config = Arc::new(Config {
        keys: vec![key],
        auth_rejection_time: Duration::ZERO,
        nodelay: true,
        ..Config::default()
    });
    let mut port = 0;
    for number in 0..count {
        let listener = TcpListener::bind((address(number), port)).await.expect("an address to listen on");
        port = listener.local_addr().expect("its address").port();
        tokio::spawn(serve(listener, Arc::clone(&config), number, one_way));
    }
    println!("{port}");
    let wait = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let _ = wait.await;
    std::process::exit(0);
}

async fn serve(listener: TcpListener, config: Arc<Config>, number: u64, one_way: Duration) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (config, far) = (Arc::clone(&config), delayed(stream, one_way));
        tokio::spawn(async move {
            let machine = Machine { number, keepers: HashSet::new() };
            if let Ok(session) = russh::server::run_stream(config, far, machine).await {
                let _ = session.await;
            }
        });
    }
}

/// A stream that delays its bytes in each direction.
fn delayed(stream: TcpStream, one_way: Duration) -> DuplexStream {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (from_client, to_client) = stream.into_split();
    let (from_server, to_server) = tokio::io::split(near);
    // A handshake over that distance would have taken one round trip.
    tokio::spawn(carry(from_server, to_client, one_way, Instant::now() + one_way * 2));
    tokio::spawn(carry(from_client, to_server, one_way, Instant::now()));
    far
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin + Send + 'static,
    mut to: impl AsyncWriteExt + Unpin,
    one_way: Duration,
    not_before: Instant,
) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now().max(not_before) + one_way;
            if sender.send((due, buffer[..count].to_vec())).await.is_err() {
                break;
            }
        }
    });
    while let Some((due, bytes)) = under_way.recv().await {
        sleep_until(due).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

struct Machine {
    number: u64,
    /// Channels that hold the lock.
    keepers: HashSet<ChannelId>,
}

impl Handler for Machine {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        let script = String::from_utf8_lossy(data).into_owned();
        let (handle, number) = (session.handle(), self.number);
        let keeps = script.contains("@locked");
        if keeps {
            self.keepers.insert(channel);
        }
        tokio::spawn(async move {
            let begins = beginning(word_of(&script).unwrap_or_default());
            let _ = handle.extended_data(channel, 1, begins.clone()).await;
            let _ = handle.data(channel, begins).await;
            if keeps {
                let _ = handle.data(channel, "@locked\n".to_owned()).await;
                return;
            }
            let (pause, text) = answer(&script, number);
            sleep(pause).await;
            if script.contains(STARTS) {
                note(number);
            }
            finish(&handle, channel, text).await;
        });
        Ok(())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.keepers.contains(&channel) && data.starts_with(b"release") {
            self.keepers.remove(&channel);
            let handle = session.handle();
            tokio::spawn(async move { finish(&handle, channel, "@released\n".to_owned()).await });
        }
        Ok(())
    }
}

/// Records that a server started a container, before the answer is sent.
fn note(number: u64) {
    let file = OpenOptions::new().create(true).append(true).open(STARTED);
    file.and_then(|mut file| file.write_all(format!("{number}\n").as_bytes())).expect("a file to write to");
}

async fn finish(handle: &Handle, channel: ChannelId, text: String) {
    if !text.is_empty() {
        let _ = handle.data(channel, text).await;
    }
    let _ = handle.exit_status_request(channel, 0).await;
    let _ = handle.eof(channel).await;
    let _ = handle.close(channel).await;
}

/// What a script prints, and how long it takes.
fn answer(script: &str, number: u64) -> (Duration, String) {
    let id = |version: u8| format!("{:064x}", u64::from(version) << 32 | number);
    if script.contains("echo @end") {
        return (Duration::ZERO, observed(&id(1)));
    }
    if script.contains(STARTS) {
        return (RUN, format!("@id {}\n@ready 172.18.0.3 \n", id(2)));
    }
    if script.contains("docker pull") {
        return (STOP, format!("@image sha256:{:064x}\n", 2));
    }
    if script.contains("docker stop") || script.contains("docker container stop") {
        let done = ["@stopped", "@tagged", "@pruned"].into_iter();
        let done: String =
            done.filter(|part| script.contains(part)).map(|part| format!("{part}\n")).collect();
        return (STOP, format!("@drain idle\n{done}"));
    }
    (Duration::ZERO, String::new())
}

/// The observation of a server that runs version v1.
fn observed(id: &str) -> String {
    let container = serde_json::json!({
        "id": id, "name": "/fleet-web-v1", "created": "2026-01-01T00:00:00Z", "image": "acme/fleet:v1",
        "image_id": format!("sha256:{:064x}", 1), "status": "running", "exit_code": 0, "health": null, "finished": "",
        "labels": {"service": "fleet", "role": "web", "destination": ""}, "mounts": [], "healthcheck": null,
        "networks": {"kamal": {"IPAddress": "172.18.0.2"}}, "args": [],
    });
    format!("@docker 26.1.5\n@container {container}\n@network kamal\n@served container v1\n@end\n")
}
