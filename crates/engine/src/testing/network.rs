//! Scripted connections: steps carried out on the models, faults where a test wants them.

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

/// How long any step takes at least.
pub(super) const STEP: Duration = Duration::from_millis(20);

/// What goes wrong where.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Servers that can't be reached.
    pub unreachable: BTreeSet<String>,
    /// Whether the lock's keeper says nothing and makes nothing.
    pub lock_hangs: bool,
    /// Servers that can't pull.
    pub no_pull: BTreeSet<String>,
    /// Servers whose sshd forwards nothing.
    pub no_forwarding: BTreeSet<String>,
    /// Servers on which preparing assets fails, with the status and what is said.
    pub no_assets: BTreeMap<String, (u32, String)>,
    /// Servers on which preparing assets takes so long.
    pub slow_assets: BTreeMap<String, Duration>,
    /// How often Traefik's API gives no answer in time, by server.
    pub api_fails: BTreeMap<String, usize>,
    /// What steps for accessories end with, by server and what they do.
    pub accessories: BTreeMap<(String, String), Output>,
    /// What a version does on a server, for a role; healthy after 300 ms unless told.
    pub behaviour: BTreeMap<(String, String, String), Behaviour>,
    /// The boundary at which the run is killed.
    pub kill_at: Option<usize>,
    /// The boundary at which the test is told (for an interrupt).
    pub notify_at: Option<usize>,
    /// A server that stops answering.
    pub silent: Option<Silent>,
    /// A server that answers something else.
    pub garbled: Option<Garbled>,
    /// What a server does by itself.
    pub happens: Option<Happens>,
}

/// A server that answers something else, once.
#[derive(Debug, Clone)]
pub(crate) struct Garbled {
    /// Which.
    pub host: String,
    /// After so many of its answers.
    pub after: usize,
    /// What becomes of the answer's text.
    pub into: fn(u64, &str) -> String,
    /// Which of the texts that it could become.
    pub number: u64,
}

/// A server that stops answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silent {
    /// Which.
    pub host: String,
    /// After so many of its boundaries.
    pub after: usize,
    /// How.
    pub how: How,
}

/// How a server stops answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The whole server, and its connections end when nothing was heard for [`KEEPALIVE`].
    Vanishes,
    /// Its Docker alone.
    DockerHangs,
    /// Its connections are cut once. What ran over them is not heard of again; new ones can be made.
    Cut,
}

/// When a connection without an answer is given up, as `remote` promises.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(30);

/// A port of a server that leads to us.
pub(super) struct Open(pub(super) Arc<Mutex<Machine>>);

impl Drop for Open {
    fn drop(&mut self) {
        locked(&self.0).changes.push("closed".into());
    }
}

/// The servers of a test.
pub(crate) struct FakeNetwork {
    machines: BTreeMap<String, Arc<Mutex<Machine>>>,
    /// What goes wrong.
    pub faults: Mutex<Faults>,
    /// The private keys that were handed over.
    pub keys: Mutex<Vec<(String, Secret)>>,
    /// What this machine's DNS knows.
    pub names: Mutex<BTreeMap<String, Vec<std::net::IpAddr>>>,
    boundary: AtomicUsize,
    silenced: AtomicBool,
    processes: AtomicU64,
    /// Told when the run reaches `kill_at`.
    pub killed: Notify,
    /// Told when the run reaches `notify_at`.
    pub reached: Notify,
}

impl FakeNetwork {
    /// Servers with nothing on them.
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

    /// The servers' names.
    pub(crate) fn hosts(&self) -> Vec<String> {
        self.machines.keys().cloned().collect()
    }

    /// A server, to look at or to change.
    ///
    /// # Panics
    /// If there is none of this name.
    #[allow(clippy::expect_used)] // A test's own mistake.
    pub(crate) fn machine(&self, host: &str) -> MutexGuard<'_, Machine> {
        locked(self.machines.get(host).expect("a host of the test"))
    }

    /// What goes wrong, to change.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.faults)
    }

    /// Boundaries passed so far, and starts counting anew.
    pub(crate) fn take_boundaries(&self) -> usize {
        self.boundary.swap(0, Ordering::SeqCst)
    }

    pub(super) fn machines(&self) -> &BTreeMap<String, Arc<Mutex<Machine>>> {
        &self.machines
    }

    /// How the fault [`Faults::silent`] has come over this server, if it has.
    fn silence(&self, host: &str) -> Option<How> {
        let faults = self.faults();
        faults
            .silent
            .as_ref()
            .filter(|silent| silent.host == host && silent.after == 0)
            .map(|fault| fault.how)
    }

    /// Whether this has come over this server.
    pub(super) fn is_silent(&self, host: &str, how: How) -> bool {
        self.silence(host) == Some(how)
    }

    /// Ends at once if the server answers, never if it doesn't.
    pub(super) async fn answers(&self, host: &str) {
        let Some(how) = self.silence(host) else { return };
        self.silenced.store(true, Ordering::SeqCst);
        if how == How::Cut {
            self.faults().silent = None;
            self.machine(host).cuts += 1;
        }
        std::future::pending::<()>().await;
    }

    /// What a server answers in place of this, if it garbles it.
    pub(super) fn garbled(&self, host: &str, said: &str) -> Option<String> {
        let mut faults = self.faults();
        let garbled = faults.garbled.as_mut().filter(|garbled| garbled.host == host)?;
        if garbled.after > 0 {
            garbled.after -= 1;
            return None;
        }
        faults.garbled.take().map(|garbled| (garbled.into)(garbled.number, said))
    }

    /// Whether somebody had to do without an answer.
    pub(crate) fn fell_silent(&self) -> bool {
        self.silenced.load(Ordering::SeqCst)
    }

    /// One boundary: the run may end here for good, or the server answer no more.
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

/// A network as the engine takes it.
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
