//! A deploy, from the first hook to the release of the lock: the order of its parts. `redeploy`, `rollback` and
//! `app boot` leave parts out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bowline_config::OnFailure;
use bowline_core::commands::Scope;
use bowline_core::commands::builder::BuildOutput;
use bowline_core::observed::Observed;
use bowline_core::plan::Plan;
use bowline_core::plan::accessory;
use bowline_core::plan::delivery::AllExpected;
use bowline_core::plan::deploy as planning;
use bowline_core::plan::secrets::{check_secrets, secrets_needed};
use bowline_core::request::{DeployKind, DeployRequest, Direction};
use bowline_core::secrets::Secrets;
use bowline_core::selection::Selection;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::call::Call;
use crate::error::{Cause, Failure, RunError};
use crate::error_pages;
use crate::event::{Event, Phase};
use crate::hooks::{self, Facts};
use crate::image::build::{self, Build};
use crate::image::expect::expected;
use crate::image::keep;
use crate::run::apply::Apply;
use crate::run::fleet::Fleet;
use crate::run::lock::{Lock, is_inherited};
use crate::run::observe::{note_locks, observe};
use crate::run::standing::standing;
use crate::version;

pub async fn deploy(call: Call<'_>, kind: DeployKind) -> Result<(), RunError> {
    let version = match (kind, &call.options.version) {
        (DeployKind::Boot, None) => call.config().latest_tag(),
        _ => call.version().await?,
    };
    Run::new(call, kind, Some(version)).await?.carry_out().await
}

/// Goes back to a version, by default the previous one.
pub async fn rollback(call: Call<'_>, version: Option<String>) -> Result<(), RunError> {
    if let Some(version) = &version {
        version::check(version)?;
    }
    Run::new(call, DeployKind::Rollback, version).await?.carry_out().await
}

pub struct Planned {
    pub plan: Plan,
    /// The data that Bowline would send to each server.
    pub expected: AllExpected,
    pub unseen: Option<RunError>,
}

/// Plans a `deploy`, `redeploy`, `rollback` or `app boot` without changing anything.
pub async fn plan(call: Call<'_>, kind: DeployKind) -> Result<Planned, RunError> {
    let version = match (kind, &call.options.version) {
        (DeployKind::Rollback, version) => version.clone(),
        (DeployKind::Boot, None) => Some(call.config().latest_tag()),
        _ => Some(call.version().await?),
    };
    let mut run = Run::new(call, kind, version).await?;
    run.secrets = call.project.stand_ins(&run.secrets_needed())?;
    run.only_planned = true;
    let given = keep::look_into(call, &run.named()).await?;
    hooks::run(call, "pre-connect", &run.facts(&run.named())).await?;
    call.world.events.emit(Event::Phase(Phase::Connect(run.selection.hosts.len())));
    let (fleet, mut failures) = Fleet::connect(call, &run.selection.hosts).await?;
    run.worth_going_on(|host| fleet.has(host), &failures)?;
    call.world.events.emit(Event::Phase(Phase::Observe(fleet.hosts().count())));
    let (observed, unseen) = observe(&fleet, &run.scope, &call.config().repository(), false).await;
    failures.extend(unseen);
    run.worth_going_on(|host| observed.contains_key(host), &failures)?;
    note_locks(call, &observed);
    let plan = run.plan(&observed)?;
    let unseen = (!failures.is_empty()).then(|| run.failed(failures, Vec::new()));
    let expected = expected(call.world, &fleet, &plan, run.builds(), given).await;
    Ok(Planned { plan, expected, unseen })
}

pub(crate) struct Run<'a> {
    call: Call<'a>,
    kind: DeployKind,
    pub(crate) version: Option<String>,
    pub(crate) scope: Scope,
    pub(crate) selection: Selection<'a>,
    /// The values of [`Run::secrets_needed`], after they are resolved.
    secrets: Secrets,
    /// Whether this run only plans. It then uses empty values for secrets.
    only_planned: bool,
    started: Instant,
    /// Whether the lock is held from the first step to the last.
    pub(crate) under_lock: bool,
}

