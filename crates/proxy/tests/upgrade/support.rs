//! A daemon for one test, with its command line and its log, and targets and clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

pub(crate) const PROXY: &str = env!("CARGO_BIN_EXE_bowline-proxy");
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) home: tempfile::TempDir,
    lines: Receiver<String>,
    pub(crate) port: u16,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        // Ignores what an upgrade has left on this machine.
        let none = home.path().join("none");
        Self::start_with(home, &none)
    }

    /// Starts a daemon in this home, with this newer binary.
    pub(crate) fn start_with(home: tempfile::TempDir, newer: &Path) -> Self {
        let mut child = proxy(home.path())
            .args(["run", "--http-port=0", "--https-port=0", "--newer-binary"])
            .arg(newer)
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

    /// Waits for the next line of the log with this message.
    pub(crate) fn line(&self, message: &str) -> String {
        loop {
            let line =
                self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {message:?} in the log"));
            if line.contains(message) {
                return line;
            }
        }
    }

    /// Waits until no process has the log open.
    pub(crate) fn wait_for_all(&self) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("a process of the proxy goes on"),
            }
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        proxy(self.home.path()).args(arguments).output().unwrap()
    }

    pub(crate) fn deploy(&self, target: &str) {
        let done = self.command(&["deploy", "app", "--target", target]);
        assert!(done.status.success(), "{done:?}");
    }

    pub(crate) fn ok(&self, line: &str) {
        let done = self.command(&line.split(' ').collect::<Vec<_>>());
        assert!(done.status.success(), "{line}: {done:?}");
    }

    /// Starts a command that takes a while.
    pub(crate) fn begin(&self, line: &str) -> Child {
        proxy(self.home.path()).args(line.split(' ')).spawn().unwrap()
    }

    /// Makes another process take over.
    pub(crate) fn upgrade(&self, flags: &str) {
        self.ok(format!("upgrade {PROXY} {flags}").trim_end());
    }

    pub(crate) fn signal(&self, name: &str) {
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

pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn proxy(home: &Path) -> Command {
    let mut command = Command::new(PROXY);
    command
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env_remove("KAMAL_PROXY_SOCKET")
        .stdin(Stdio::null());
    command
}

/// Sends a request for this path, and returns the connection.
pub(crate) fn ask(port: u16, path: &str) -> TcpStream {
    let mut stream = connect(port);
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes()).unwrap();
    stream
}

/// Reads until the connection ends.
pub(crate) fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "never {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads a head, or returns `None` if the connection ends before.
pub(crate) fn head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// A target that responds with this text. Its connections stay open.
pub(crate) fn target(text: &'static str) -> String {
    target_of(move || text.to_owned())
}

/// A target that responds with what this returns. Its connections stay open.
pub(crate) fn target_of(text: impl Fn() -> String + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let text = text.clone();
            std::thread::spawn(move || {
                while head(&mut stream).is_some() {
                    let text = text();
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    name
}

/// A healthy target that hands the connection of each request for `/held` to the test.
pub(crate) fn held_target() -> (String, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if head(&mut stream).is_some_and(|head| head.starts_with("GET /held ")) {
                let _ = sender.send(stream);
            } else {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        }
    });
    (name, asked)
}

/// Sends a request. Returns whether the connection stays open.
pub(crate) fn get(stream: &mut TcpStream, text: &str) -> bool {
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
