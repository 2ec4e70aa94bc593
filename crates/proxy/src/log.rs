//! The log: JSON lines on standard output, written by a thread of its own.
//!
//! A line is built once, in a buffer of the thread that has something to say, and appended to what the writer takes next from that thread.
//! Logging waits neither for standard output nor for other threads: when [`LIMIT`] bytes wait, lines are left out and counted. Lines of
//! different threads can change places within [`BATCH`].

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, SystemTime};

mod line;

pub use line::Line;

/// Bytes that wait for standard output before lines are left out.
const LIMIT: usize = 8 << 20;
/// Lines are collected this long before they are written together.
const BATCH: Duration = Duration::from_millis(10);

/// One request, after it is done. What does not apply is empty.
#[derive(Clone, Debug)]
pub struct Logged<'a> {
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
pub fn request(request: &Logged<'_>) {
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

/// The lines of one thread that wait to be written. Only the writer and that thread lock it, so that no thread waits for another.
#[derive(Default)]
struct Shard(Mutex<Vec<u8>>);

thread_local! {
    static SHARD: Arc<Shard> = Shard::registered();
}

static SHARDS: Mutex<Vec<Arc<Shard>>> = Mutex::new(Vec::new());
/// Bytes of all threads that are not written yet.
static WAITING: AtomicUsize = AtomicUsize::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);
/// The writer sleeps until it is woken.
static IDLE: AtomicBool = AtomicBool::new(false);
static WRITER: Once = Once::new();
static SLEEP: Mutex<()> = Mutex::new(());
static WAKE: Condvar = Condvar::new();
static DONE: Condvar = Condvar::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn registered() -> Arc<Self> {
        let shard = Arc::new(Self::default());
        lock(&SHARDS).push(Arc::clone(&shard));
        shard
    }
}

/// Hands a finished line to the writer.
fn submit(line: &[u8]) {
    if WAITING.fetch_add(line.len(), Ordering::SeqCst) + line.len() > LIMIT {
        WAITING.fetch_sub(line.len(), Ordering::SeqCst);
        LOST.fetch_add(1, Ordering::Relaxed);
        return;
    }
    SHARD.with(|shard| lock(&shard.0).extend_from_slice(line));
    WRITER.call_once(|| {
        // Without a thread for it, the log is not written at all.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(write_for_ever);
    });
    if IDLE.load(Ordering::SeqCst) {
        drop(lock(&SLEEP));
        WAKE.notify_one();
    }
}

fn write_for_ever() {
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
    // A thread that has ended leaves only what it wrote last.
    lock(&SHARDS).retain(|shard| Arc::strong_count(shard) > 1 || !lock(&shard.0).is_empty());
    drop(lock(&SLEEP));
    DONE.notify_all();
    spare
}

fn put(lines: &[u8]) {
    let mut out = std::io::stdout().lock();
    // Without a standard output there is no place to complain either.
    let _ = out.write_all(lines).and_then(|()| out.flush());
}

/// Returns when everything logged so far is written, or after a second.
pub fn flush() {
    let patience = Duration::from_secs(1);
    let busy = |(): &mut ()| WAITING.load(Ordering::SeqCst) > 0;
    drop(DONE.wait_timeout_while(lock(&SLEEP), patience, busy));
}