impl<'a> Run<'a> {
    /// Checks everything that needs no connection.
    pub(crate) async fn new(
        call: Call<'a>,
        kind: DeployKind,
        version: Option<String>,
    ) -> Result<Self, RunError> {
        let config = call.config();
        let selection = Selection::new(config, &call.options.filters)?;
        let scope = call.scope().await;
        let (secrets, started) = (Secrets::new(), Instant::now());
        let under_lock = is_inherited(call.world);
        let only_planned = false;
        Ok(Self { call, kind, version, scope, selection, secrets, only_planned, started, under_lock })
    }

    fn builds(&self) -> bool {
        matches!(self.kind, DeployKind::Deploy | DeployKind::Redeploy)
            && !self.call.options.skip_push
            && self.call.options.image_archive.is_none()
    }

    pub(crate) fn secrets_needed(&self) -> Vec<String> {
        let mut names = secrets_needed(self.call.config(), &self.selection, self.kind);
        if self.builds() {
            names.extend(build::secrets_needed(self.call.project));
        }
        if self.kind.direction() == Some(Direction::Upgrade) {
            // Accessories behind the proxy move too.
            names.extend(self.call.config().accessories.iter().flat_map(accessory::proxy_secrets));
        }
        // They must be known before hooks run and anything is built.
        names.extend(self.call.config().ssh.secrets().map(str::to_owned));
        names
    }

    /// The values of the secrets; empty before [`Run::begin`].
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(crate) fn emit(&self, event: Event) {
        self.call.world.events.emit(event);
    }

    /// The facts for hooks that run without the lock.
    fn facts(&self, version: &str) -> Facts {
        Facts::of(&self.scope, version, &self.selection.hosts)
    }

    /// Runs a hook around the whole deploy. `app boot`, `upgrade` and `downgrade` have none.
    async fn deploy_hook(&self, name: &str, facts: Facts) -> Result<(), RunError> {
        if matches!(self.kind, DeployKind::Boot | DeployKind::TakeOver(_)) {
            return Ok(());
        }
        hooks::run(self.call, name, &facts).await
    }

    pub(crate) async fn boot_hook(&self, name: &str, plan: &Plan, hosts: &[String]) -> Result<(), RunError> {
        let facts = Facts { locked: true, ..Facts::of(&self.scope, &plan.version, hosts) };
        hooks::run(self.call, name, &facts).await
    }

    async fn carry_out(mut self) -> Result<(), RunError> {
        let hosts = self.selection.hosts.clone();
        let (fleet, failures) = self.begin(&hosts).await.map_err(|error| untouched(error, &hosts))?;
        self.worth_going_on(|host| fleet.has(host), &failures)?;
        self.build().await.map_err(|error| untouched(error, &hosts))?;
        let version = self.named();
        let lock = Lock::for_run(self.call.world, &fleet, &hosts, &self.scope, &version).await;
        let lock = lock.map_err(|error| untouched(error, &hosts))?;
        let result = self.locked(&fleet, failures, lock.as_ref()).await;
        let result = result.map_err(|error| untouched(error, &hosts));
        if let Some(lock) = lock {
            lock.give_back(self.call.world).await;
        }
        self.end(&fleet, result).await
    }

    /// The version; empty if it isn't known before the servers are observed.
    pub(crate) fn named(&self) -> String {
        self.version.clone().unwrap_or_default()
    }

    /// Resolves secrets, runs pre-connect, and connects to these servers. Reports errors in the project before that.
    pub(crate) async fn begin(&mut self, hosts: &[&str]) -> Result<(Fleet, Vec<Failure>), RunError> {
        self.secrets = self.call.project.secrets(self.call.world, &self.secrets_needed()).await?;
        let fit = check_secrets(self.call.config(), &self.secrets, &self.selection);
        fit.map_err(|error| self.call.project.unplanned(error))?;
        keep::given(self.call, &self.named()).await?;
        hooks::prepare(self.call).await?;
        let facts = Facts { locked: is_inherited(self.call.world), ..self.facts(&self.named()) };
        hooks::run(self.call, "pre-connect", &facts).await?;
        self.emit(Event::Phase(Phase::Connect(hosts.len())));
        self.call.world.unless_stopped(Fleet::connect(self.call, hosts)).await?
    }

