//! Connections that stay open during a deploy behind our proxy: TLS, WebSockets and event streams.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Sandbox, Server, run, wait_until};
use bowline_tests::tls::write_certificate;

/// In seconds. Longer than a deploy takes if it doesn't wait for streams.
const DRAIN_S: u64 = 120;

/// A WebSocket opened before a deploy. Its thread ends when the socket closes.
struct Socket {
    /// The app's first message, its version.
    greeting: String,
    echoes: JoinHandle<u64>,
}

impl Socket {
    fn open(server: &Server, host: &str) -> Self {
        let mut stream = TcpStream::connect((server.address.as_str(), 80)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(DRAIN_S))).unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(byte(&mut stream).unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        let greeting = String::from_utf8(frame(&mut stream).unwrap()).unwrap();
        let echoes = std::thread::spawn(move || {
            let mut count = 0;
            // A text frame, masked with zeros.
            while stream.write_all(b"\x81\x84\0\0\0\0ping").is_ok() {
                match frame(&mut stream) {
                    Some(text) if text == b"ping" => count += 1,
                    _ => break,
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            count
        });
        Self { greeting, echoes }
    }
}

fn byte(stream: &mut TcpStream) -> Option<u8> {
    let mut one = [0];
    stream.read_exact(&mut one).ok().map(|()| one[0])
}

/// The content of a text frame. `None` when the connection is closed.
fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let opcode = byte(stream)? & 0x0f;
    let mut content = vec![0; usize::from(byte(stream)? & 0x7f)];
    stream.read_exact(&mut content).ok()?;
    (opcode == 1).then_some(content)
}

fn events(server: &Server, host: &str) -> Child {
    let mut curl = Command::new("curl");
    curl.args(["-skN", "--noproxy", "*", "--max-time", &DRAIN_S.to_string()]);
    curl.args(["--resolve", &format!("{host}:443:{}", server.address), &format!("https://{host}/events")]);
    curl.stdout(Stdio::piped()).spawn().unwrap()
}

/// Sends requests over TLS until `stop` is set. Returns the failures, and the number of requests.
fn visits(server: &Server, host: &str, stop: &Arc<AtomicBool>) -> JoinHandle<(Vec<String>, u64)> {
    let (host, address, stop) = (host.to_owned(), server.address.clone(), Arc::clone(stop));
    std::thread::spawn(move || {
        let (mut failed, mut count) = (Vec::new(), 0);
        while !stop.load(Ordering::Relaxed) {
            let mut curl = Command::new("curl");
            // Five requests on one connection.
            curl.args([
                "-sk",
                "--noproxy",
                "*",
                "--max-time",
                "10",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code} %{http_version}\n",
            ]);
            curl.args([
                "--resolve",
                &format!("{host}:443:{address}"),
                &format!("https://{host}/version?[1-5]"),
            ]);
            let ran = run(&mut curl);
            count += 5;
            failed.extend(ran.stdout.lines().filter(|line| *line != "200 2").map(str::to_owned));
        }
        (failed, count)
    })
}

#[test]
fn tls_websockets_and_event_streams_go_through_a_deploy() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::proxied(sandbox, &lease, "streams");
    let host = project.host();
    write_certificate(project.path(), &[&host]);
    project.secret("CERTIFICATE", "$(cat certificate.pem)").secret("KEY", "$(cat key.pem)");
    project.set("drain_timeout", &DRAIN_S.to_string()).build_arg("ON_TERM", "ignore");
    project.set_proxy(
        "healthcheck: {interval: 1}\nssl: {certificate_pem: CERTIFICATE, private_key_pem: KEY}\nssl_redirect: false\n\
         buffering: {responses: false}\nstream_timeout: 2",
    );
    project.deploy("v1").ok();

    let stop = Arc::new(AtomicBool::new(false));
    let visits = visits(server, &host, &stop);
    let (socket, events_of_v1) = (Socket::open(server, &host), events(server, &host));
    assert_eq!(socket.greeting, "v1");
    let began = Instant::now();
    let ran = project.deploy("v2");
    ran.ok();
    // The old version's streams ended at their own deadline, so the deploy didn't wait for the drain timeout.
    assert!(began.elapsed() < Duration::from_secs(DRAIN_S), "{ran}");
    assert!(socket.echoes.join().unwrap() > 10);
    let heard = String::from_utf8(events_of_v1.wait_with_output().unwrap().stdout).unwrap();
    assert!(heard.matches("data: v1\n").count() > 10 && !heard.contains("data: v2"), "{heard}");
    assert_eq!(Socket::open(server, &host).greeting, "v2");
    let mut next = events(server, &host);
    let mut first = [0; 14];
    next.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(String::from_utf8_lossy(&first), "id: 0\ndata: v2");
    next.kill().unwrap();
    next.wait().unwrap();

    stop.store(true, Ordering::Relaxed);
    let (failed, count) = visits.join().unwrap();
    assert!(failed.is_empty() && count > 50, "{count} requests: {failed:?}");
    expect::runs(&project, server, &[("web", "v2")]);
    wait_until("the old container's end", Duration::from_secs(10), || {
        server.running(&project.service).len() == 1
    });
}
