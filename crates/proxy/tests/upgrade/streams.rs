//! WebSockets and event streams that are open when another process takes over, under load.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{Daemon, ask, connect, get, head, target, until};

const UPGRADE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";

/// `/ws` echoes what it gets, `/events` sends an event per request to `/send`, and other paths respond with `app`.
fn app() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let (open, streams) = std::sync::mpsc::channel::<TcpStream>();
    let streams = std::sync::Mutex::new(streams);
    let events = std::sync::Arc::new(std::sync::Mutex::new(Vec::<TcpStream>::new()));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (open, events) = (open.clone(), std::sync::Arc::clone(&events));
            events.lock().unwrap().extend(streams.lock().unwrap().try_iter());
            std::thread::spawn(move || {
                let head = head(&mut stream).unwrap_or_default();
                if head.starts_with("GET /ws ") {
                    let head =
                        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                    stream.write_all(head).unwrap();
                    let mut byte = [0];
                    while matches!(stream.read(&mut byte), Ok(1)) && stream.write_all(&byte).is_ok() {}
                } else if head.starts_with("GET /events ") {
                    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
                    stream.write_all(head).unwrap();
                    let _ = open.send(stream);
                } else {
                    if head.starts_with("GET /send ") {
                        events.lock().unwrap().retain_mut(|stream| stream.write_all(b"data: e\n\n").is_ok());
                    }
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\napp";
                    let _ = stream.write_all(answer);
                }
            });
        }
    });
    name
}

struct Streams {
    daemon: Daemon,
    socket: TcpStream,
    events: TcpStream,
}

impl Streams {
    fn open() -> Self {
        let daemon = Daemon::start();
        daemon.deploy(&app());
        let mut socket = connect(daemon.port);
        socket.write_all(UPGRADE).unwrap();
        let mut events = ask(daemon.port, "/events");
        for stream in [&mut socket, &mut events] {
            head(stream).unwrap();
        }
        Self { daemon, socket, events }
    }

    /// Checks that both still pass data.
    fn are_open(&mut self) {
        let mut byte = [0];
        self.socket.write_all(b"!").unwrap();
        self.socket.read_exact(&mut byte).unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"data: e\n\n") {
            if seen.is_empty() {
                ask(self.daemon.port, "/send").read_exact(&mut byte).unwrap();
            }
            self.events.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    }

    /// Waits until both end. The WebSocket must end without an error.
    fn end(mut self) -> Daemon {
        let mut rest = Vec::new();
        self.socket.read_to_end(&mut rest).unwrap();
        // An event stream that is cut off ends without its last chunk.
        let _ = self.events.read_to_end(&mut rest);
        self.daemon
    }
}

#[test]
fn streams_stay_open_across_upgrades_under_load_and_end_with_the_next_deploy() {
    let mut streams = Streams::open();
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let port = streams.daemon.port;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    get(&mut connect(port), "app");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..3 {
            let before = served.load(Ordering::SeqCst);
            streams.daemon.upgrade("");
            until("served", || served.load(Ordering::SeqCst) > before + 50);
            streams.are_open();
        }
        done.store(true, Ordering::SeqCst);
    });
    // They hold up the deploy for the stream timeout, not for the drain timeout.
    let new = target("new");
    streams.daemon.ok(&format!("deploy app --target {new} --drain-timeout 1h --stream-timeout 200ms"));
    let daemon = streams.end();
    get(&mut connect(daemon.port), "new");
}

#[test]
fn streams_of_the_former_process_end_at_the_time_that_the_upgrade_gives_them() {
    let streams = Streams::open();
    streams.daemon.upgrade("--stream-timeout 200ms");
    let daemon = streams.end();
    daemon.line("Server stopped");
    get(&mut connect(daemon.port), "app");
}