    /// Builds and pushes the image, if this kind of run does.
    pub(crate) async fn build(&self) -> Result<(), RunError> {
        if self.builds() {
            let version = self.named();
            let build = Build::begin(self.call, &self.secrets, BuildOutput::Registry).await?;
            let facts = Facts { locked: self.under_lock, ..self.facts(&version) };
            hooks::run(self.call, "pre-build", &facts).await?;
            build.carry_out(&version).await?;
        }
        self.still_wanted()
    }

    pub(crate) fn still_wanted(&self) -> Result<(), RunError> {
        if self.call.world.stop.is_set() { Err(RunError::interrupted()) } else { Ok(()) }
    }

    /// Reports the run's duration, and runs the last hook if everything succeeded.
    pub(crate) async fn end(&self, fleet: &Fleet, result: Result<String, RunError>) -> Result<(), RunError> {
        let elapsed = self.started.elapsed();
        self.emit(Event::Finished { elapsed, commands: fleet.commands() });
        let facts = Facts { locked: self.under_lock, runtime: Some(elapsed), ..self.facts(&result?) };
        self.deploy_hook("post-deploy", facts).await
    }

    /// The part of the run under the lock, which this run or an outer run holds. Returns the version.
    pub(crate) async fn locked(
        &self,
        fleet: &Fleet,
        mut failures: Vec<Failure>,
        lock: Option<&Lock>,
    ) -> Result<String, RunError> {
        let lock_lost = lock.map_or_else(|| watch::channel(None).1, Lock::lost);
        self.emit(Event::Phase(Phase::Observe(fleet.hosts().count())));
        let repository = self.call.config().repository();
        let observing = observe(fleet, &self.scope, &repository, true);
        let (observed, unseen) = self.call.world.unless_stopped(observing).await?;
        failures.extend(unseen);
        self.still_wanted()?;
        let plan = Arc::new(self.plan(&observed)?);
        self.emit(Event::Planned(plan.clone()));
        for server in &plan.servers {
            for note in &server.notes {
                self.emit(Event::Note { host: Some(server.host.clone()), text: note.clone() });
            }
        }
        let apply = Apply::new(self.call.world, fleet, &plan, lock_lost);
        if !apply.primary_is_possible() || plan.servers.is_empty() {
            return Err(self.failed(failures, Vec::new()));
        }
        apply.deliver(self.call.world).await;
        apply.note_kept();
        if self.call.world.stop.is_set() {
            return Err(RunError::Interrupted { standing: self.standing(&apply, &plan).await });
        }
        let all_or_nothing = plan.on_failure == OnFailure::Rollback;
        let worth_it = || {
            let whole = failures.is_empty() && apply.failures().is_empty();
            apply.primary_is_possible() && self.any_left(&apply, &plan) && (whole || !all_or_nothing)
        };
        if worth_it() {
            let facts = Facts { locked: true, ..self.facts(&plan.version) };
            self.deploy_hook("pre-deploy", facts).await?;
            apply.proxy().await;
            apply.assets().await;
            if worth_it() && apply.image_is_sound() {
                self.boot(&apply, &plan).await?;
            }
        }
        failures.extend(apply.failures());
        if self.call.world.stop.is_set()
            && !apply.all_done()
            && failures.iter().all(|failure| failure.cause == Cause::Interrupted)
        {
            return Err(RunError::Interrupted { standing: self.standing(&apply, &plan).await });
        }
        if failures.is_empty() {
            Ok(plan.version.clone())
        } else {
            Err(self.failed(failures, self.standing(&apply, &plan).await))
        }
    }

    pub(crate) fn any_left(&self, apply: &Apply<'_>, plan: &Plan) -> bool {
        let failed: BTreeSet<String> = apply.failures().into_iter().map(|failure| failure.host).collect();
        plan.servers.iter().any(|server| !failed.contains(&server.host))
    }

