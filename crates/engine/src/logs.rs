//! `app logs`, `app details`, `app version`: what runs, and what it said.

use bowline_core::commands::{Scope, logs};
use bowline_core::plan::step::Step;
use bowline_core::selection::Selection;

use futures_util::future::join_all;

use crate::error::{Failure, RunError};
use crate::event::Event;
use crate::exec::run_all;
use crate::fleet::Fleet;
use crate::hooks;
use crate::observe::observe;
use crate::ports::{Output, ServerError};
use crate::world::{Gathered, HostOutput, Options, Project, World};

/// A role on a server, and the container that serves there.
struct Serving {
    host: String,
    role: String,
    container: Option<String>,
    version: Option<String>,
}

async fn serving<'a>(
    world: &World,
    project: &'a Project,
    options: &Options,
) -> Result<(Fleet, Vec<Serving>, Vec<Failure>, Selection<'a>), RunError> {
    let config = &project.config;
    let selection = Selection::new(config, &options.filters)?;
    let scope = Scope { names: config.names(), run: world.local.random_hex(16), performer: String::new() };
    hooks::pre_connect(world, project, options, &selection.hosts).await?;
    let (fleet, mut failures) = Fleet::connect(world, &selection.hosts).await;
    let (observed, unseen) = observe(&fleet, &scope, &config.repository(), false).await;
    failures.extend(unseen);
    let mut found = Vec::new();
    for (role, hosts) in &selection.roles {
        for host in hosts {
            let Some(server) = observed.get(&host.host) else { continue };
            let current = server.current(&scope.names, &role.name, &config.latest_image());
            found.push(Serving {
                host: host.host.clone(),
                role: role.name.clone(),
                container: current.map(|container| container.id.clone()),
                version: current.map(|container| container.version(&scope.names, &role.name).to_string()),
            });
        }
    }
    Ok((fleet, found, failures, selection))
}

/// `app logs`: of every role's container; with `follow`, of all of them at once, as they come, until the run is
/// stopped.
pub async fn logs(
    world: &World,
    project: &Project,
    options: &Options,
    lines: &logs::Lines,
) -> Result<Gathered, RunError> {
    let (fleet, found, failures, selection) = serving(world, project, options).await?;
    let mut silent = Vec::new();
    let mut steps = Vec::new();
    for serving in found {
        match serving.container {
            Some(container) => {
                steps.push((
                    serving.host,
                    serving.role,
                    Step::Run("show the log", logs::logs(&container, lines)),
                ));
            }
            None => silent.push(told(serving.host, serving.role, "nothing runs")),
        }
    }
    let total = selection.hosts.len();
    let mut gathered = if lines.follow {
        let failed = tokio::select! {
            failed = follow_all(&fleet, steps) => failed,
            () = world.stop.triggered() => Vec::new(),
        };
        Gathered { outputs: Vec::new(), failures: failures.into_iter().chain(failed).collect(), total }
    } else {
        run_all(&fleet, steps, failures, total).await
    };
    gathered.outputs.extend(silent);
    Ok(gathered)
}

/// Hands every line on as it comes and keeps none: a log may be followed for days.
async fn follow_all(fleet: &Fleet, steps: Vec<(String, String, Step)>) -> Vec<Failure> {
    let followed = steps.iter().map(|(host, role, step)| async move {
        let lost = |error: ServerError| Failure {
            host: host.clone(),
            role: Some(role.clone()),
            doing: step.describe(),
            cause: error.into(),
        };
        let mut channel = fleet.open(host, step).await?;
        while let Some(line) = channel.next_line().await.map_err(lost)? {
            fleet.emit(Event::Output { host: Some(host.clone()), line });
        }
        Ok(())
    });
    let failures: Vec<Failure> = join_all(followed).await.into_iter().filter_map(Result::err).collect();
    for failure in &failures {
        fleet.emit(Event::Failed(failure.clone()));
    }
    failures
}

/// `app details`: the running containers as `docker ps` shows them.
pub async fn details(world: &World, project: &Project, options: &Options) -> Result<Gathered, RunError> {
    let selection = Selection::new(&project.config, &options.filters)?;
    let names = project.config.names();
    hooks::pre_connect(world, project, options, &selection.hosts).await?;
    let (fleet, failures) = Fleet::connect(world, &selection.hosts).await;
    let mut steps = Vec::new();
    for (role, hosts) in &selection.roles {
        for host in hosts.iter().filter(|host| fleet.has(&host.host)) {
            let step = Step::Run("show the containers", logs::details(&names, &role.name));
            steps.push((host.host.clone(), role.name.clone(), step));
        }
    }
    Ok(run_all(&fleet, steps, failures, selection.hosts.len()).await)
}

/// `app version`: the version each role serves on each server.
pub async fn versions(world: &World, project: &Project, options: &Options) -> Result<Gathered, RunError> {
    let (_, found, failures, selection) = serving(world, project, options).await?;
    let version = |serving: Serving| {
        let version = serving.version.unwrap_or_else(|| "nothing runs".into());
        told(serving.host, serving.role, &version)
    };
    let outputs = found.into_iter().map(version).collect();
    Ok(Gathered { outputs, failures, total: selection.hosts.len() })
}

fn told(host: String, role: String, text: &str) -> HostOutput {
    let output = Output { stdout: format!("{text}\n"), ..Output::default() };
    HostOutput { host, role: Some(role), output }
}
