//! A load client that counts exactly how many requests it sent, failed, and got from the wrong version.
//!
//! It is as strict as a visitor. A request fails if the connection can't be made, the status isn't 200, the body ends
//! early, or there is no response within the timeout. It never repeats a request. The start of a request decides
//! which version may answer: the old one may answer a request that began before the deploy reported success, but none
//! that began later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::{Connection, Target};

/// The number of failed or wrong responses to describe.
pub const SAMPLES: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each client sends its requests over one connection, as a browser does.
    KeepAlive,
    /// Each request gets its own connection and has `Connection: close`.
    NewConnection,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeepAlive => "keep-alive",
            Self::NewConnection => "new connection",
        })
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    /// `http://` or `https://` URLs. Client N sends to URL N modulo their number.
    pub urls: Vec<String>,
    /// The certificate to trust for `https://`, in DER.
    pub certificate: Option<Vec<u8>>,
    pub mode: Mode,
    pub clients: usize,
    /// The pause of each client between two requests, so that the load doesn't slow what is measured.
    pub pause: Duration,
    /// A request that takes longer has failed.
    pub timeout: Duration,
    /// The `Host` header, if it differs from the URL's host.
    pub host: Option<String>,
    /// Ends after this number of requests.
    pub count: Option<u64>,
    /// Ends after this time in any case, so that a forgotten client doesn't run forever.
    pub at_most: Duration,
}

impl Options {
    /// Four clients without a pause, a timeout of 5 s, and at most two minutes.
    #[must_use]
    pub fn new(url: impl Into<String>, mode: Mode) -> Self {
        Self {
            urls: vec![url.into()],
            certificate: None,
            mode,
            clients: 4,
            pause: Duration::ZERO,
            timeout: Duration::from_secs(5),
            host: None,
            count: None,
            at_most: Duration::from_secs(120),
        }
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        let of = |url: &String| Target::parse(url, self.host.as_deref(), self.certificate.as_deref());
        self.urls.iter().map(of).collect()
    }
}

/// The counts. `sent` is `right + failed + wrong_version`.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests that have ended.
    pub sent: u64,
    /// Complete responses with status 200 from an allowed version.
    pub right: u64,
    /// Requests without a connection, with another status than 200, with an incomplete body, or timed out.
    pub failed: u64,
    /// Complete responses with status 200 from a version that isn't allowed, or without a version.
    pub wrong_version: u64,
    /// Complete responses with status 200, per version.
    pub by_version: BTreeMap<String, u64>,
    pub connections: u64,
    /// The longest time to a complete response.
    pub slowest: Duration,
    /// Descriptions of the first failed and wrong responses, at most [`SAMPLES`].
    pub samples: Vec<String>,
}

impl Report {
    /// Panics with the whole report unless at least `sent` requests were sent and every one was answered right.
    #[track_caller]
    pub fn assert_clean(&self, sent: u64) {
        assert!(
            self.failed == 0 && self.wrong_version == 0 && self.sent >= sent,
            "expected at least {sent} requests, all of them answered right:\n{self:#}"
        );
    }
}

/// One line with the counts. `{:#}` adds versions, connections and samples.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sent: {}  failed: {}  wrong version: {}", self.sent, self.failed, self.wrong_version)?;
        if f.alternate() {
            write!(f, "\nconnections: {}  slowest: {} ms", self.connections, self.slowest.as_millis())?;
            for (version, count) in &self.by_version {
                write!(f, "\nversion {version}: {count}")?;
            }
            for sample in &self.samples {
                write!(f, "\n- {sample}")?;
            }
        }
        Ok(())
    }
}

/// A running load client. Stop it to get its report. Dropping it also stops it.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    started: Instant,
    begun: AtomicU64,
    /// Stops after this number of requests. `u64::MAX` means never.
    limit: AtomicU64,
    stop: AtomicBool,
    expected: Mutex<Option<Arc<BTreeSet<String>>>>,
    report: Mutex<Report>,
}

