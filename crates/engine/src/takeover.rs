//! `upgrade` and `downgrade` move the app from one kind of proxy to the other.
//!
//! The new proxy starts without ports next to the running one, and new containers of the app's version boot behind it.
//! When the new proxy reaches them, it takes the ports. Then the old proxy and containers are removed. So a server is
//! down only while one proxy stops and the other starts, and a wrong configuration fails before that. A server that
//! failed continues as before. After a killed run, the same command continues.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bowline_config::{Accessory, Config};
use bowline_core::observed::{Container, Observed};
use bowline_core::plan::accessory as planning;
use bowline_core::plan::step::Step;
use bowline_core::plan::{Plan, ServerPlan};
use bowline_core::proxy::takeover::{Others, Survey, Verdict};
use bowline_core::proxy::{self, ProxyKind};
use bowline_core::request::{DeployKind, Direction, Pages};
use bowline_core::selection::{Filters, Selection};
use bowline_core::shell::{Line, Script};
use futures_util::future::join_all;
use tokio::sync::watch;

use crate::call::Call;
use crate::deploy::Run;
use crate::error::{Cause, Failure, RunError};
use crate::error_pages;
use crate::event::{Event, Phase};
use crate::project::Project;
use crate::proxy::{life, none_there};
use crate::run::apply::Apply;
use crate::run::fleet::Fleet;
use crate::run::lock::{Lock, Lost};
use crate::run::observe::observe;

#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Whether to move one server after the other.
    pub rolling: bool,
    /// Whether to continue even if other apps become unreachable without the old proxy.
    pub force: bool,
}

pub async fn upgrade(call: Call<'_>, how: How) -> Result<(), RunError> {
    take_over(call, Direction::Upgrade, how).await
}

pub async fn downgrade(call: Call<'_>, how: How) -> Result<(), RunError> {
    take_over(call, Direction::Downgrade, how).await
}

/// Checks that the configuration is prepared for a takeover.
pub fn check(config: &Config, filters: &Filters, direction: Direction) -> Result<(), RunError> {
    moving(config, Selection::new(config, filters)?, direction).map(|_| ())
}

async fn take_over(call: Call<'_>, direction: Direction, how: How) -> Result<(), RunError> {
    if !call.options.filters.roles.is_empty() {
        return Err(RunError::Usage {
            message: format!("`{}` moves whole servers, not single roles", direction.command()),
            hint: Some("choose servers with `--hosts`".into()),
        });
    }
    let kind = DeployKind::TakeOver(direction);
    let mut run = Run::new(call, kind, call.options.version.clone()).await?;
    let pages = error_pages::read(call)?;
    run.selection = moving(call.config(), run.selection, direction)?;
    let hosts = run.selection.hosts.clone();
    let (fleet, failures) = run.begin(&hosts).await?;
    run.worth_going_on(|host| fleet.has(host), &failures)?;
    let lock = Lock::for_run(call.world, &fleet, &hosts, &run.scope, &run.named()).await?;
    let lock_lost = lock.as_ref().map_or_else(|| watch::channel(None).1, Lock::lost);
    let mut moving =
        Moving { run, call, direction, how, has_ports: BTreeSet::new(), restart: BTreeMap::new(), pages };
    let result = moving.under_lock(&fleet, failures, lock_lost).await;
    if let Some(lock) = lock {
        lock.give_back(call.world).await;
    }
    moving.run.end(&fleet, result).await
}

