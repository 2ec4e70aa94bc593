//! Simulated connections: they carry out steps on the models, with the faults that a test sets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bowline_config::secret::Secret;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::locked;
use super::machine::{Behaviour, Machine};
use super::server::FakeServer;
use super::spontaneous::Happens;
use crate::ports::{Network, Output, Server, ServerError};

pub(super) const STEP: Duration = Duration::from_millis(20);

/// The faults of a test.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub unreachable: BTreeSet<String>,
    /// Whether the lock's keeper prints nothing and creates nothing.
    pub lock_hangs: bool,
    pub no_pull: BTreeSet<String>,
    /// Servers whose sshd doesn't forward connections.
    pub no_forwarding: BTreeSet<String>,
    /// Servers on which preparing assets fails, with the exit status and the error text.
    pub no_assets: BTreeMap<String, (u32, String)>,
    /// How long preparing assets takes, by server.
    pub slow_assets: BTreeMap<String, Duration>,
    /// How often Traefik's API times out, by server.
    pub api_fails: BTreeMap<String, usize>,
    /// The results of steps for accessories, by server and description.
    pub accessories: BTreeMap<(String, String), Output>,
    /// The behaviour of a version, by server, role and version. The default is healthy after 300 ms.
    pub behaviour: BTreeMap<(String, String, String), Behaviour>,
    pub kill_at: Option<usize>,
    /// The boundary at which the test is notified (for an interrupt).
    pub notify_at: Option<usize>,
    pub silent: Option<Silent>,
    pub garbled: Option<Garbled>,
    pub happens: Option<Happens>,
}

/// A server that gives one wrong answer.
#[derive(Debug, Clone)]
pub(crate) struct Garbled {
    pub host: String,
    /// The number of correct answers before that.
    pub after: usize,
    /// Turns the answer's text into another one.
    pub into: fn(u64, &str) -> String,
    /// Selects one of the texts that `into` can return.
    pub number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silent {
    pub host: String,
    /// The number of its boundaries before that.
    pub after: usize,
    pub how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The whole server vanishes. Its connections end after [`KEEPALIVE`] without an answer.
    Vanishes,
    /// Only its Docker hangs.
    DockerHangs,
    /// Its connections are cut once. The results of steps that ran over them are lost. New connections can be made.
    Cut,
}

/// How long a connection without an answer is kept, as in `remote`.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(30);

/// A port of a server that leads to us.
pub(super) struct Open(pub(super) Arc<Mutex<Machine>>);

impl Drop for Open {
    fn drop(&mut self) {
        locked(&self.0).changes.push("closed".into());
    }
}

pub(crate) struct FakeNetwork {
    machines: BTreeMap<String, Arc<Mutex<Machine>>>,
    pub faults: Mutex<Faults>,
    /// The private keys that the engine set.
    pub keys: Mutex<Vec<(String, Secret)>>,
    /// The names in this machine's DNS.
    pub names: Mutex<BTreeMap<String, Vec<std::net::IpAddr>>>,
    boundary: AtomicUsize,
    silenced: AtomicBool,
    processes: AtomicU64,
    pub killed: Notify,
    pub reached: Notify,
}

impl FakeNetwork {
    pub(crate) fn new(hosts: &[&str]) -> Self {
        Self {
            machines: hosts.iter().map(|host| ((*host).to_string(), Arc::default())).collect(),
            faults: Mutex::default(),
            keys: Mutex::default(),
            names: Mutex::default(),
            boundary: AtomicUsize::new(0),
            silenced: AtomicBool::new(false),
            processes: AtomicU64::new(0),
            killed: Notify::new(),
            reached: Notify::new(),
        }
    }

    pub(super) fn next_process(&self) -> u64 {
        (self.processes.fetch_add(1, Ordering::SeqCst) + 1) << 32
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        self.machines.keys().cloned().collect()
    }

    /// A server, to inspect or change.
    ///
    /// # Panics
    /// If the test has no server of this name.
    #[allow(clippy::expect_used)] // A test's own mistake.
    pub(crate) fn machine(&self, host: &str) -> MutexGuard<'_, Machine> {
        locked(self.machines.get(host).expect("a host of the test"))
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.faults)
    }

    /// The number of boundaries passed so far. Restarts the count.
    pub(crate) fn take_boundaries(&self) -> usize {
        self.boundary.swap(0, Ordering::SeqCst)
    }

    pub(super) fn machines(&self) -> &BTreeMap<String, Arc<Mutex<Machine>>> {
        &self.machines
    }

    /// How this server stopped answering, if it did ([`Faults::silent`]).
    fn silence(&self, host: &str) -> Option<How> {
        let faults = self.faults();
        faults
            .silent
            .as_ref()
            .filter(|silent| silent.host == host && silent.after == 0)
            .map(|fault| fault.how)
    }

    pub(super) fn is_silent(&self, host: &str, how: How) -> bool {
        self.silence(host) == Some(how)
    }

    /// Returns at once if the server answers, and never if it doesn't.
    pub(super) async fn answers(&self, host: &str) {
        let Some(how) = self.silence(host) else { return };
        self.silenced.store(true, Ordering::SeqCst);
        if how == How::Cut {
            self.faults().silent = None;
            self.machine(host).cuts += 1;
        }
        std::future::pending::<()>().await;
    }

    /// The wrong answer that a server gives instead of this one, if any.
    pub(super) fn garbled(&self, host: &str, said: &str) -> Option<String> {
        let mut faults = self.faults();
        let garbled = faults.garbled.as_mut().filter(|garbled| garbled.host == host)?;
        if garbled.after > 0 {
            garbled.after -= 1;
            return None;
        }
        faults.garbled.take().map(|garbled| (garbled.into)(garbled.number, said))
    }

    /// Whether a step got no answer because a server fell silent.
    pub(crate) fn fell_silent(&self) -> bool {
        self.silenced.load(Ordering::SeqCst)
    }

    /// Passes one boundary, where the run may be killed or the server may stop answering.
    pub(super) async fn boundary(&self, host: &str) {
        self.answers(host).await;
        if let Some(silent) = self.faults().silent.as_mut().filter(|silent| silent.host == host) {
            silent.after -= 1;
        }
        self.let_happen(host);
        let at = self.boundary.fetch_add(1, Ordering::SeqCst);
        let (kill, notify) = {
            let faults = self.faults();
            (faults.kill_at, faults.notify_at)
        };
        if notify == Some(at) {
            self.reached.notify_one();
        }
        if kill.is_some_and(|kill| at >= kill) {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// The simulated network as a port of the engine.
pub(super) struct Wires(pub(super) Arc<FakeNetwork>);

#[async_trait]
impl Network for Wires {
    async fn connect(&self, host: &str) -> Result<Arc<dyn Server>, ServerError> {
        sleep(STEP).await;
        if self.0.faults().unreachable.contains(host) || !self.0.machines.contains_key(host) {
            return Err(ServerError::Unreachable { reason: "connection refused".into(), hint: None });
        }
        Ok(Arc::new(FakeServer { network: self.0.clone(), host: host.into() }))
    }

    async fn resolve(&self, name: &str) -> Result<Vec<std::net::IpAddr>, String> {
        locked(&self.0.names).get(name).cloned().ok_or_else(|| "Name or service not known".into())
    }

    fn take_keys(&self, keys: Vec<(String, Secret)>) {
        *locked(&self.0.keys) = keys;
    }
}
