//! The services, and the commands that change them: deploy, remove, pause, stop, resume, rollout.
//!
//! Requests see a [`Table`]. Each change builds a new one and installs it with one pointer store. Waiting for health
//! and draining happen outside the lock for changes, so that commands for different services run concurrently.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::balance::Balancer;
use crate::drain::{Afterwards, Limits, drain};
use crate::gate::{self, Gate};
use crate::health::Checks;
use crate::lock;
use crate::log;
use crate::options::{DeploymentOptions, Invalid, ServiceOptions, TargetOptions};
use crate::rollout::Split;
use crate::rules::Rules;
use crate::state::{self, State};
use crate::stats::Stats;
use crate::target::{Health, InvalidTarget, Target};

mod follow;
mod list;
mod table;

pub use follow::{Change, Followed};
pub use list::{Listed, ListedTarget};
pub use table::{Binding, Table};

/// Why a command failed. Errors that kamal-proxy has too use its texts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("service not found")]
    NotFound,
    #[error(transparent)]
    Target(#[from] InvalidTarget),
    #[error(transparent)]
    Options(#[from] Invalid),
    #[error("target failed to become healthy within configured timeout ({timeout}): {last_seen}")]
    Unhealthy {
        timeout: String,
        /// URL and failure of the last check of each unhealthy target.
        last_seen: String,
    },
    #[error("host settings conflict with another service")]
    Conflict,
    /// A file or a value in the options is invalid.
    #[error("{0}")]
    Rules(String),
    #[error("rollout target not set")]
    NoRollout,
    /// Another process is about to take over, with the state that it has restored.
    #[error("the proxy is being upgraded: run the command again")]
    Upgrading,
    /// The change would be lost by the next restart.
    #[error("can't save the state, so nothing has changed: {0}")]
    Unsaved(String),
    #[error("nothing is prepared for this service")]
    NotPrepared,
}

/// A service as requests see it. It is immutable: a change creates another one.
#[derive(Debug, Clone)]
pub struct Service {
    pub name: Arc<str>,
    pub options: Arc<ServiceOptions>,
    pub target_options: Arc<TargetOptions>,
    pub rules: Arc<Rules>,
    pub active: Arc<TargetSet>,
    /// The second set of targets.
    pub rollout: Option<Arc<TargetSet>>,
    /// Which clients get the rollout.
    pub split: Option<Arc<Split>>,
    pub gate: Arc<Gate>,
}

/// The targets of one deploy with their health checks.
#[derive(Debug)]
pub struct TargetSet {
    pub balancer: Balancer,
    checks: Checks,
}

impl TargetSet {
    fn start(
        writers: &[String],
        readers: &[String],
        options: &TargetOptions,
        workers: usize,
    ) -> Result<Self, Error> {
        let balancer = Balancer::new(writers, readers, workers)?;
        let targets: Vec<_> = balancer.targets().cloned().collect();
        Ok(Self { checks: Checks::start(&targets, &options.health_check_config), balancer })
    }

    /// Creates targets from the state file. They count as healthy until a check fails.
    fn restored(service: &state::Service, kind: TargetSetKind, workers: usize) -> Result<Self, Error> {
        let (writers, readers) = kind.names(service);
        let balancer = Balancer::new(writers, readers, workers)?;
        let targets: Vec<_> = balancer.targets().cloned().collect();
        targets.iter().for_each(|target| _ = target.set_health(Health::Healthy));
        let several = targets.len() > 1;
        let config = &service.target_options.health_check_config;
        let checks = if several { Checks::start(&targets, config) } else { Checks::default() };
        Ok(Self { balancer, checks })
    }

    /// Whether the targets are those of this service.
    fn is(&self, service: &state::Service, kind: TargetSetKind) -> bool {
        let (writers, readers) = kind.names(service);
        self.balancer.writer_names() == writers && self.balancer.reader_names() == readers
    }

    fn targets(&self) -> Vec<Arc<Target>> {
        self.balancer.targets().cloned().collect()
    }

    async fn wait(&self, options: &DeploymentOptions) -> Result<(), Error> {
        if options.force {
            return Ok(());
        }
        let timeout = crate::duration::text(options.deploy_timeout);
        let healthy = self.checks.all_healthy(options.deploy_timeout).await;
        healthy.map_err(|last_seen| Error::Unhealthy { timeout, last_seen })
    }
}

#[derive(Debug, Clone, Copy)]
enum TargetSetKind {
    Active,
    Rollout,
}

impl TargetSetKind {
    /// The names of writers and readers.
    fn names(self, service: &state::Service) -> (&[String], &[String]) {
        match self {
            Self::Active => (&service.active_targets, &service.active_readers),
            Self::Rollout => (&service.rollout_targets, &service.rollout_readers),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deploy {
    #[serde(rename = "service")]
    pub name: String,
    /// The writers.
    pub targets: Vec<String>,
    pub readers: Vec<String>,
    pub deployment: DeploymentOptions,
    pub options: ServiceOptions,
    pub target_options: TargetOptions,
}

/// Healthy targets that wait for [`Services::switch`].
#[derive(Debug)]
struct Prepared {
    deploy: Deploy,
    set: Arc<TargetSet>,
}

type Keep = Box<dyn Fn(State) -> Result<(), String> + Send + Sync>;
type OnChange = Box<dyn Fn(&Arc<Table>) + Send + Sync>;

/// A handle to all services. Clones share them.
#[derive(Clone)]
pub struct Services(Arc<Inner>);

struct Inner {
    table: ArcSwap<Table>,
    prepared: Mutex<HashMap<String, Prepared>>,
    workers: usize,
    keep: Mutex<Option<Keep>>,
    on_change: Mutex<Vec<OnChange>>,
    frozen: AtomicBool,
    tell: Mutex<Option<follow::Tell>>,
}

impl Services {
    /// Starts without services. Targets keep connections for this many workers.
    pub fn new(workers: usize) -> Self {
        Self(Arc::new(Inner {
            table: ArcSwap::default(),
            prepared: Mutex::default(),
            workers,
            keep: Mutex::default(),
            on_change: Mutex::default(),
            frozen: AtomicBool::new(false),
            tell: Mutex::default(),
        }))
    }

    /// Calls `keep` with the resulting state before a change takes effect. If that fails, the change is refused.
    pub fn keep_in(&self, keep: impl Fn(State) -> Result<(), String> + Send + Sync + 'static) {
        *lock(&self.0.keep) = Some(Box::new(keep));
    }

    pub fn save(&self) -> Result<(), Error> {
        let _changing = self.unfrozen()?;
        self.keep(&self.table())
    }

    fn keep(&self, table: &Table) -> Result<(), Error> {
        match &*lock(&self.0.keep) {
            Some(keep) => keep(table.to_file()).map_err(Error::Unsaved),
            None => Ok(()),
        }
    }

    /// Calls `hook` with each new table, before the command that changed it drains anything.
    pub fn on_change(&self, hook: impl Fn(&Arc<Table>) + Send + Sync + 'static) {
        lock(&self.0.on_change).push(Box::new(hook));
    }

    /// Starts or stops refusing changes. Once this returns, the state file has every change that was not refused.
    pub fn freeze(&self, frozen: bool) {
        let _changing = lock(&self.0.on_change);
        self.0.frozen.store(frozen, Ordering::SeqCst);
    }

    pub fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.0.table.load()
    }

    /// Adds or replaces a service's targets and options. Returns once the replaced targets are drained.
    pub async fn deploy(&self, mut deploy: Deploy) -> Result<(), Error> {
        let set = self.ready(&mut deploy).await?;
        self.install(deploy, set).await
    }

    /// Starts and checks the targets of a deploy, and holds them for [`Services::switch`].
    pub async fn prepare(&self, mut deploy: Deploy) -> Result<(), Error> {
        let set = self.ready(&mut deploy).await?;
        self.check_conflicts(&self.table(), &deploy)?;
        Rules::new(&deploy.options, &deploy.target_options).map_err(Error::Rules)?;
        log::info("Prepared", &[("service", &deploy.name)]);
        lock(&self.0.prepared).insert(deploy.name.clone(), Prepared { deploy, set });
        Ok(())
    }

    /// Installs the prepared targets. Returns once the replaced targets are drained.
    pub async fn switch(&self, name: &str) -> Result<(), Error> {
        let Prepared { deploy, set } = lock(&self.0.prepared).remove(name).ok_or(Error::NotPrepared)?;
        self.install(deploy, set).await
    }

    /// Removes a service without draining it.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        lock(&self.0.prepared).remove(name);
        // Nothing is drained, here or in former processes.
        let mut removed = None;
        let remove = |table: &mut Table| {
            removed = Some(table.services.remove(name).ok_or(Error::NotFound)?);
            Ok(())
        };
        drop(self.change(name, Limits::ZERO, remove)?);
        removed.iter().flat_map(|service| service.sets()).for_each(|set| set.checks.stop());
        Ok(())
    }

    /// Holds new requests, and drains the targets.
    pub async fn pause(&self, name: &str, limits: Limits, wait: Duration) -> Result<(), Error> {
        self.close(name, gate::State::Paused(wait), limits, "Service paused").await
    }

    /// Refuses new requests, and drains the targets.
    pub async fn stop(&self, name: &str, limits: Limits, notice: gate::Notice) -> Result<(), Error> {
        self.close(name, gate::State::Stopped(notice), limits, "Service stopped").await
    }

    async fn close(&self, name: &str, state: gate::State, limits: Limits, done: &str) -> Result<(), Error> {
        let service = self.get(name)?;
        let followed = self.set_gate(&service, state, limits)?;
        log::info(done, &[("service", &name)]);
        let targets = service.sets().flat_map(|set| set.targets()).collect();
        tokio::join!(drain(targets, limits, Afterwards::Restored), followed);
        log::info("Service drained", &[("service", &name)]);
        Ok(())
    }

    /// Ends a pause or a stop.
    pub fn resume(&self, name: &str) -> Result<(), Error> {
        drop(self.set_gate(&*self.get(name)?, gate::State::Running, Limits::ZERO)?);
        log::info("Service resumed", &[("service", &name)]);
        Ok(())
    }

    /// Gives a service a second set of targets.
    pub async fn rollout_deploy(
        &self,
        name: &str,
        targets: &[String],
        readers: &[String],
        deployment: DeploymentOptions,
    ) -> Result<(), Error> {
        let service = self.get(name)?;
        let set = TargetSet::start(targets, readers, &service.target_options, self.0.workers)?;
        set.wait(&deployment).await?;
        let mut replaced = None;
        let limits = limits(&deployment);
        let followed = self.change_service(name, limits, |service| {
            replaced = service.rollout.replace(Arc::new(set));
            Ok(())
        })?;
        tokio::join!(retire(replaced, limits), followed);
        Ok(())
    }

    /// Selects the clients that get the second set.
    pub fn rollout_set(&self, name: &str, percentage: i64, allowed: Vec<String>) -> Result<(), Error> {
        let change = |service: &mut Service| {
            service.rollout.as_ref().ok_or(Error::NoRollout)?;
            service.split = Some(Arc::new(Split::new(percentage, allowed)));
            Ok(())
        };
        self.change_service(name, Limits::ZERO, change).map(drop)
    }

    /// Sends no more requests to the second set.
    pub fn rollout_stop(&self, name: &str) -> Result<(), Error> {
        let change = |service: &mut Service| {
            service.split = None;
            Ok(())
        };
        self.change_service(name, Limits::ZERO, change).map(drop)
    }

    pub fn cancel_streams(&self) {
        let table = self.table();
        let sets = table.services().flat_map(|service| service.sets());
        sets.flat_map(|set| set.balancer.targets()).for_each(|target| target.cancel_streams());
    }

    /// All services, sorted by name.
    pub fn list(&self) -> Vec<Listed> {
        list::list(&self.table())
    }

    /// How the targets of a service have responded since the switch to them.
    pub fn stats(&self, name: &str) -> Result<Vec<Stats>, Error> {
        Ok(list::stats(&*self.get(name)?))
    }

    /// The content of the state file.
    pub fn snapshot(&self) -> State {
        self.table().to_file()
    }

    /// Restores services from the state file. One that can't be restored is logged and left out; the others serve.
    pub fn restore(&self, state: State) {
        for service in state {
            if let Err(error) = self.restore_one(&service) {
                log::error("Error restoring service", &[("service", &service.name), ("error", &error)]);
            }
        }
    }

    fn restore_one(&self, from: &state::Service) -> Result<(), Error> {
        let service = self.service_of(from, None)?;
        self.change(&from.name, Limits::ZERO, |table| {
            table.services.insert(Arc::clone(&service.name), Arc::new(service));
            Ok(())
        })
        .map(drop)
    }

    fn get(&self, name: &str) -> Result<Arc<Service>, Error> {
        self.table().services.get(name).cloned().ok_or(Error::NotFound)
    }

    /// Checks the options, starts the targets, and waits until they are healthy.
    async fn ready(&self, deploy: &mut Deploy) -> Result<Arc<TargetSet>, Error> {
        deploy.options.normalize();
        deploy.options.validate()?;
        log::write("INFO", "Deploying", |line| {
            line.text("service", &deploy.name);
            line.raw("targets", json!(deploy.targets));
            line.raw("hosts", json!(deploy.options.hosts));
            line.raw("paths", json!(deploy.options.path_prefixes));
            line.raw("tls", deploy.options.tls_enabled);
        });
        let set = TargetSet::start(&deploy.targets, &deploy.readers, &deploy.target_options, self.0.workers)?;
        set.wait(&deploy.deployment).await?;
        Ok(Arc::new(set))
    }

    async fn install(&self, deploy: Deploy, set: Arc<TargetSet>) -> Result<(), Error> {
        let mut replaced = None;
        let limits = limits(&deploy.deployment);
        let followed = self.change(&deploy.name, limits, |table| {
            self.check_conflicts(table, &deploy)?;
            let rules = Rules::new(&deploy.options, &deploy.target_options).map_err(Error::Rules)?;
            let old = table.services.get(&*deploy.name);
            replaced = old.map(|old| Arc::clone(&old.active));
            let service = Service {
                name: deploy.name.as_str().into(),
                options: Arc::new(deploy.options.clone()),
                target_options: Arc::new(deploy.target_options.clone()),
                rules: Arc::new(rules),
                active: Arc::clone(&set),
                rollout: old.and_then(|old| old.rollout.clone()),
                split: old.and_then(|old| old.split.clone()),
                gate: old
                    .map_or_else(|| Arc::new(Gate::new(gate::State::Running)), |old| Arc::clone(&old.gate)),
            };
            table.services.insert(Arc::clone(&service.name), Arc::new(service));
            Ok(())
        })?;
        tokio::join!(retire(replaced, limits), followed);
        log::info("Deployed", &[("service", &deploy.name)]);
        Ok(())
    }

    fn check_conflicts(&self, table: &Table, deploy: &Deploy) -> Result<(), Error> {
        let taken = |host: &String, prefix: &String| {
            table.routes.registered(host, prefix).is_some_and(|other| *other.service.name != *deploy.name)
        };
        let options = &deploy.options;
        let conflict =
            options.hosts.iter().any(|host| options.path_prefixes.iter().any(|prefix| taken(host, prefix)));
        if conflict { Err(Error::Conflict) } else { Ok(()) }
    }

    fn change_service(
        &self,
        name: &str,
        limits: Limits,
        change: impl FnOnce(&mut Service) -> Result<(), Error>,
    ) -> Result<Followed, Error> {
        self.change(name, limits, |table| {
            let service = table.services.get_mut(name).ok_or(Error::NotFound)?;
            change(Arc::make_mut(service))
        })
    }

    /// Changes a service and installs the resulting table. Changes are made one at a time. Former processes drain
    /// what the change replaces, within the limits; the returned future completes when they have.
    fn change(
        &self,
        name: &str,
        limits: Limits,
        change: impl FnOnce(&mut Table) -> Result<(), Error>,
    ) -> Result<Followed, Error> {
        let hooks = self.unfrozen()?;
        let mut table = Table { services: self.table().services.clone(), ..Table::default() };
        // Conflicts are checked against the current routes.
        table.rebuild();
        change(&mut table)?;
        table.rebuild();
        let table = Arc::new(table);
        self.keep(&table)?;
        self.0.table.store(Arc::clone(&table));
        hooks.iter().for_each(|hook| hook(&table));
        Ok(self.tell_of(&table, name, limits))
    }

    /// Changes the state of a gate, which is not part of the table.
    fn set_gate(&self, service: &Service, state: gate::State, limits: Limits) -> Result<Followed, Error> {
        let hooks = self.unfrozen()?;
        let before = service.gate.state();
        service.gate.set(state);
        let table = self.0.table.load_full();
        self.keep(&table).inspect_err(|_| service.gate.set(before))?;
        hooks.iter().for_each(|hook| hook(&table));
        Ok(self.tell_of(&table, &service.name, limits))
    }

    /// Takes the lock for changes. Fails while changes are refused.
    fn unfrozen(&self) -> Result<MutexGuard<'_, Vec<OnChange>>, Error> {
        let hooks = lock(&self.0.on_change);
        if self.0.frozen.load(Ordering::SeqCst) { Err(Error::Upgrading) } else { Ok(hooks) }
    }
}

impl Service {
    /// Its main targets and the rollout's.
    pub fn sets(&self) -> impl Iterator<Item = &Arc<TargetSet>> {
        std::iter::once(&self.active).chain(&self.rollout)
    }
}

async fn retire(replaced: Option<Arc<TargetSet>>, limits: Limits) {
    let Some(replaced) = replaced else { return };
    replaced.checks.stop();
    drain(replaced.targets(), limits, Afterwards::Gone).await;
}

fn limits(deployment: &DeploymentOptions) -> Limits {
    Limits { requests: deployment.drain_timeout, streams: deployment.stream_timeout }
}

pub(crate) type ByName = BTreeMap<Arc<str>, Arc<Service>>;
