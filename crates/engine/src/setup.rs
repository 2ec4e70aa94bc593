//! `setup`: from bare servers to an app that serves, under one lock. What is there already is left as it is, so a setup
//! of servers that are set up is a deploy.

use bowline_core::plan::Kind;
use bowline_core::selection::servers;

use crate::bootstrap::Site;
use crate::deploy::Run;
use crate::error::{Failure, RunError};
use crate::event::Event;
use crate::fleet::Fleet;
use crate::lock::Lock;
use crate::version;
use crate::world::{Options, Project, World};

/// `setup`.
pub async fn setup(world: &World, project: &Project, options: &Options) -> Result<(), RunError> {
    let version = version::resolve(world, options).await?;
    let mut run = Run::new(world, project, options, Kind::Deploy, Some(version.clone())).await?;
    let hosts = servers(&project.config, &options.filters)?;
    let (fleet, failures) = run.begin(&hosts).await?;
    run.worth_going_on(|host| fleet.has(host), &failures)?;
    let scope = run.scope.clone();
    let site =
        Site { world, project, options, fleet: &fleet, hosts: &hosts, scope: &scope, version: &version };
    let mut lock = site.lock().await?;
    run.under_lock = true;
    let ended = under_lock(&run, &site, &mut lock, failures).await;
    if let Some(lock) = lock {
        lock.give_back(world).await;
    }
    ended
}

/// What comes after what. A server that one part fails on is left out of the next.
async fn under_lock(
    run: &Run<'_>,
    site: &Site<'_>,
    lock: &mut Option<Lock>,
    mut failures: Vec<Failure>,
) -> Result<(), RunError> {
    let fleet = bootstrap(site, lock, &mut failures).await?;
    let fleet = fleet.only(|host| run.selection.hosts.contains(&host));
    run.worth_going_on(|host| fleet.has(host), &failures)?;
    run.build().await?;
    let result = run.locked(&fleet, failures, lock.as_ref()).await;
    run.end(&fleet, result).await
}

/// Docker and the network; gives the servers that have them now, and says what was done for it.
async fn bootstrap(
    site: &Site<'_>,
    lock: &mut Option<Lock>,
    failures: &mut Vec<Failure>,
) -> Result<Fleet, RunError> {
    let ready = site.bootstrap(lock).await?;
    for output in &ready.outputs {
        let text = output.output.stdout.trim().replace('\n', ", ");
        site.fleet.emit(Event::Note { host: Some(output.host.clone()), text });
    }
    failures.extend(ready.failures);
    Ok(site.fleet.only(|host| ready.outputs.iter().any(|output| output.host == host)))
}
