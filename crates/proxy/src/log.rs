//! The log: JSON lines on standard output, written by a dedicated thread.
//!
//! Each line is built once, in a buffer of the thread that logs it, and appended to that thread's lines, which the
//! writer collects. Logging waits neither for standard output nor for other threads. When [`LIMIT`] bytes wait,
//! further lines are dropped and counted. Lines of different threads can be reordered within [`BATCH`].

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once, PoisonError};
use std::time::{Duration, SystemTime};

use crate::lock;

mod line;

pub use line::Line;

/// Bytes that may wait for standard output before lines are dropped.
const LIMIT: usize = 8 << 20;
/// How long lines are collected before they are written together.
const BATCH: Duration = Duration::from_millis(10);

/// A finished request. Fields that don't apply are empty.
#[derive(Clone, Debug)]
pub struct Logged<'a> {
    /// The `Host` header.
    pub host: &'a str,
    /// The configured port that the request arrived on.
    pub port: u16,
    /// The path as requested.
    pub path: &'a str,
    pub request_id: &'a str,
    pub status: u16,
    /// Empty if no service matched.
    pub service: &'a str,
    /// `host:port`, or empty if no target got the request.
    pub target: &'a str,
    /// From the request's headers to the end of the response.
    pub duration: Duration,
    pub method: &'a str,
    /// -1 if unknown.
    pub req_content_length: i64,
    pub req_content_type: &'a str,
    /// Bytes sent.
    pub resp_content_length: u64,
    pub resp_content_type: &'a str,
    /// The peer's address.
    pub client_addr: &'a str,
    pub client_port: u16,
    /// `X-Forwarded-For`, else the peer's address.
    pub remote_addr: &'a str,
    pub user_agent: &'a str,
    /// Such as `HTTP/1.1`.
    pub proto: &'a str,
    pub scheme: &'a str,
    pub query: &'a str,
    /// Names and values of the headers to log.
    pub req_headers: &'a [(&'a str, &'a str)],
    pub resp_headers: &'a [(&'a str, &'a str)],
}

pub fn request(request: &Logged<'_>) {
    Line::with("INFO", "Request", SystemTime::now(), |line| line.request(request));
}

/// Name and value, such as `("service", &name)`. The value becomes a JSON string; use [`write`] for numbers.
pub type Field<'a> = (&'a str, &'a dyn Display);

pub fn info(message: &str, fields: &[Field<'_>]) {
    event("INFO", message, fields);
}

pub fn warn(message: &str, fields: &[Field<'_>]) {
    event("WARN", message, fields);
}

pub fn error(message: &str, fields: &[Field<'_>]) {
    event("ERROR", message, fields);
}

/// Logs an event if `--debug` is on.
pub fn debug(message: &str, fields: &[Field<'_>]) {
    if DEBUG.load(Ordering::Relaxed) {
        event("DEBUG", message, fields);
    }
}

pub fn set_debug(on: bool) {
    DEBUG.store(on, Ordering::Relaxed);
}

/// Logs an event with fields that are not all strings. [`Line::raw`] writes numbers.
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

/// One thread's lines that wait to be written. Only that thread and the writer lock it.
#[derive(Default)]
struct Shard(Mutex<Vec<u8>>);

thread_local! {
    static SHARD: Arc<Shard> = Shard::registered();
}

static SHARDS: Mutex<Vec<Arc<Shard>>> = Mutex::new(Vec::new());
/// Bytes of all threads that are not written yet.
static WAITING: AtomicUsize = AtomicUsize::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);
/// Whether the writer sleeps until it is woken.
static IDLE: AtomicBool = AtomicBool::new(false);
static WRITER: Once = Once::new();
static SLEEP: Mutex<()> = Mutex::new(());
static WAKE: Condvar = Condvar::new();
static DONE: Condvar = Condvar::new();

impl Shard {
    fn registered() -> Arc<Self> {
        let shard = Arc::new(Self::default());
        lock(&SHARDS).push(Arc::clone(&shard));
        shard
    }
}

/// Adds a finished line to those that the writer collects, or drops it.
fn submit(line: &[u8]) {
    if WAITING.fetch_add(line.len(), Ordering::SeqCst) + line.len() > LIMIT {
        WAITING.fetch_sub(line.len(), Ordering::SeqCst);
        LOST.fetch_add(1, Ordering::Relaxed);
        return;
    }
    SHARD.with(|shard| lock(&shard.0).extend_from_slice(line));
    WRITER.call_once(|| {
        // If the thread can't be started, nothing is logged.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(write_loop);
    });
    if IDLE.load(Ordering::SeqCst) {
        drop(lock(&SLEEP));
        WAKE.notify_one();
    }
}

fn write_loop() {
    let mut spare = Vec::new();
    loop {
        let mut guard = lock(&SLEEP);
        IDLE.store(true, Ordering::SeqCst);
        while WAITING.load(Ordering::SeqCst) == 0 {
            guard = WAKE.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        IDLE.store(false, Ordering::SeqCst);
        drop(guard);
        std::thread::sleep(BATCH);
        spare = write_what_waits(spare);
    }
}

fn write_what_waits(mut spare: Vec<u8>) -> Vec<u8> {
    let shards = lock(&SHARDS).clone();
    for shard in &shards {
        std::mem::swap(&mut spare, &mut *lock(&shard.0));
        put(&spare);
        WAITING.fetch_sub(spare.len(), Ordering::SeqCst);
        spare.clear();
        spare.shrink_to(LIMIT / 16);
    }
    drop(shards);
    let lost = LOST.swap(0, Ordering::Relaxed);
    if lost > 0 {
        put(&Line::lost(lost, SystemTime::now()));
    }
    // A shard whose thread has ended stays until its last lines are written.
    lock(&SHARDS).retain(|shard| Arc::strong_count(shard) > 1 || !lock(&shard.0).is_empty());
    drop(lock(&SLEEP));
    DONE.notify_all();
    spare
}

fn put(lines: &[u8]) {
    let mut out = std::io::stdout().lock();
    // If standard output is closed, the lines are lost.
    let _ = out.write_all(lines).and_then(|()| out.flush());
}

/// Waits until everything logged so far is written, for at most a second.
pub fn flush() {
    let patience = Duration::from_secs(1);
    let busy = |(): &mut ()| WAITING.load(Ordering::SeqCst) > 0;
    drop(DONE.wait_timeout_while(lock(&SLEEP), patience, busy));
}