/// Selects the roles behind the new kind of proxy. Rejects servers where a role is behind the old one.
fn moving<'a>(
    config: &'a Config,
    mut selection: Selection<'a>,
    direction: Direction,
) -> Result<Selection<'a>, RunError> {
    let still = selection.roles.iter().any(|(role, _)| ProxyKind::of(role) == direction.from());
    selection.roles.retain(|(role, _)| ProxyKind::of(role) == direction.to());
    if selection.roles.is_empty() {
        return Err(if still { not_prepared(direction) } else { none_there(direction.to()) });
    }
    let on = |host: &str| selection.roles.iter().any(|(_, hosts)| hosts.iter().any(|at| at.host == host));
    selection.hosts.retain(|host| on(host));
    for role in config.roles.iter().filter(|role| ProxyKind::of(role) == direction.from()) {
        let Some(at) = role.hosts.iter().find(|at| selection.hosts.contains(&at.host.as_str())) else {
            continue;
        };
        return Err(RunError::Usage {
            message: format!(
                "the role {} still uses {} on {}, and `{}` removes that proxy",
                role.name,
                direction.from().name(),
                at.host,
                direction.command()
            ),
            hint: Some("put all roles of the server behind the same kind of proxy".into()),
        });
    }
    Ok(selection)
}

fn not_prepared(direction: Direction) -> RunError {
    let edit = match direction {
        Direction::Upgrade => "replace `traefik:` and `healthcheck:` in it with `proxy:`",
        Direction::Downgrade => "replace `proxy:` in it with `traefik:` and `healthcheck:`",
    };
    RunError::Usage {
        message: format!("the configuration still puts the app behind {}", direction.from().name()),
        hint: Some(format!("{edit}, then run `bowline {}` again", direction.command())),
    }
}

struct Moving<'a> {
    run: Run<'a>,
    call: Call<'a>,
    direction: Direction,
    how: How,
    /// The servers on which the new proxy already has the ports, so that only the last part is missing.
    has_ports: BTreeSet<String>,
    /// The restart policies of old proxies, as far as stopping takes it from them.
    restart: BTreeMap<String, String>,
    pages: Pages,
}