/// Ignores poisoning: if another client panicked, the counts are still consistent.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    /// Starts to send, from a new thread.
    ///
    /// # Panics
    /// When an address can't be sent to, or the runtime can't be made.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let targets = options.targets();
        assert!(!targets.is_empty(), "no address to send to");
        let shared = Arc::new(Shared {
            started: Instant::now(),
            begun: AtomicU64::new(0),
            limit: AtomicU64::new(options.count.unwrap_or(u64::MAX)),
            stop: AtomicBool::new(false),
            expected: Mutex::new(None),
            report: Mutex::new(Report::default()),
            options,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let clients = shared.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let tasks: Vec<_> = (0..clients.options.clients)
                    .map(|n| tokio::spawn(client(clients.clone(), targets[n % targets.len()].clone())))
                    .collect();
                for task in tasks {
                    let _ = task.await;
                }
            });
        });
        Self { shared, thread: Some(thread) }
    }

    /// From now on, only this version may answer. Call it when a deploy has reported success.
    pub fn expect_from_now_on(&self, version: &str) {
        self.allow_from_now_on(&[version]);
    }

    /// From now on, only these versions may answer, for example the old and the new one during a deploy.
    pub fn allow_from_now_on(&self, versions: &[&str]) {
        *held(&self.shared.expected) =
            Some(Arc::new(versions.iter().map(|version| (*version).to_owned()).collect()));
    }

    #[must_use]
    pub fn begun(&self) -> u64 {
        self.shared.begun.load(Ordering::SeqCst).min(self.shared.limit.load(Ordering::SeqCst))
    }

    #[must_use]
    pub fn so_far(&self) -> Report {
        held(&self.shared.report).clone()
    }

    /// Waits until `more` requests have begun, so that a test knows that load is flowing.
    ///
    /// # Panics
    /// When they weren't begun within the time the load may run at most.
    pub fn wait_for(&self, more: u64) {
        let goal = self.begun() + more;
        while self.begun() < goal {
            assert!(
                !self.shared.over(),
                "the load ended before {more} more requests were begun:\n{:#}",
                self.so_far()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Begins no more requests, waits for those under way, and reports.
    #[must_use]
    pub fn stop(mut self) -> Report {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.join()
    }

    /// Continues until `count` requests in total were sent or the time is up, then reports.
    #[must_use]
    pub fn finish_at(mut self, count: u64) -> Report {
        let begun = self.shared.begun.load(Ordering::SeqCst);
        self.shared.limit.store(count.max(begun), Ordering::SeqCst);
        self.join()
    }

    /// Waits until the load reaches its own count or time limit, then reports.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.join()
    }

    fn join(&mut self) -> Report {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        held(&self.shared.report).clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
            || self.started.elapsed() >= self.options.at_most
            || self.begun.load(Ordering::SeqCst) >= self.limit.load(Ordering::SeqCst)
    }

    /// Takes the next request. Returns false if there is none left to send.
    fn begin(&self) -> bool {
        if self.over() {
            return false;
        }
        let taken = self.begun.fetch_add(1, Ordering::SeqCst);
        if taken < self.limit.load(Ordering::SeqCst) {
            return true;
        }
        self.begun.fetch_sub(1, Ordering::SeqCst);
        false
    }

    fn count(
        &self,
        began: Instant,
        expected: Option<&BTreeSet<String>>,
        answer: Result<Option<String>, String>,
    ) {
        let mut report = held(&self.report);
        report.sent += 1;
        let story = match answer {
            Ok(version) => {
                report.slowest = report.slowest.max(began.elapsed());
                let version = version.unwrap_or_else(|| "none".into());
                *report.by_version.entry(version.clone()).or_default() += 1;
                if expected.is_none_or(|expected| expected.contains(&version)) {
                    report.right += 1;
                    return;
                }
                report.wrong_version += 1;
                format!("wrong version {version}, expected {expected:?}")
            }
            Err(reason) => {
                report.failed += 1;
                reason
            }
        };
        if report.samples.len() < SAMPLES {
            let at = (began - self.started).as_millis();
            let took = began.elapsed().as_millis();
            report.samples.push(format!("at {at} ms, after {took} ms: {story}"));
        }
    }
}

async fn client(shared: Arc<Shared>, target: Target) {
    let options = &shared.options;
    let close = options.mode == Mode::NewConnection;
    let path = target.path.clone();
    let mut connection = Connection::new(target);
    while shared.begin() {
        let expected = held(&shared.expected).clone();
        let began = Instant::now();
        let opened = connection.opened;
        let answer = match tokio::time::timeout(options.timeout, connection.get(&path, close)).await {
            Ok(answer) => answer.map(|answer| answer.version),
            Err(_) => Err(format!("no whole answer within {} ms", options.timeout.as_millis())),
        };
        held(&shared.report).connections += connection.opened - opened;
        if answer.is_err() || close {
            connection.drop_it();
        }
        shared.count(began, expected.as_deref(), answer);
        if options.pause > Duration::ZERO {
            tokio::time::sleep(options.pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::RwLock;

    use super::*;

    /// Responds to the Nth request with `answer(N)`. `None` closes the connection without a response.
    fn serve(answer: impl Fn(u64) -> Option<String> + Send + Sync + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/version", listener.local_addr().unwrap());
        let answer = Arc::new(answer);
        let count = Arc::new(AtomicU64::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer, count) = (stream.unwrap(), answer.clone(), count.clone());
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    loop {
                        let mut close = false;
                        loop {
                            match lines.next() {
                                Some(Ok(line)) if line.is_empty() => break,
                                Some(Ok(line)) => close |= line.eq_ignore_ascii_case("connection: close"),
                                _ => return,
                            }
                        }
                        let Some(text) = answer(count.fetch_add(1, Ordering::SeqCst)) else { return };
                        if stream.write_all(text.as_bytes()).is_err()
                            || close
                            || text.contains("Connection: close")
                        {
                            return;
                        }
                    }
                });
            }
        });
        url
    }

    fn ok(version: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nX-Version: {version}\r\nContent-Length: 2\r\n\r\nok")
    }

    fn run(url: &str, mode: Mode, count: u64) -> Report {
        let mut options = Options::new(url, mode);
        options.count = Some(count);
        options.timeout = Duration::from_millis(300);
        Load::start(options).finish()
    }

    #[test]
    fn keep_alive_opens_one_connection_a_client_and_sends_the_exact_count() {
        let report = run(&serve(|_| Some(ok("v1"))), Mode::KeepAlive, 501);
        assert_eq!((report.sent, report.right, report.connections), (501, 501, 4), "{report:#}");
        assert_eq!(report.by_version["v1"], 501);
    }

    #[test]
    fn new_connection_opens_one_for_each_request() {
        let report = run(&serve(|_| Some(ok("v1"))), Mode::NewConnection, 100);
        assert_eq!((report.sent, report.right, report.connections), (100, 100, 100), "{report:#}");
    }

    #[test]
    fn every_way_to_fail_is_a_failure_with_its_story() {
        let ways = [
            ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", "status 502: bad"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nok", "torn body"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "no whole answer within 300 ms"),
            ("nonsense\r\n\r\n", "sending"),
        ];
        for (text, story) in ways {
            let report = run(&serve(move |_| Some(text.to_owned())), Mode::KeepAlive, 4);
            assert_eq!((report.sent, report.failed, report.right), (4, 4, 0), "{story}: {report:#}");
            assert!(report.samples[0].contains(story), "{story}: {report:#}");
        }
        let report = run(&serve(|_| None), Mode::KeepAlive, 4);
        assert_eq!((report.sent, report.failed), (4, 4), "closed without a word: {report:#}");
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let report = run(&format!("http://{closed}/"), Mode::NewConnection, 30);
        assert_eq!(
            (report.sent, report.failed, report.samples.len()),
            (30, 30, SAMPLES),
            "refused: {report:#}"
        );
        assert!(report.samples[0].contains("refused"), "{report:#}");
    }

    #[test]
    fn a_failure_among_many_is_counted_once_and_the_client_goes_on() {
        let report = run(&serve(|n| (n != 50).then(|| ok("v1"))), Mode::KeepAlive, 200);
        assert_eq!((report.sent, report.failed, report.right), (200, 1, 199), "{report:#}");
    }

    #[test]
    fn a_connection_closed_after_an_answer_is_replaced_without_a_failure() {
        let text = "HTTP/1.1 200 OK\r\nX-Version: v1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        let report = run(&serve(move |_| Some(text.to_owned())), Mode::KeepAlive, 50);
        assert_eq!((report.sent, report.right, report.connections), (50, 50, 50), "{report:#}");
    }

    #[test]
    fn an_old_version_is_wrong_only_for_requests_begun_after_the_word() {
        let gate = Arc::new(RwLock::new(()));
        let closed = gate.write().unwrap();
        let (arrives, arrived) = std::sync::mpsc::channel();
        let gate_of_server = Arc::clone(&gate);
        let url = serve(move |_| {
            let _ = arrives.send(());
            let _open = gate_of_server.read();
            Some(ok("v1"))
        });
        let mut options = Options::new(&url, Mode::KeepAlive);
        options.count = Some(8);
        let at_most = options.at_most;
        options.timeout = at_most;
        let load = Load::start(options);
        for _ in 0..4 {
            arrived.recv_timeout(at_most).unwrap();
        }
        load.expect_from_now_on("v2");
        drop(closed);
        let report = load.finish();
        assert_eq!((report.sent, report.right, report.wrong_version), (8, 4, 4), "{report:#}");
        assert!(report.samples[0].contains("wrong version v1"), "{report:#}");
    }

    #[test]
    fn it_can_be_told_to_stop_to_reach_a_count_and_never_outlives_its_time() {
        let url = serve(|_| Some(ok("v1")));
        let load = Load::start(Options::new(&url, Mode::KeepAlive));
        load.wait_for(10);
        assert_eq!(load.finish_at(2000).sent, 2000);

        let load = Load::start(Options::new(&url, Mode::KeepAlive));
        load.wait_for(10);
        let report = load.stop();
        assert!(report.sent >= 10 && report.right == report.sent, "{report:#}");

        let mut options = Options::new(&url, Mode::KeepAlive);
        options.at_most = Duration::from_millis(200);
        let started = Instant::now();
        Load::start(options).finish().assert_clean(1);
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn the_printed_line_has_the_three_counts() {
        let report = Report { sent: 7, failed: 1, wrong_version: 2, ..Report::default() };
        assert_eq!(report.to_string(), "sent: 7  failed: 1  wrong version: 2");
    }
}
