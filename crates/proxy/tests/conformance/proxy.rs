//! A proxy for one test: its process, ports, home and log.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::app::{App, PATIENCE};
use crate::client::{Connection, Response};

pub fn binary() -> PathBuf {
    std::env::var_os("PROXY_UNDER_TEST")
        .map_or_else(|| env!("CARGO_BIN_EXE_bowline-proxy").into(), PathBuf::from)
}

#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<Value>, bool)>,
    change: Condvar,
}

pub struct Proxy {
    child: Child,
    pub home: Arc<TempDir>,
    pub http: u16,
    pub https: u16,
    log: Arc<Log>,
}

/// A command in a minimal environment.
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(binary());
    command
        .env_clear()
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("TMPDIR", home)
        .stdin(Stdio::null());
    command
}

pub fn run(home: &Path, words: &[&str]) -> Outcome {
    outcome(command(home).args(words))
}

pub fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

impl Proxy {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(Arc::new(TempDir::new().unwrap()), arguments)
    }

    /// Starts a proxy with what a former one left in `home`.
    pub fn start_in(home: Arc<TempDir>, arguments: &[&str]) -> Self {
        let mut command = command(home.path());
        let mut child = command
            .args(["run", "--http-port", "0", "--https-port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let (reading, stdout) = (Arc::clone(&log), child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                reading.lines.lock().unwrap().0.push(value);
                reading.change.notify_all();
            }
            reading.lines.lock().unwrap().1 = true;
            reading.change.notify_all();
        });
        let mut proxy = Self { child, home, http: 0, https: 0, log };
        let started = proxy.logged("Server started", |_| true);
        let port = |name: &str| u16::try_from(started[name].as_u64().expect("a port")).unwrap();
        (proxy.http, proxy.https) = (port("http"), port("https"));
        proxy
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn run(&self, words: &[&str]) -> Outcome {
        run(self.home.path(), words)
    }

    /// Runs a command line that must succeed without output.
    pub fn ok(&self, line: &str) {
        let outcome = self.run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{line}");
        assert_eq!(outcome.stdout, "", "{line}");
    }

    /// Runs a command line that must fail. Returns the error after `Error: `.
    pub fn fails(&self, line: &str) -> String {
        let outcome = self.run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(outcome.code, 1, "{line}: {outcome:?}");
        outcome.stderr.strip_prefix("Error: ").unwrap_or_else(|| panic!("{outcome:?}")).trim_end().to_owned()
    }

    pub fn deploy(&self, service: &str, app: &App, flags: &str) {
        self.ok(&format!("deploy {service} --target {} {flags}", app.address));
    }

    /// `list` without its colours.
    pub fn list(&self) -> String {
        let outcome = self.run(&["list"]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        let mut text = outcome.stdout;
        for code in ["\x1b[m", "\x1b[0m", "\x1b[3;94m", "\x1b[1;34m"] {
            text = text.replace(code, "");
        }
        text
    }

    pub fn connect(&self) -> Connection<std::net::TcpStream> {
        Connection::open(self.http)
    }

    /// Sends a request on a new connection.
    pub fn request(&self, bytes: impl AsRef<[u8]>) -> Response {
        let bytes = bytes.as_ref();
        let mut connection = self.connect();
        connection.send(bytes);
        let method = String::from_utf8_lossy(bytes).split(' ').next().unwrap_or_default().to_owned();
        connection.answer(&method).expect("an answer")
    }

    pub fn get(&self, host: &str, target: &str) -> Response {
        self.get_with(host, target, "")
    }

    /// `headers` are lines that each end with `\r\n`.
    pub fn get_with(&self, host: &str, target: &str, headers: &str) -> Response {
        self.request(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"))
    }

    /// Sends a GET whose response may take a while.
    pub fn later(&self, host: &str, target: &str) -> Later {
        let mut connection = self.connect();
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        Later(thread::spawn(move || connection.answer("GET")))
    }

    /// Waits for the first line of the log with this `msg` that fits.
    pub fn logged(&self, message: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.0.iter().find(|line| line["msg"] == message && fits(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !lines.1, "{message} was not logged: {:#?}", lines.0);
            lines = self.log.change.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Waits for the log line of a request for this path.
    pub fn logged_request(&self, path: &str) -> Value {
        self.logged("Request", |line| line["path"] == path)
    }

    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the proxy does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the proxy and starts another one in its home.
    pub fn restart(mut self) -> Self {
        self.terminate();
        Self::start_in(Arc::clone(&self.home), &[])
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The data plane ends by itself, and the log ends with it.
        if let Ok(running) = self.log.lines.lock() {
            drop(self.log.change.wait_timeout_while(running, PATIENCE, |log| !log.1));
        }
    }
}

/// A response that may take a while.
pub struct Later(thread::JoinHandle<Option<Response>>);

impl Later {
    pub fn get(self) -> Response {
        self.try_get().expect("the connection was cut off")
    }

    /// `None` if the connection was cut off.
    pub fn try_get(self) -> Option<Response> {
        self.0.join().unwrap()
    }
}

pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