    /// Boots group after group. A failure in a group, or in a hook around it, stops the groups after it.
    async fn boot(&self, apply: &Apply<'_>, plan: &Plan) -> Result<(), RunError> {
        let booted = self.boot_groups(apply, plan).await;
        let lost = |failure: &Failure| matches!(failure.cause, Cause::LockLost { .. });
        let went_wrong = booted.is_err() || !apply.failures().is_empty();
        if plan.on_failure == OnFailure::Rollback && !apply.failures().iter().any(lost) {
            // An interrupted run didn't fail: the servers stay as they are, and the report says so.
            if went_wrong && !self.call.world.stop.is_set() {
                apply.go_back().await;
            } else if !went_wrong {
                apply.prune().await;
            }
        }
        match booted {
            Err(RunError::Local { what, reason, hint, .. }) => {
                Err(RunError::Local { what, reason, hint, standing: self.standing(apply, plan).await })
            }
            booted => booted,
        }
    }

    pub(crate) async fn standing(&self, apply: &Apply<'_>, plan: &Plan) -> Vec<String> {
        standing(apply, plan, &self.scope, &self.call.config().repository()).await
    }

    pub(crate) async fn boot_groups(&self, apply: &Apply<'_>, plan: &Plan) -> Result<(), RunError> {
        for group in 0..plan.groups.len() {
            let hosts = apply.to_boot(group);
            if hosts.is_empty() {
                continue;
            }
            if !apply.lost_the_lock() {
                self.boot_hook("pre-app-boot", plan, &hosts).await?;
            }
            if !apply.boot(group).await {
                break;
            }
            self.boot_hook("post-app-boot", plan, &hosts).await?;
            if group + 1 < plan.groups.len() && plan.group_wait > 0 {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(plan.group_wait)) => {}
                    () = self.call.world.stop.triggered() => {}
                }
            }
        }
        Ok(())
    }

    pub(crate) fn plan(&self, observed: &BTreeMap<String, Observed>) -> Result<Plan, RunError> {
        let config = self.call.config();
        let version = match &self.version {
            Some(name) if self.kind == DeployKind::Rollback => {
                planning::named_version(config, &self.selection, observed, name)
            }
            Some(version) => version.clone(),
            None => planning::previous_version(config, &self.selection, observed)?,
        };
        let request = DeployRequest {
            kind: self.kind,
            version,
            scope: self.scope.clone(),
            secrets_known: !self.only_planned,
            pages: error_pages::read(self.call)?,
        };
        Ok(planning::plan(config, &self.selection, &self.secrets, &request, observed)?)
    }

    /// Ends the run if no server is left, or none of the primary role.
    pub(crate) fn worth_going_on(
        &self,
        there: impl Fn(&str) -> bool,
        failures: &[Failure],
    ) -> Result<(), RunError> {
        let primary =
            self.selection.roles.iter().find(|(role, _)| role.name == self.call.config().primary_role);
        let goes = match primary {
            Some((_, hosts)) => hosts.iter().any(|host| there(&host.host)),
            None => self.selection.hosts.iter().any(|host| there(host)),
        };
        if goes {
            return Ok(());
        }
        if !self.only_planned {
            let of = primary.map_or(String::new(), |(role, _)| format!(" of {}", role.name));
            let done = if self.kind.direction().is_some() { "moved" } else { "deployed" };
            let text = format!("nothing was {done}: no server{of} can be used");
            self.emit(Event::Note { host: None, text });
        }
        Err(self.failed(failures.to_vec(), Vec::new()))
    }

    pub(crate) fn failed(&self, failures: Vec<Failure>, standing: Vec<String>) -> RunError {
        let place = |host: &str| self.selection.hosts.iter().position(|known| *known == host);
        let mut failures = failures;
        failures.sort_by_key(|failure| place(&failure.host));
        RunError::Servers { failures, total: self.selection.hosts.len(), standing }
    }
}

/// Adds to an interrupt before anything was booted that the servers serve what they did.
pub(crate) fn untouched(error: RunError, hosts: &[&str]) -> RunError {
    match error {
        RunError::Interrupted { standing } if standing.is_empty() => RunError::Interrupted {
            standing: hosts.iter().map(|host| format!("{host}: unchanged")).collect(),
        },
        error => error,
    }
}
