//! The log: JSON lines on standard output, written by a thread of its own.
//!
//! A line is built once, in a buffer of the thread that has something to say, and appended to what the writer takes next. Logging never waits
//! for standard output: when it is stuck and [`LIMIT`] bytes wait, lines are left out and counted.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

mod line;

pub use line::Line;

/// Bytes that wait for standard output before lines are left out.
const LIMIT: usize = 8 << 20;
/// Lines are collected this long before they are written together.
const BATCH: Duration = Duration::from_millis(10);

/// One request, after it is done. What does not apply is empty.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The Host header.
    pub host: &'a str,
    /// The configured port it came in on.
    pub port: u16,
    /// The path as it was asked for.
    pub path: &'a str,
    /// `X-Request-ID`.
    pub request_id: &'a str,
    /// The answer's status.
    pub status: u16,
    /// Empty if none was found.
    pub service: &'a str,
    /// `host:port`, empty if none was asked.
    pub target: &'a str,
    /// From the request's headers to the answer's end.
    pub duration: Duration,
    /// The method.
    pub method: &'a str,
    /// -1 if unknown.
    pub req_content_length: i64,
    /// The request's content type.
    pub req_content_type: &'a str,
    /// Bytes sent.
    pub resp_content_length: u64,
    /// The answer's content type.
    pub resp_content_type: &'a str,
    /// The peer.
    pub client_addr: &'a str,
    /// The peer's port.
    pub client_port: u16,
    /// `X-Forwarded-For`, else the peer.
    pub remote_addr: &'a str,
    /// The user agent.
    pub user_agent: &'a str,
    /// `HTTP/1.1` and the like.
    pub proto: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// What follows `?`.
    pub query: &'a str,
    /// Names and values of request headers to log.
    pub req_headers: &'a [(&'a str, &'a str)],
    /// Names and values of response headers to log.
    pub resp_headers: &'a [(&'a str, &'a str)],
}

/// Logs a request.
pub fn request(request: &Request<'_>) {
    Line::with("INFO", "Request", SystemTime::now(), |line| line.request(request));
}

/// What an event says besides its name: `[("service", &name)]`. Numbers are quoted like texts; [`write`] is for those that are not.
pub type Field<'a> = (&'a str, &'a dyn Display);

/// Logs an event.
pub fn info(message: &str, fields: &[Field<'_>]) {
    event("INFO", message, fields);
}

/// Logs something that may matter.
pub fn warn(message: &str, fields: &[Field<'_>]) {
    event("WARN", message, fields);
}

/// Logs a failure.
pub fn error(message: &str, fields: &[Field<'_>]) {
    event("ERROR", message, fields);
}

/// Logs what only `--debug` shows.
pub fn debug(message: &str, fields: &[Field<'_>]) {
    if DEBUG.load(Ordering::Relaxed) {
        event("DEBUG", message, fields);
    }
}

/// Whether debug messages are logged.
pub fn set_debug(on: bool) {
    DEBUG.store(on, Ordering::Relaxed);
}

/// Logs an event with fields that are not all texts: numbers by [`Line::raw`].
pub fn write(level: &str, message: &str, fill: impl FnOnce(&mut Line<'_>)) {
    Line::with(level, message, SystemTime::now(), fill);
}

fn event(level: &str, message: &str, fields: &[Field<'_>]) {
    Line::with(level, message, SystemTime::now(), |line| {
        for (name, value) in fields {
            line.display(name, value);
        }
    });
}

static DEBUG: AtomicBool = AtomicBool::new(false);

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    lost: u64,
    /// The writer sleeps until it is woken.
    idle: bool,
    /// A writer runs at all.
    started: bool,
    /// Bytes are on their way to standard output.
    writing: bool,
}

static WAITING: Mutex<Waiting> =
    Mutex::new(Waiting { bytes: Vec::new(), lost: 0, idle: false, started: false, writing: false });
static WAKE: Condvar = Condvar::new();
static DONE: Condvar = Condvar::new();

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands a finished line to the writer.
fn submit(line: &[u8]) {
    let mut waiting = waiting();
    if waiting.bytes.len() + line.len() > LIMIT {
        waiting.lost += 1;
        return;
    }
    waiting.bytes.extend_from_slice(line);
    if !waiting.started {
        waiting.started = true;
        // Without a thread for it, the log is not written at all.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(write_for_ever);
    }
    if std::mem::take(&mut waiting.idle) {
        drop(waiting);
        WAKE.notify_one();
    }
}

fn write_for_ever() {
    let mut spare = Vec::new();
    loop {
        let mut guard = waiting();
        while guard.bytes.is_empty() {
            guard.idle = true;
            guard = WAKE.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        guard.idle = false;
        drop(guard);
        std::thread::sleep(BATCH);
        spare = write_what_waits(spare);
    }
}

fn write_what_waits(mut spare: Vec<u8>) -> Vec<u8> {
    let mut guard = waiting();
    std::mem::swap(&mut spare, &mut guard.bytes);
    let lost = std::mem::take(&mut guard.lost);
    guard.writing = true;
    drop(guard);
    if lost > 0 {
        spare.extend(Line::lost(lost, SystemTime::now()));
    }
    let mut out = std::io::stdout().lock();
    // Without a standard output there is no place to complain either.
    let _ = out.write_all(&spare).and_then(|()| out.flush());
    spare.clear();
    spare.shrink_to(LIMIT / 16);
    waiting().writing = false;
    DONE.notify_all();
    spare
}

/// Returns when everything logged so far is written, or after a second.
pub fn flush() {
    let patience = Duration::from_secs(1);
    let guard = waiting();
    let busy = |waiting: &mut Waiting| waiting.writing || !waiting.bytes.is_empty();
    drop(DONE.wait_timeout_while(guard, patience, busy));
}
