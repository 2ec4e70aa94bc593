//! A deploy under load, and the reports of the load clients.

use std::fmt;
use std::time::Duration;

use crate::load::{Load, Mode, Options, Report};
use crate::sandbox::Ran;

#[derive(Clone, Debug)]
pub struct Visitors {
    pub urls: Vec<String>,
    /// The `Host` header, if it differs from the URL's host.
    pub host: Option<String>,
    /// The certificate to trust, in DER.
    pub certificate: Option<Vec<u8>>,
    /// The number of clients that keep their connection, and of those that open one per request.
    pub clients: usize,
    /// The pause of each client between two requests, which leaves CPU time for the deploy.
    pub pause: Duration,
    /// The least number of requests of each kind.
    pub each: u64,
}

impl Visitors {
    /// With a pause that leaves CPU time for concurrent tests.
    #[must_use]
    pub fn new(urls: Vec<String>, clients: usize, each: u64) -> Self {
        Self { urls, host: None, certificate: None, clients, pause: Duration::from_millis(4), each }
    }
}

#[derive(Clone, Debug)]
pub struct Rollout {
    pub ran: Ran,
    /// The report of the clients that keep their connections.
    pub keep_alive: Report,
    /// The report of the clients that open a connection per request.
    pub new_connections: Report,
}

/// The load ends after this time in any case.
const AT_MOST: Duration = Duration::from_secs(150);
/// The number of requests before the deploy, and the least number after it.
const BEFORE: u64 = 500;
const AFTER: u64 = 1000;

/// Sends requests with and without keep-alive, runs `deploy`, and continues until enough requests were sent. The
/// versions `from` and `to` may answer during the deploy, and only `to` after it.
///
/// # Panics
/// When the load doesn't flow.
pub fn under_load(visitors: &Visitors, from: &str, to: &str, deploy: impl FnOnce() -> Ran) -> Rollout {
    let start = |mode| {
        let load = Load::start(Options {
            urls: visitors.urls.clone(),
            host: visitors.host.clone(),
            certificate: visitors.certificate.clone(),
            clients: visitors.clients,
            pause: visitors.pause,
            at_most: AT_MOST,
            ..Options::new(visitors.urls[0].clone(), mode)
        });
        load.allow_from_now_on(&[from, to]);
        load
    };
    let (keep_alive, new_connections) = (start(Mode::KeepAlive), start(Mode::NewConnection));
    keep_alive.wait_for(BEFORE);
    new_connections.wait_for(BEFORE);
    let ran = deploy();
    keep_alive.expect_from_now_on(to);
    new_connections.expect_from_now_on(to);
    let enough = |load: &Load| visitors.each.max(load.begun() + AFTER);
    let (first, second) = (enough(&keep_alive), enough(&new_connections));
    // Runs both at once, so that the first to have enough doesn't stop the other.
    let (keep_alive, new_connections) = std::thread::scope(|scope| {
        let keep_alive = scope.spawn(|| keep_alive.finish_at(first));
        let new_connections = new_connections.finish_at(second);
        (keep_alive.join().expect("the load's thread"), new_connections)
    });
    Rollout { ran, keep_alive, new_connections }
}

impl Rollout {
    #[must_use]
    pub fn reports(&self) -> [(Mode, &Report); 2] {
        [(Mode::KeepAlive, &self.keep_alive), (Mode::NewConnection, &self.new_connections)]
    }

    /// Whether the deploy succeeded, and at least `each` requests of both kinds were sent and all answered correctly.
    #[must_use]
    pub fn is_clean(&self, each: u64) -> bool {
        let right = |report: &Report| report.sent == report.right && report.sent >= each;
        self.ran.code == Some(0) && self.reports().iter().all(|(_, report)| right(report))
    }

    /// Panics with both reports unless it [`Rollout::is_clean`].
    #[track_caller]
    pub fn assert_clean(&self, each: u64) {
        assert!(self.is_clean(each), "expected {each} requests of each kind, all answered right\n{self}");
    }
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (mode, report) in self.reports() {
            writeln!(f, "{mode}: {report:#}")?;
        }
        write!(f, "{}", self.ran)
    }
}
