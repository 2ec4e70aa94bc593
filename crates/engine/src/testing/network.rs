//! Scripted connections: steps carried out on the models, faults where a test wants them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bowline_core::commands::traefik::Action;
use bowline_core::commands::{FENCED, Scope, app, assets, maintenance, ready, registry};
use bowline_core::plan::step::Step;
use bowline_core::secret::Secret;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::channel::{FakeKeeper, FakeLog, take_lock};
use super::docker::FakeDocker;
use super::machine::{Behaviour, Machine};
use super::{locked, program};
use crate::ports::{
    Attached, Channel, Exit, Held, Line, Network, OnLine, Output, Server, ServerError, Terminal,
};

/// How long any step takes at least.
const STEP: Duration = Duration::from_millis(20);
/// What Docker needs to see a container without its cord as unhealthy.
const UNHEALTHY: Duration = Duration::from_millis(2500);

/// What goes wrong where.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Servers that can't be reached.
    pub unreachable: BTreeSet<String>,
    /// Servers that can't pull.
    pub no_pull: BTreeSet<String>,
    /// Servers on which a port that should be lent is taken, for so many times.
    pub port_taken: BTreeMap<String, usize>,
    /// Servers on which preparing assets fails, with the status and what is said.
    pub no_assets: BTreeMap<String, (u32, String)>,
    /// Servers on which preparing assets takes so long.
    pub slow_assets: BTreeMap<String, Duration>,
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
}

/// A server that stops answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silent {
    /// Which.
    pub host: String,
    /// After so many of its boundaries.
    pub after: usize,
    /// The whole server, and its connection ends when nothing was heard for [`KEEPALIVE`]; or Docker alone.
    pub gone: bool,
}

/// When a connection without an answer is given up, as `remote` promises.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A port that is lent to a server.
struct Lent(Arc<Mutex<Machine>>);

impl Drop for Lent {
    fn drop(&mut self) {
        locked(&self.0).changes.push("taken back".into());
    }
}

/// The servers of a test.
pub(crate) struct FakeNetwork {
    machines: BTreeMap<String, Arc<Mutex<Machine>>>,
    /// What goes wrong.
    pub faults: Mutex<Faults>,
    /// The private keys that were handed over.
    pub keys: Mutex<Vec<(String, Secret)>>,
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

    /// Whether the fault [`Faults::silent`] has come over this server.
    pub(super) fn is_silent(&self, host: &str) -> bool {
        self.faults().silent.as_ref().is_some_and(|silent| silent.host == host && silent.after == 0)
    }

    /// Whether somebody had to do without an answer.
    pub(crate) fn fell_silent(&self) -> bool {
        self.silenced.load(Ordering::SeqCst)
    }