impl Moving<'_> {
    fn config(&self) -> &Config {
        self.call.config()
    }

    fn note(&self, host: Option<&str>, text: String) {
        self.run.emit(Event::Note { host: host.map(Into::into), text });
    }

    async fn under_lock(
        &mut self,
        fleet: &Fleet,
        mut failures: Vec<Failure>,
        lock_lost: Lost,
    ) -> Result<String, RunError> {
        self.run.emit(Event::Phase(Phase::Observe(fleet.hosts().count())));
        let repository = self.config().repository();
        let (mut observed, unseen) = observe(fleet, &self.run.scope, &repository, true).await;
        failures.extend(unseen);
        self.run.still_wanted()?;
        self.leave_out_done(&mut observed);
        if observed.is_empty() {
            return if failures.is_empty() {
                Ok(self.run.named())
            } else {
                Err(self.run.failed(failures, Vec::new()))
            };
        }
        self.check_neighbours(fleet, &observed).await?;
        if self.run.version.is_none() {
            self.run.version = Some(version(self.call.project, &self.run, &observed));
        }
        let plan = Arc::new(self.run.plan(&observed)?);
        self.run.emit(Event::Planned(plan.clone()));
        for server in &plan.servers {
            server.notes.iter().for_each(|note| self.note(Some(&server.host), note.clone()));
        }
        let apply = Apply::new(self.call.world, fleet, &plan, lock_lost);
        let carried_out = self.carry_out(&apply, &plan).await;
        failures.extend(apply.failures());
        let interrupted = self.call.world.stop.is_set()
            && !apply.all_done()
            && failures.iter().all(|failure| failure.cause == Cause::Interrupted);
        if interrupted {
            return Err(RunError::Interrupted { standing: self.run.standing(&apply, &plan).await });
        }
        if failures.is_empty() {
            return carried_out.map(|()| plan.version.clone());
        }
        Err(self.run.failed(failures, self.run.standing(&apply, &plan).await))
    }

    /// Notes what was observed of the proxies, and leaves out servers with nothing left to do.
    fn leave_out_done(&mut self, observed: &mut BTreeMap<String, Observed>) {
        let [from, to] =
            [self.direction.from(), self.direction.to()].map(|kind| kind.container().unwrap_or_default());
        let has_ports = |server: &Observed| {
            server.proxy(to).is_some_and(|proxy| proxy.status == "running" && !proxy.waits())
        };
        self.has_ports =
            observed.iter().filter(|(_, server)| has_ports(server)).map(|(host, _)| host.clone()).collect();
        let restart = |server: &Observed| server.proxy(from)?.policy_before_stop().cloned();
        self.restart =
            observed.iter().filter_map(|(host, server)| Some((host.clone(), restart(server)?))).collect();
        let done: Vec<String> = observed
            .iter()
            .filter(|(host, server)| self.has_ports.contains(*host) && server.proxy(from).is_none())
            .map(|(host, _)| host.clone())
            .collect();
        for host in done {
            observed.remove(&host);
            let [from, to] = [self.direction.from(), self.direction.to()].map(ProxyKind::name);
            self.note(Some(&host), format!("{to} has already replaced {from} here: nothing to do"));
        }
    }

    /// Checks that no other app becomes unreachable without `force`, and that this app isn't in maintenance mode.
    async fn check_neighbours(
        &self,
        fleet: &Fleet,
        observed: &BTreeMap<String, Observed>,
    ) -> Result<(), RunError> {
        if let Some((host, server)) = observed.iter().find(|(_, server)| !server.maintenance.is_empty()) {
            return Err(RunError::Usage {
                message: format!("{} is in maintenance on {host}", server.maintenance.join(", ")),
                hint: Some("end maintenance first: run `bowline app live` with the old configuration".into()),
            });
        }
        let survey = Step::Proxy(proxy::Step::Survey(Survey {
            scope: self.run.scope.clone(),
            direction: self.direction,
            services: self.services(),
        }));
        let ask =
            async |host: &str| fleet.ask::<Others>(host, None, &survey).await.map_err(Failure::explained);
        let asked = join_all(observed.keys().map(|host| ask(host))).await;
        let (mut named, mut failures) = (Vec::new(), Vec::new());
        for (host, asked) in observed.keys().zip(asked) {
            match asked {
                Ok(Others(others)) if others.is_empty() => {}
                Ok(Others(others)) => named.push(format!("{} on {host}", others.join(", "))),
                Err(failure) => failures.push(failure),
            }
        }
        if !failures.is_empty() {
            failures.iter().for_each(|failure| self.run.emit(Event::Failed(failure.clone())));
            return Err(self.run.failed(failures, Vec::new()));
        }
        let others = format!("{} also serves {}", self.direction.from().name(), named.join("; "));
        match (named.is_empty(), self.how.force) {
            (true, _) => Ok(()),
            (false, true) => {
                self.note(None, format!("{others}: they can't be reached until they move too"));
                Ok(())
            }
            (false, false) => Err(RunError::Usage {
                message: others,
                hint: Some(format!(
                    "without {} they can't be reached until they move too; `--force` continues anyway",
                    self.direction.from().name()
                )),
            }),
        }
    }

    /// The names by which the proxies know this app's services.
    fn services(&self) -> Vec<String> {
        let names = &self.run.scope.names;
        match self.direction {
            Direction::Upgrade => self.accessories().map(|accessory| accessory.service.clone()).collect(),
            Direction::Downgrade => self.config().roles.iter().map(|role| names.prefix(&role.name)).collect(),
        }
    }

    fn accessories(&self) -> impl Iterator<Item = &Accessory> {
        let upgrade = self.direction == Direction::Upgrade;
        self.config().accessories.iter().filter(move |accessory| upgrade && accessory.proxy.is_some())
    }

    async fn carry_out(&self, apply: &Apply<'_>, plan: &Plan) -> Result<(), RunError> {
        let begun = self.prepare(apply, plan).await;
        let moved = match begun {
            Ok(()) => self.move_all(apply, plan).await,
            Err(error) => Err(error),
        };
        let waiting = |server: &&ServerPlan| !self.has_ports.contains(&server.host);
        let left = plan.servers.iter().filter(waiting).filter(|server| !apply.took_over(&server.host));
        if !apply.lost_the_lock() {
            join_all(left.map(|server| apply.give_up(server, self.direction, Verdict::GivesUp))).await;
        }
        moved
    }

    /// Starts the new proxy, without the ports, and the new containers behind it.
    async fn prepare(&self, apply: &Apply<'_>, plan: &Plan) -> Result<(), RunError> {
        if !apply.primary_is_possible() {
            return Ok(());
        }
        apply.proxy().await;
        apply.assets().await;
        if apply.primary_is_possible() && self.run.any_left(apply, plan) && apply.image_is_sound() {
            self.run.boot_groups(apply, plan).await?;
        }
        join_all(apply.ready().into_iter().map(|server| self.register_accessories(apply, &server.host)))
            .await;
        Ok(())
    }

    async fn register_accessories(&self, apply: &Apply<'_>, host: &str) {
        for accessory in self.accessories().filter(|accessory| accessory.hosts.iter().any(|at| at == host)) {
            let Some(route) = planning::route(self.config(), &self.run.scope, accessory) else { continue };
            let step = Step::Run("look for the accessory", found(&accessory.service));
            let said = apply.fleet.run(host, None, &step).await;
            let id = said.map(|output| output.stdout.trim().to_owned()).unwrap_or_default();
            if id.is_empty() {
                let text = format!(
                    "the accessory {} isn't running: `bowline accessory boot` starts it",
                    accessory.name
                );
                self.note(Some(host), text);
                continue;
            }
            let secrets = self.run.secrets();
            let files = planning::check_secrets(accessory, secrets)
                .and_then(|()| planning::files(&self.run.scope, secrets, accessory, &self.pages));
            if !apply.register(host, &accessory.name, &route, &id, files).await {
                return;
            }
        }
    }

    /// Moves the ports, on all servers at once or one after the other.
    async fn move_all(&self, apply: &Apply<'_>, plan: &Plan) -> Result<(), RunError> {
        let ready = apply.ready();
        let groups: Vec<&[&ServerPlan]> =
            if self.how.rolling { ready.chunks(1).collect() } else { vec![ready.as_slice()] };
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            if self.call.world.stop.is_set()
                || apply.lost_the_lock()
                || self.how.rolling && !apply.failures().is_empty()
            {
                break;
            }
            let hosts: Vec<String> = group.iter().map(|server| server.host.clone()).collect();
            self.hook("pre", plan, &hosts).await?;
            let take_over =
                |server| apply.take_over(server, self.direction, self.restart.get(&server.host).cloned());
            join_all(group.iter().map(|server| take_over(server))).await;
            self.hook("post", plan, &hosts).await?;
        }
        Ok(())
    }

    async fn hook(&self, when: &str, plan: &Plan, hosts: &[String]) -> Result<(), RunError> {
        let name = life::hook(self.call, self.direction.to(), when);
        self.run.boot_hook(&name, plan, hosts).await
    }
}

