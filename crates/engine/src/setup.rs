//! `setup`: from bare servers to an app that serves, under one lock. What is there already is left as it is, so a setup
//! of servers that are set up is a deploy. A project may have accessories alone: then it is the same without the app.

use bowline_core::commands::Scope;
use bowline_core::names::Names;
use bowline_core::plan::Kind;
use bowline_core::selection::{Accessories, servers};
use tokio::time::Instant;

use crate::accessory::{Held, Prepared};
use crate::bootstrap::Site;
use crate::deploy::Run;
use crate::error::{Failure, Result, RunError};
use crate::event::{Event, Phase};
use crate::hooks;
use crate::run::fleet::Fleet;
use crate::run::lock::Lock;
use crate::run::observe::observe;
use crate::version;
use crate::world::{Options, Project, World};

/// `setup`.
pub async fn setup(world: &World, project: &Project, options: &Options) -> Result<()> {
    if project.config.roles.is_empty() {
        return without_app(world, project, options).await;
    }
    let version = version::resolve(world, &project.config, options).await?;
    let mut run = Run::new(world, project, options, Kind::Deploy, Some(version.clone())).await?;
    let accessories = Accessories::within(&project.config, &options.filters)?;
    let accessories = Prepared::new(world, project, accessories).await?;
    let hosts = servers(&project.config, &options.filters)?;
    let (fleet, failures) = run.begin(&hosts).await?;
    run.worth_going_on(|host| fleet.has(host), &failures)?;
    let scope = run.scope.clone();
    let site =
        Site { world, project, options, fleet: &fleet, hosts: &hosts, scope: &scope, version: &version };
    let mut lock = site.lock().await?;
    run.under_lock = true;
    let ended = under_lock(&run, &site, &accessories, &mut lock, failures).await;
    if let Some(lock) = lock {
        lock.give_back(world).await;
    }
    ended
}

/// Of a project that has accessories alone. There is nothing to build, so it has no version.
async fn without_app(world: &World, project: &Project, options: &Options) -> Result<()> {
    let started = Instant::now();
    let accessories = Accessories::within(&project.config, &options.filters)?;
    let accessories = Prepared::new(world, project, accessories).await?;
    let hosts = servers(&project.config, &options.filters)?;
    hooks::prepare(world, project, options).await?;
    hooks::pre_connect(world, project, options, &hosts).await?;
    world.events.emit(Event::Phase(Phase::Connect(hosts.len())));
    let (fleet, mut failures) = tokio::select! {
        connected = Fleet::connect(world, project, &hosts) => connected?,
        () = world.stop.triggered() => return Err(RunError::interrupted()),
    };
    if fleet.hosts().next().is_none() {
        return Err(RunError::Servers { failures, total: hosts.len(), standing: Vec::new() });
    }
    let scope = Scope {
        names: Names::of(&project.config),
        run: world.local.random_hex(16),
        performer: version::performer(world).await,
    };
    let version = project.config.latest_tag();
    let site =
        Site { world, project, options, fleet: &fleet, hosts: &hosts, scope: &scope, version: &version };
    let mut lock = site.lock().await?;
    let ended = match bootstrap(&site, &mut lock, &mut failures).await {
        Ok(ready) => boot_accessories(&site, &accessories, &ready, &failures).await,
        Err(error) => Err(error),
    };
    if let Some(lock) = lock {
        lock.give_back(world).await;
    }
    world.events.emit(Event::Finished { elapsed: started.elapsed(), commands: fleet.commands() });
    ended
}

/// What comes after what. A server that one part fails on is left out of the next.
async fn under_lock(
    run: &Run<'_>,
    site: &Site<'_>,
    accessories: &Prepared<'_>,
    lock: &mut Option<Lock>,
    mut failures: Vec<Failure>,
) -> Result<()> {
    let fleet = bootstrap(site, lock, &mut failures).await?;
    run.worth_going_on(|host| fleet.has(host), &failures)?;
    // Accessories may be made of the image that this run builds and sends.
    let early = accessories.need_the_app(site.scope);
    if early {
        run.build().await?;
    }
    boot_accessories(site, accessories, &fleet, &failures).await?;
    let fleet = fleet.only(|host| run.selection.hosts.contains(&host));
    if !early {
        run.build().await?;
    }
    let result = run.locked(&fleet, failures, lock.as_ref()).await;
    run.end(&fleet, result).await
}

/// Docker and the network; gives the servers that have them now, and says what was done for it.
async fn bootstrap(site: &Site<'_>, lock: &mut Option<Lock>, failures: &mut Vec<Failure>) -> Result<Fleet> {
    let ready = site.bootstrap(lock).await?;
    for output in &ready.outputs {
        let text = output.output.stdout.trim().replace('\n', ", ");
        site.fleet.emit(Event::Note { host: Some(output.host.clone()), text });
    }
    failures.extend(ready.failures);
    Ok(site.fleet.only(|host| ready.outputs.iter().any(|output| output.host == host)))
}

/// The accessories that don't run yet. The app may need any of them, so it isn't deployed without one.
async fn boot_accessories(
    site: &Site<'_>,
    accessories: &Prepared<'_>,
    fleet: &Fleet,
    failures: &[Failure],
) -> Result<()> {
    let hosts = accessories.hosts();
    if hosts.is_empty() {
        return Ok(());
    }
    site.world.events.emit(Event::Phase(Phase::Accessories(hosts.len())));
    let fleet = fleet.only(|host| hosts.contains(&host));
    let (seen, unseen) = observe(&fleet, site.scope, &site.project.config.repository(), true).await;
    let there: Vec<&str> = seen.keys().map(String::as_str).collect();
    let held = Held { world: site.world, fleet: &fleet, scope: site.scope, observed: &seen, hosts: &there };
    let booted = accessories.boot(held).await;
    for output in &booted.outputs {
        let text = output.output.stdout.trim().into();
        site.fleet.emit(Event::Note { host: Some(output.host.clone()), text });
    }
    if site.world.stop.is_set() {
        return Err(RunError::interrupted());
    }
    let before = failures.iter().filter(|failure| hosts.contains(&failure.host.as_str())).cloned();
    let failures: Vec<Failure> = before.chain(unseen).chain(booted.failures).collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(RunError::Servers { failures, total: site.hosts.len(), standing: Vec::new() })
}