    /// One boundary: the run may end here for good, or the server answer no more.
    async fn boundary(&self, host: &str) {
        if self.is_silent(host) {
            self.silenced.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        if let Some(silent) = self.faults().silent.as_mut().filter(|silent| silent.host == host) {
            silent.after -= 1;
        }
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

    fn take_keys(&self, keys: Vec<(String, Secret)>) {
        *locked(&self.0.keys) = keys;
    }
}

/// A connection to a model.
pub(super) struct FakeServer {
    pub(super) network: Arc<FakeNetwork>,
    pub(super) host: String,
}

fn answer(text: impl Into<String>) -> Output {
    Output { stdout: text.into(), ..Output::default() }
}

fn status(status: u32, text: &str) -> Output {
    Output { exit: Exit::Status(status), stdout: String::new(), stderr: text.into() }
}

/// What the script says of a container that did not become ready.
fn failed(reason: &str, state: &str) -> Output {
    Output {
        exit: Exit::Status(ready::NOT_READY),
        stdout: format!(
            "@state {state}\n@failed {reason}\n@log\nboom\n\n@health {{\"Log\":[{{\"ExitCode\":1,\"Output\":\"refused\"}}]}}\n"
        ),
        stderr: String::new(),
    }
}

impl FakeServer {
    pub(super) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.network.machine(&self.host)
    }

    /// One effect, with a boundary before and after it.
    async fn effect<T>(&self, effect: impl FnOnce(&mut Machine) -> T + Send) -> T {
        self.boundary().await;
        let result = effect(&mut self.machine());
        self.boundary().await;
        result
    }

    async fn boundary(&self) {
        self.network.boundary(&self.host).await;
    }

    /// Ends when the connection is given up.
    pub(super) async fn lost(&self) -> ServerError {
        loop {
            let gone = self.network.faults().silent.as_ref().is_some_and(|silent| silent.gone);
            if gone && self.network.is_silent(&self.host) {
                sleep(KEEPALIVE).await;
                return ServerError::Lost { reason: "nothing was heard for 30 s".into() };
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn fenced(&self, scope: &Scope) -> bool {
        self.machine().mark.as_ref() != Some(&scope.run)
    }

    /// Whenever a version boots anywhere, every server that takes part answers for its assets, and it for theirs.
    fn check_assets(&self, boot: &app::Boot) {
        if boot.assets.is_none() {
            return;
        }
        let mut lacking = self.machine().lacked_by(&boot.role, &boot.version);
        let out = {
            let faults = self.network.faults();
            let failing = faults.no_assets.keys().cloned();
            let silent = faults.silent.iter().map(|silent| silent.host.clone());
            let out = failing.chain(faults.unreachable.clone()).chain(faults.no_pull.clone());
            out.chain(silent).collect::<BTreeSet<_>>()
        };
        for host in self.network.hosts().iter().filter(|host| !out.contains(*host)) {
            lacking.extend(self.network.machine(host).lacking(&boot.role, &boot.version));
        }
        self.machine().losses.extend(lacking);
    }

    async fn assets(&self, prepare: &assets::Prepare) -> Output {
        let (fault, delay) = {
            let faults = self.network.faults();
            (faults.no_assets.get(&self.host).cloned(), faults.slow_assets.get(&self.host).copied())
        };
        sleep(delay.unwrap_or_default()).await;
        if let Some((code, said)) = fault {
            return status(code, &said);
        }
        self.effect(|machine| machine.reach(prepare)).await;
        self.effect(|machine| machine.put(prepare)).await;
        answer("")
    }

    async fn boot(&self, boot: &app::Boot, on_line: OnLine<'_>) -> Output {
        self.check_assets(boot);
        self.effect(|machine| machine.rename_clashing(boot)).await;
        let id = self.effect(|machine| machine.create(boot)).await;
        on_line(Line::Out(&format!("@id {id}")));
        on_line(Line::Out("@state running starting 0 0 false"));
        let key = (self.host.clone(), boot.role.clone(), boot.version.clone());
        let behaviour = self.network.faults().behaviour.get(&key).copied().unwrap_or(Behaviour::Healthy(300));
        match behaviour {
            Behaviour::Healthy(after) => {
                let wait = if boot.health.is_some() { after } else { boot.readiness_delay * 1000 };
                sleep(Duration::from_millis(wait)).await;
                let address = self
                    .effect(|machine| {
                        let container = machine.find(&id)?;
                        container.healthy = container.healthy.map(|_| true);
                        Some(container.address)
                    })
                    .await
                    .unwrap_or(0);
                answer(format!("@id {id}\n@ready 172.18.0.{address} \n"))
            }
            Behaviour::Exits(code) => {
                sleep(Duration::from_millis(400)).await;
                failed("restarting", &format!("restarting starting {code} 3 false"))
            }
            Behaviour::NeverHealthy => {
                sleep(Duration::from_secs(boot.timeout)).await;
                failed("timeout", "running unhealthy 0 0 false")
            }
        }
    }

    async fn start(&self, start: &app::Start) -> Output {
        let address = self
            .effect(|machine| {
                machine.changes.push(format!("start {}", start.name));
                machine.cords.extend(start.cord.clone().map(|cord| (cord, true)));
                let container = machine.find(&start.id)?;
                container.running = true;
                container.healthy = container.healthy.map(|_| false);
                Some(container.address)
            })
            .await;
        let Some(address) = address else { return status(app::NOT_STARTED, "no such container") };
        let key = (self.host.clone(), start.role.clone(), start.version.clone());
        if let Some(Behaviour::Exits(code)) = self.network.faults().behaviour.get(&key) {
            // Docker goes on starting it.
            return failed("restarting", &format!("restarting starting {code} 3 false"));
        }
        sleep(Duration::from_millis(300)).await;
        self.effect(|machine| {
            if let Some(container) = machine.find(&start.id) {
                container.healthy = container.healthy.map(|_| true);
            }
        })
        .await;
        answer(format!("@id {}\n@ready 172.18.0.{address} \n", start.id))
    }

    async fn carry_out(&self, step: &Step, on_line: OnLine<'_>) -> Output {
        match step {
            Step::Observe(_) if self.machine().docker != FakeDocker::Runs => status(127, "docker: not found"),
            Step::Observe(observe) => {
                let text = self.machine().observe(observe);
                self.boundary().await;
                answer(text)
            }
            Step::Pull(pull) => {
                if self.network.faults().no_pull.contains(&self.host) {
                    return status(registry::PULL_FAILED, "manifest unknown");
                }
                self.effect(|machine| {
                    machine.images.insert(pull.image.clone());
                    machine.changes.push(format!("pull {}", pull.image));
                })
                .await;
                answer("")
            }
            Step::Power(power) => {
                let runs = power.action != Action::Stop;
                self.effect(|machine| machine.traefik = runs).await;
                answer("")
            }
            Step::Proxy(_) | Step::ReplaceProxy(_) => {
                self.effect(|machine| {
                    machine.traefik = true;
                    machine.changes.push(step.describe());
                })
                .await;
                answer("@address 172.18.0.1\n")
            }
            Step::Boot(boot) => self.boot(boot, on_line).await,
            Step::Start(start) => self.start(start).await,
            Step::Cut(cut) => {
                self.effect(|machine| machine.cords.insert(cut.directory.clone(), false)).await;
                sleep(UNHEALTHY).await;
                self.effect(|machine| {
                    if let Some(container) = machine.find(&cut.id) {
                        container.healthy = Some(false);
                    }
                    machine.check_served();
                })
                .await;
                answer("@unhealthy\n")
            }
            Step::Stop(stop) => {
                self.effect(|machine| {
                    machine.stop(&stop.id);
                    machine.cords.retain(|cord, _| Some(cord) != stop.cord.as_ref());
                })
                .await;
                answer("@drain idle\n")
            }
            Step::Tag(tag) => {
                self.effect(|machine| {
                    machine.latest.insert(tag.latest.clone(), tag.image.clone());
                    machine.history.extend(tag.kind.map(|kind| format!("{kind} {}", tag.version)));
                    machine.changes.push(format!("tag {}", tag.latest));
                })
                .await;
                answer("")
            }
            Step::Prune(prune) => {
                self.effect(|machine| {
                    prune.assets.iter().for_each(|clean| machine.clean(clean));
                    if prune.parts.is_some() {
                        machine.prune(&prune.scope.names, &prune.roles, prune.retain);
                    }
                })
                .await;
                answer("")
            }
            Step::Remove(remove) => {
                self.effect(|machine| machine.remove(&remove.what)).await;
                answer("")
            }
            Step::Env(_) => {
                self.effect(|machine| machine.changes.push(step.describe())).await;
                answer("")
            }
            Step::Network(_) => {
                self.effect(|_| ()).await;
                answer("")
            }
            Step::Assets(prepare) => self.assets(prepare).await,
            Step::Accessory(act) => {
                let fault =
                    self.network.faults().accessories.get(&(self.host.clone(), act.describe())).cloned();
                match fault {
                    Some(output) => output,
                    None => answer(self.effect(|machine| machine.act(act)).await),
                }
            }
            Step::Prepare(exec) => {
                self.effect(|machine| machine.changes.push(format!("prepare {}", exec.container()))).await;
                answer("")
            }
            Step::Exec(exec) => program::run(&exec.words).await,
            Step::OnServer(command) => program::run(&program::words(&command.command)).await,
            Step::Bootstrap(_) => {
                let (code, stdout) = self.effect(Machine::bootstrap).await;
                stdout.lines().for_each(|line| on_line(Line::Out(line)));
                Output { exit: Exit::Status(code), stdout, ..Output::default() }
            }
            Step::Run("look at the lock", _) => {
                answer(self.machine().lock.as_ref().map(|lock| lock.details.clone()).unwrap_or_default())
            }
            Step::Run("show the log", script) => {
                let machine = self.machine();
                let shown = machine.containers.iter().find(|c| script.text.contains(c.id.as_str()));
                answer(shown.map(|c| format!("{} says\n", c.name)).unwrap_or_default())
            }
            Step::Run("log in again", _) => {
                self.effect(Machine::log_in_again).await;
                answer("")
            }
            Step::Run("look for a mirror", _) => answer(self.machine().mirror.clone()),
            Step::Run(name, _) => {
                self.machine().changes.push((*name).into());
                answer("")
            }
            Step::Lock(_) => answer(""),
            Step::Maintenance(_) => status(maintenance::NO_PAGE, "this model shows no pages"),
        }
    }
}

/// The run that a step belongs to, if it changes anything.
fn fence(step: &Step) -> Option<&Scope> {
    match step {
        Step::Pull(step) => step.locked.then_some(&step.scope),
        Step::Proxy(step) => Some(&step.scope),
        Step::ReplaceProxy(step) => Some(&step.ensure.scope),
        Step::Power(step) => Some(&step.scope),
        Step::Network(step) => Some(&step.scope),
        Step::Assets(step) => Some(&step.scope),
        Step::Boot(step) => Some(&step.scope),
        Step::Start(step) => Some(&step.scope),
        Step::Cut(step) => Some(&step.scope),
        Step::Stop(step) => Some(&step.scope),
        Step::Tag(step) => Some(&step.scope),
        Step::Prune(step) => Some(&step.scope),
        Step::Remove(step) => Some(&step.scope),
        Step::Maintenance(step) => Some(&step.scope),
        Step::Accessory(step) => Some(&step.scope),
        Step::Env(step) => Some(&step.scope),
        Step::Observe(_)
        | Step::Lock(_)
        | Step::Prepare(_)
        | Step::Exec(_)
        | Step::OnServer(_)
        | Step::Bootstrap(_)
        | Step::Run(..) => None,
    }
}

#[async_trait]
impl Server for FakeServer {
    async fn run(&self, step: &Step, on_line: OnLine<'_>) -> Result<Output, ServerError> {
        sleep(STEP).await;
        if self.network.faults().unreachable.contains(&self.host) {
            return Err(ServerError::Lost { reason: "no answer".into() });
        }
        if fence(step).is_some_and(|scope| self.fenced(scope)) {
            return Ok(status(FENCED, "another run has taken over this server"));
        }
        tokio::select! {
            output = self.carry_out(step, on_line) => Ok(output),
            error = self.lost() => Err(error),
        }
    }

    async fn open(&self, step: &Step) -> Result<Box<dyn Channel>, ServerError> {
        sleep(STEP).await;
        let server = FakeServer { network: self.network.clone(), host: self.host.clone() };
        let keep = match step {
            Step::Lock(keep) => keep,
            Step::Run("follow the log", script) => {
                let ids: Vec<String> = self.machine().containers.iter().map(|c| c.id.clone()).collect();
                let id = ids.into_iter().find(|id| script.text.contains(id.as_str())).unwrap_or_default();
                return Ok(Box::new(FakeLog { server, id, said: false }));
            }
            _ => return Err(ServerError::Lost { reason: "only the lock and logs are kept open".into() }),
        };
        let take = async {
            self.boundary().await;
            let lines = take_lock(&mut self.machine(), keep);
            let keeper = FakeKeeper { server, run: keep.scope.run.clone(), lines };
            self.boundary().await;
            keeper
        };
        tokio::select! {
            keeper = take => Ok(Box::new(keeper)),
            error = self.lost() => Err(error),
        }
    }

    async fn attach(&self, step: &Step, terminal: Option<&Terminal>) -> Result<Attached, ServerError> {
        sleep(STEP).await;
        match (step, self.network.machines.get(&self.host)) {
            (Step::Exec(exec), Some(machine)) => {
                Ok(program::attach(machine.clone(), exec.words.clone(), terminal))
            }
            (Step::OnServer(command), Some(machine)) => {
                Ok(program::attach(machine.clone(), program::words(&command.command), terminal))
            }
            _ => Err(ServerError::Lost { reason: "only commands are attached".into() }),
        }
    }

    async fn lend(&self, port: u16) -> Result<Option<Held>, ServerError> {
        sleep(STEP).await;
        let machine = self.network.machines.get(&self.host).cloned().unwrap_or_default();
        if let Some(times @ 1..) = self.network.faults().port_taken.get_mut(&self.host) {
            *times -= 1;
            return Ok(None);
        }
        locked(&machine).changes.push(format!("lent {port}"));
        Ok(Some(Box::new(Lent(machine))))
    }

    async fn http_get(&self, _: SocketAddr, _: &str) -> Result<(u16, String), ServerError> {
        sleep(STEP).await;
        Ok((200, self.machine().services()))
    }
}
