//! `setup`: turns bare servers into ones that serve the app, under one lock. It leaves existing installations alone, so
//! that a setup of servers that are ready is a deploy. For a project with only accessories, it does the same without
//! the app.

use bowline_core::plan::change::{Basis, Deed, Given, Turns};
use bowline_core::request::DeployKind;
use bowline_core::selection::{Accessories, Selection, servers};
use tokio::time::Instant;

use crate::accessory;
use crate::bootstrap::Site;
use crate::call::Call;
use crate::deploy::{Run, untouched};
use crate::error::{Failure, Result, RunError};
use crate::event::{Event, Phase};
use crate::hooks;
use crate::run::fleet::Fleet;
use crate::run::lock::Lock;
use crate::run::observe::observe;
use crate::run::work::Crew;
use crate::world::Gathered;

pub async fn setup(call: Call<'_>) -> Result<()> {
    if call.config().roles.is_empty() {
        return without_app(call).await;
    }
    let version = call.version().await?;
    let mut run = Run::new(call, DeployKind::Deploy, Some(version.clone())).await?;
    let accessories = Accessories::within(call.config(), &call.options.filters)?;
    // All at once, so that one report names everything that is wrong with them. Values are resolved only once.
    let secrets = [run.secrets_needed(), accessory::secrets(call, Deed::Boot, &accessories)].concat();
    call.project.secrets(call.world, &secrets).await?;
    let accessories = accessory::given(call, accessories).await?;
    let hosts = servers(call.config(), &call.options.filters)?;
    let begun = run.begin(&hosts).await;
    let (fleet, failures) = begun.map_err(|error| untouched(error, &run.selection.hosts))?;
    run.worth_going_on(|host| fleet.has(host), &failures)?;
    let scope = run.scope.clone();
    let site = Site { call, fleet: &fleet, hosts: &hosts, scope: &scope, version: &version };
    let mut lock = site.lock().await.map_err(|error| untouched(error, &run.selection.hosts))?;
    run.under_lock = true;
    let result = under_lock(&run, &site, &accessories, &mut lock, failures).await;
    let ended = run.end(&fleet, result.map_err(|error| untouched(error, &run.selection.hosts))).await;
    if let Some(lock) = lock {
        lock.give_back(call.world).await;
    }
    ended
}

/// Sets up a project with only accessories. It builds nothing, and so needs no version.
async fn without_app(call: Call<'_>) -> Result<()> {
    let started = Instant::now();
    let accessories = Accessories::within(call.config(), &call.options.filters)?;
    let accessories = accessory::given(call, accessories).await?;
    let hosts = servers(call.config(), &call.options.filters)?;
    hooks::prepare(call).await?;
    let (fleet, mut failures) = call.world.unless_stopped(call.connect_to_any(&hosts)).await??;
    let scope = call.scope().await;
    let version = call.config().latest_tag();
    let site = Site { call, fleet: &fleet, hosts: &hosts, scope: &scope, version: &version };
    let mut lock = site.lock().await?;
    let ended = match bootstrap(&site, &mut lock, &mut failures).await {
        Ok(ready) => boot_accessories(&site, &accessories, &ready, &failures).await,
        Err(error) => Err(error),
    };
    if let Some(lock) = lock {
        lock.give_back(call.world).await;
    }
    call.world.events.emit(Event::Finished { elapsed: started.elapsed(), commands: fleet.commands() });
    ended
}

/// Runs the parts in order. A server on which a part fails is left out of the next. Returns the version.
async fn under_lock(
    run: &Run<'_>,
    site: &Site<'_>,
    accessories: &Given<'_>,
    lock: &mut Option<Lock>,
    mut failures: Vec<Failure>,
) -> Result<String> {
    let fleet = bootstrap(site, lock, &mut failures).await?;
    run.worth_going_on(|host| fleet.has(host), &failures)?;
    // Accessories may use the image that this run builds and sends.
    let early = accessory::need_the_app(site.call, site.scope, &accessories.accessories);
    if early {
        run.build().await?;
    }
    boot_accessories(site, accessories, &fleet, &failures).await?;
    let fleet = fleet.only(|host| run.selection.hosts.contains(&host));
    if !early {
        run.build().await?;
    }
    run.locked(&fleet, failures, lock.as_ref()).await
}

/// Returns the servers that are ready.
async fn bootstrap(site: &Site<'_>, lock: &mut Option<Lock>, failures: &mut Vec<Failure>) -> Result<Fleet> {
    let ready = site.bootstrap(lock).await?;
    for output in &ready.outputs {
        let text = output.output.stdout.trim().replace('\n', ", ");
        site.fleet.emit(Event::Note { host: Some(output.host.clone()), text });
    }
    failures.extend(ready.failures);
    Ok(site.fleet.only(|host| ready.outputs.iter().any(|output| output.host == host)))
}

/// Boots the accessories that don't run yet. The app may need any of them, so a failure stops the deploy.
async fn boot_accessories(
    site: &Site<'_>,
    accessories: &Given<'_>,
    fleet: &Fleet,
    failures: &[Failure],
) -> Result<()> {
    let hosts = accessories.accessories.hosts();
    if hosts.is_empty() {
        return Ok(());
    }
    site.call.world.events.emit(Event::Phase(Phase::Accessories(hosts.len())));
    let fleet = fleet.only(|host| hosts.contains(&host));
    let (seen, unseen) = observe(&fleet, site.scope, &site.call.config().repository(), true).await;
    let (config, selection) = (site.call.config(), &Selection { roles: Vec::new(), hosts: hosts.clone() });
    let basis = Basis { config, given: accessories, scope: site.scope, selection, observed: &seen };
    let crew = Crew { call: site.call, fleet: &fleet, observed: &seen };
    let mut booted = Gathered::default();
    for stage in basis.accessories(Deed::Boot, Turns::Together) {
        if site.call.world.stop.is_set() {
            break;
        }
        let part = crew.stage(&stage).await;
        booted.outputs.extend(part.outputs);
        booted.failures.extend(part.failures);
    }
    for output in &booted.outputs {
        let text = output.output.stdout.trim().into();
        site.fleet.emit(Event::Note { host: Some(output.host.clone()), text });
    }
    if site.call.world.stop.is_set() {
        return Err(RunError::interrupted());
    }
    let before = failures.iter().filter(|failure| hosts.contains(&failure.host.as_str())).cloned();
    let failures: Vec<Failure> = before.chain(unseen).chain(booted.failures).collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(RunError::servers(failures, site.hosts.len()))
}
