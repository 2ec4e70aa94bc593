//! `app logs`: what the containers that serve said.

use bowline_core::commands::logs;
use bowline_core::plan::step::Step;

use futures_util::future::join_all;

use crate::error::{Failure, RunError};
use crate::event::Event;
use crate::fleet::{Fleet, run_all};
use crate::observe::{Looked, look};
use crate::ports::ServerError;
use crate::world::{Gathered, HostOutput, Options, Project, World};

/// `app logs`: of every role's container; with `follow`, of all of them at once, as they come, until the run is
/// stopped.
pub async fn logs(
    world: &World,
    project: &Project,
    options: &Options,
    lines: &logs::Lines,
) -> Result<Gathered, RunError> {
    let Looked { fleet, selection, observed, failures } = look(world, project, options).await?;
    let names = project.config.names();
    let mut silent = Vec::new();
    let mut steps = Vec::new();
    for (role, hosts) in &selection.roles {
        for host in hosts {
            let Some(server) = observed.get(&host.host) else { continue };
            match server.current(&names, &role.name, &project.config.latest_image()) {
                Some(container) => {
                    let step = Step::Run("show the log", logs::logs(&container.id, lines));
                    steps.push((host.host.clone(), role.name.clone(), step));
                }
                None => silent.push(HostOutput::said(&host.host, Some(&role.name), "nothing runs")),
            }
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
        let steps = steps.into_iter().map(|(host, role, step)| (host, Some(role), step)).collect();
        run_all(&fleet, steps, failures, total).await
    };
    gathered.outputs.extend(silent);
    Ok(gathered)
}

/// Hands every line on as it comes and keeps none: a log may be followed for days.
pub(crate) async fn follow_all(fleet: &Fleet, steps: Vec<(String, String, Step)>) -> Vec<Failure> {
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
