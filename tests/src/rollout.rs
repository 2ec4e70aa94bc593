//! A deploy while clients send requests the whole time, and what became of their requests.

use std::fmt;
use std::time::Duration;

use crate::load::{Load, Mode, Options, Report};
use crate::sandbox::Ran;

/// How the clients send.
#[derive(Clone, Debug)]
pub struct Visitors {
    /// The addresses they send to.
    pub urls: Vec<String>,
    /// The host name they ask for, where it isn't the address's own.
    pub host: Option<String>,
    /// The certificate that they trust, in DER.
    pub certificate: Option<Vec<u8>>,
    /// Clients that keep their connection, and as many that take a new one for each request.
    pub clients: usize,
    /// The pause of each client between two requests: they shall be many, but the machine has to deploy as well.
    pub pause: Duration,
    /// Requests that each of the two kinds sends at least.
    pub each: u64,
}

impl Visitors {
    /// With the pause that leaves something of the machine to tests that run beside.
    #[must_use]
    pub fn new(urls: Vec<String>, clients: usize, each: u64) -> Self {
        Self { urls, host: None, certificate: None, clients, pause: Duration::from_millis(4), each }
    }
}

/// What came of a deploy under load.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// The deploy.
    pub ran: Ran,
    /// The counts of clients that keep their connections.
    pub keep_alive: Report,
    /// The counts of clients that take a new connection for each request.
    pub new_connections: Report,
}

/// Nothing sends for longer.
const AT_MOST: Duration = Duration::from_secs(150);
/// So many requests flow before the deploy begins, and at least so many after it said it was done.
const BEFORE: u64 = 500;
const AFTER: u64 = 1000;

/// Sends requests with and without keep-alive, runs `deploy`, and goes on until enough were sent. While it runs the
/// versions `from` and `to` may answer; from the moment it is back, only `to`.
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
    // Both go on at once; the first to have enough doesn't stop the other.
    let (keep_alive, new_connections) = std::thread::scope(|scope| {
        let keep_alive = scope.spawn(|| keep_alive.finish_at(first));
        let new_connections = new_connections.finish_at(second);
        (keep_alive.join().expect("the load's thread"), new_connections)
    });
    Rollout { ran, keep_alive, new_connections }
}

impl Rollout {
    /// Both counts with what they are of.
    #[must_use]
    pub fn reports(&self) -> [(Mode, &Report); 2] {
        [(Mode::KeepAlive, &self.keep_alive), (Mode::NewConnection, &self.new_connections)]
    }

    /// Whether the deploy went well and every request was answered right, of at least `each` of both kinds.
    #[must_use]
    pub fn is_clean(&self, each: u64) -> bool {
        let right = |report: &Report| report.sent == report.right && report.sent >= each;
        self.ran.code == Some(0) && self.reports().iter().all(|(_, report)| right(report))
    }

    /// Panics with everything unless it [`Rollout::is_clean`].
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
