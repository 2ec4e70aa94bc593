//! Upgrades of the running binary, through its command line and its ports.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests stops the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

const PROXY: &str = env!("CARGO_BIN_EXE_bowline-proxy");
const PATIENCE: Duration = Duration::from_secs(30);

struct Daemon {
    child: Child,
    home: tempfile::TempDir,
    lines: Receiver<String>,
    port: u16,
}

impl Daemon {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = proxy(home.path())
            .args(["run", "--http-port=0", "--https-port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if !line.contains(r#""msg":"Request""#) {
                    let _ = sender.send(line);
                }
            }
        });
        let mut daemon = Self { child, home, lines, port: 0 };
        let started = daemon.line("Server started");
        let port = started.split(r#""http":"#).nth(1).unwrap().split(',').next().unwrap();
        daemon.port = port.parse().unwrap();
        daemon
    }

    /// The next line of the log with this message.
    fn line(&self, message: &str) -> String {
        loop {
            let line =
                self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {message:?} in the log"));
            if line.contains(message) {
                return line;
            }
        }
    }

    /// Returns once no process holds the log open any more.
    fn wait_for_all(&self) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("a process of the proxy goes on"),
            }
        }
    }

    fn command(&self, arguments: &[&str]) -> Output {
        proxy(self.home.path()).args(arguments).output().unwrap()
    }

    fn deploy(&self, target: &str) {
        let done = self.command(&["deploy", "app", "--target", target]);
        assert!(done.status.success(), "{done:?}");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn proxy(home: &Path) -> Command {
    let mut command = Command::new(PROXY);
    command
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env_remove("KAMAL_PROXY_SOCKET")
        .stdin(Stdio::null());
    command
}

/// A target that says this. Its connections stay open.
fn target(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte) {
                    seen.push(byte[0]);
                    if seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        let answer =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    name
}

/// A target that is healthy, and hands the connection of each request for `/held` to the test.
fn held_target() -> (String, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            if head.starts_with(b"GET /held ") {
                let _ = sender.send(stream);
            } else {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        }
    });
    (name, asked)
}

/// One request; whether the connection goes on.
fn get(stream: &mut TcpStream, text: &str) -> bool {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    let mut answer = String::new();
    while !answer.ends_with(text) {
        let mut chunk = [0; 1024];
        let n = stream.read(&mut chunk).unwrap();
        assert!(n > 0, "the connection ended after {answer:?}");
        answer.push_str(std::str::from_utf8(&chunk[..n]).unwrap());
    }
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    !answer.contains("connection: close")
}

#[test]
fn another_binary_takes_over_under_load_without_a_gap() {
    let daemon = Daemon::start();
    daemon.deploy(&target("hello"));
    let other = daemon.home.path().join("other");
    std::fs::copy(PROXY, &other).unwrap();
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for keep in [true, true, false, false] {
            let (port, done, served) = (daemon.port, &done, &served);
            scope.spawn(move || {
                let mut stream = connect(port);
                while !done.load(Ordering::SeqCst) {
                    if !get(&mut stream, "hello") || !keep {
                        stream = connect(port);
                    }
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..3 {
            let before = served.load(Ordering::SeqCst);
            let upgraded = daemon.command(&["upgrade", other.to_str().unwrap()]);
            assert!(upgraded.status.success(), "{upgraded:?}");
            while served.load(Ordering::SeqCst) < before + 50 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    daemon.deploy(&target("changed"));
    get(&mut connect(daemon.port), "changed");
}

#[test]
fn a_binary_that_does_not_come_up_changes_nothing_and_is_told() {
    let daemon = Daemon::start();
    daemon.deploy(&target("hello"));
    for (path, why) in
        [("/bin/false", "ended before it was ready"), ("/missing/binary", "cannot start /missing/binary")]
    {
        let refused = daemon.command(&["upgrade", path]);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && text.contains(why), "{text}");
    }
    get(&mut connect(daemon.port), "hello");
    daemon.deploy(&target("changed"));
    get(&mut connect(daemon.port), "changed");
}

#[test]
fn a_hangup_starts_the_same_binary_again_and_a_terminate_ends_it() {
    let mut daemon = Daemon::start();
    daemon.deploy(&target("hello"));
    daemon.signal("-HUP");
    daemon.line("Upgraded");
    get(&mut connect(daemon.port), "hello");
    daemon.signal("-TERM");
    assert!(daemon.child.wait().unwrap().success());
}

#[test]
fn a_data_plane_ends_by_itself_when_process_1_is_killed() {
    let daemon = Daemon::start();
    daemon.deploy(&target("hello"));
    let mut open = connect(daemon.port);
    get(&mut open, "hello");
    daemon.signal("-KILL");
    daemon.wait_for_all();
    assert!(TcpStream::connect(("127.0.0.1", daemon.port)).is_err());
}

#[test]
fn a_terminate_lets_the_data_plane_of_before_an_upgrade_finish() {
    let mut daemon = Daemon::start();
    let (held, asked) = held_target();
    daemon.deploy(&held);
    let mut open = connect(daemon.port);
    open.write_all(b"GET /held HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    let mut answer = asked.recv_timeout(PATIENCE).unwrap();
    daemon.signal("-HUP");
    daemon.line("Upgraded");
    daemon.signal("-TERM");
    daemon.line("Server stopped");
    answer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld").unwrap();
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("held"), "{text}");
    assert!(daemon.child.wait().unwrap().success());
}