/// The version that a server serves, if all servers have its image under that name; otherwise the latest tag.
fn version(project: &Project, run: &Run<'_>, observed: &BTreeMap<String, Observed>) -> String {
    let (config, names) = (&project.config, &run.scope.names);
    let places =
        run.selection.roles.iter().flat_map(|(role, hosts)| hosts.iter().map(move |host| (role, host)));
    let serves = |server: &Observed, role: &str| -> Option<String> {
        let current: &Container = server.current(names, role, &config.latest_image())?;
        Some(current.version(names, role).to_owned())
    };
    let found = places.filter_map(|(role, host)| serves(observed.get(&host.host)?, &role.name)).next();
    let there = |version: &String| {
        observed.values().all(|server| server.images.contains_key(&config.image_of(version)))
    };
    found.filter(there).unwrap_or_else(|| config.latest_tag())
}

/// Connects a container to the proxies' network, and prints its id if it runs.
fn found(container: &str) -> Script {
    let network = bowline_core::names::NETWORK;
    let connect = Line::new("docker").words(["network", "connect", network, container]);
    let inspect = Line::new("docker").words([
        "container",
        "inspect",
        "--format",
        "{{if .State.Running}}{{.ID}}{{end}}",
    ]);
    Script::new(format!("{connect} 2>/dev/null\n{} 2>/dev/null || :\n", inspect.word(container)))
}
