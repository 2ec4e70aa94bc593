//! `app exec`: a command once for each role on each server (S12), in a new container or in the one that serves.

use bowline_core::commands::{Scope, exec};
use bowline_core::config::Pairs;
use bowline_core::plan::{deploy as planning, step::Step};
use bowline_core::selection::Selection;
use futures_util::future::join_all;

use crate::error::{Cause, Failure, RunError};
use crate::event::Event;
use crate::fleet::Fleet;
use crate::hooks;
use crate::observe::observe;
use crate::version;
use crate::world::{Gathered, HostOutput, Options, Project, World};

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// The command's words.
    pub words: Vec<String>,
    /// Further variables.
    pub env: Pairs,
    /// In the container that serves instead of a new one.
    pub reuse: bool,
}

/// Runs it everywhere at once. A command that fails is no error here: its status is in the output.
pub async fn exec(
    world: &World,
    project: &Project,
    options: &Options,
    request: &ExecRequest,
) -> Result<Gathered, RunError> {
    let config = &project.config;
    let selection = Selection::new(config, &options.filters)?;
    let scope = Scope {
        names: config.names(),
        run: world.local.random_hex(16),
        performer: version::performer(world).await,
    };
    hooks::pre_connect(world, project, options, &selection.hosts).await?;
    let (fleet, mut failures) = Fleet::connect(world, &selection.hosts).await;
    let steps = if request.reuse {
        let (observed, unseen) = observe(&fleet, &scope, &config.repository(), false).await;
        failures.extend(unseen);
        let mut steps = Vec::new();
        for (role, hosts) in &selection.roles {
            for host in hosts {
                let Some(server) = observed.get(&host.host) else { continue };
                match server.current(&scope.names, &role.name, &config.latest_image()) {
                    Some(container) => {
                        let script = exec::reuse(
                            &scope,
                            &role.name,
                            container.version(&scope.names, &role.name),
                            &container.name,
                            &request.env,
                            &request.words,
                        );
                        steps.push((
                            host.host.clone(),
                            role.name.clone(),
                            Step::Run("run a command", script),
                        ));
                    }
                    None => failures.push(nothing_runs(&fleet, &host.host, &role.name)),
                }
            }
        }
        steps
    } else {
        new_containers(project, options, &selection, &scope, request)?
    };
    let steps = steps.into_iter().filter(|(host, _, _)| fleet.has(host));
    let steps = steps.map(|(host, role, step)| (host, Some(role), step)).collect();
    Ok(run_all(&fleet, steps, failures, selection.hosts.len()).await)
}

fn nothing_runs(fleet: &Fleet, host: &str, role: &str) -> Failure {
    let failure = Failure {
        host: host.into(),
        role: Some(role.into()),
        doing: "find the container".into(),
        cause: Cause::Told {
            reason: "no container of the app runs".into(),
            hint: Some("deploy it first".into()),
        },
    };
    fleet.emit(Event::Failed(failure.clone()));
    failure
}

fn new_containers(
    project: &Project,
    options: &Options,
    selection: &Selection<'_>,
    scope: &Scope,
    request: &ExecRequest,
) -> Result<Vec<(String, String, Step)>, RunError> {
    let config = &project.config;
    let version = options.version.clone().unwrap_or_else(|| scope.names.latest_tag());
    version::check(&version)?;
    let mut steps = Vec::new();
    for (role, hosts) in &selection.roles {
        for host in hosts {
            let environment = planning::environment(config, &project.secrets, role, host)
                .map_err(|error| project.explain(error))?;
            let step = exec::Exec {
                scope: scope.clone(),
                role: role.name.clone(),
                version: version.clone(),
                image: config.image_of(&version),
                environment,
                env: request.env.clone(),
                words: request.words.clone(),
            };
            steps.push((host.host.clone(), role.name.clone(), Step::Exec(Box::new(step))));
        }
    }
    Ok(steps)
}

/// Runs steps on their servers at once and gathers what they printed.
pub(crate) async fn run_all(
    fleet: &Fleet,
    steps: Vec<(String, Option<String>, Step)>,
    mut failures: Vec<Failure>,
    total: usize,
) -> Gathered {
    let results = join_all(
        steps.iter().map(|(host, role, step)| fleet.run_watched(host, role.as_deref(), step, &|_| {})),
    )
    .await;
    let mut outputs = Vec::new();
    for ((host, role, _), result) in steps.iter().zip(results) {
        match result {
            Ok(output) => {
                outputs.push(HostOutput { host: host.clone(), role: role.clone(), output });
            }
            Err(failure) => {
                fleet.emit(Event::Failed(failure.clone()));
                failures.push(failure);
            }
        }
    }
    Gathered { outputs, failures, total }
}
