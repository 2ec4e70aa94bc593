//! `app exec`: runs a command once for each role on each server, in a new container or in the running one.
//!
//! [`exec`] runs it everywhere and collects the output. [`attach`] runs it in one place and streams its input and output.
//! Neither takes the lock or is part of a deploy. When interrupted, both end the command, which Docker would let continue.

pub(crate) mod attached;
pub(crate) mod work;

use bowline_config::{Pairs, Role, RoleHost};
use bowline_core::commands::Scope;
use bowline_core::commands::exec::{Exec, Missing, Mode, Of, Place};
use bowline_core::observed::{Container, Observed};
use bowline_core::plan::secrets::{env_secrets, registry_secrets};
use bowline_core::secrets::{Secrets, environment, login};
use bowline_core::selection::Selection;

use crate::call::Call;
use crate::error::{Cause, Failure, Result, RunError};
use crate::ports::{Console, Exit};
use crate::project::Project;
use crate::run::observe;
use crate::version;
use crate::world::{Gathered, Options};
use work::{Command, Work};

#[derive(Debug, Clone)]
pub struct ExecRequest {
    pub words: Vec<String>,
    pub env: Pairs,
    /// Whether to use the running container instead of a new one.
    pub reuse: bool,
    pub mode: Mode,
}

impl ExecRequest {
    pub(crate) fn at(&self, scope: &Scope, of: Of, place: Place) -> Exec {
        let Self { words, env, mode, .. } = self.clone();
        Exec { scope: scope.clone(), of, place, env, words, mode }
    }
}

type Target<'a> = (&'a Role, &'a RoleHost);

/// Runs the command everywhere in parallel. If it fails, its status is in its output, and this is not an error.
pub async fn exec(call: Call<'_>, request: &ExecRequest) -> Result<Gathered> {
    let selection = Selection::new(call.config(), &call.options.filters)?;
    let targets: Vec<Target<'_>> =
        selection.roles.iter().flat_map(|(role, hosts)| hosts.iter().map(|host| (*role, *host))).collect();
    let work = call.world.unless_stopped(Work::find(call, request, &selection.hosts, &targets)).await??;
    work.gather(call.world).await
}

/// Runs the command in one place, connected to `console`, and returns how it ended. If several places match, it runs for
/// the first role on its first server, as in Kamal. [`Mode::Raw`] requires a single match.
///
/// If the reader of its output goes away, Bowline ends the command, as SIGPIPE would.
pub async fn attach(call: Call<'_>, request: &ExecRequest, console: &dyn Console) -> Result<Exit> {
    let selection = Selection::new(call.config(), &call.options.filters)?;
    let target = one_target(&selection, request.mode)?;
    let (hosts, targets) = ([target.1.host.as_str()], [target]);
    let work = call.world.unless_stopped(Work::find(call, request, &hosts, &targets)).await??;
    attached::run(call.world, &work, console).await
}

fn one_target<'a>(selection: &Selection<'a>, mode: Mode) -> Result<Target<'a>> {
    let usage = |message: String, hint: &str| RunError::Usage { message, hint: Some(hint.into()) };
    let mut targets =
        selection.roles.iter().flat_map(|(role, hosts)| hosts.iter().map(|host| (*role, *host)));
    let Some(first) = targets.next() else {
        return Err(usage("there is no server to run it on".into(), "see `servers:`"));
    };
    let others = targets.count();
    if mode == Mode::Raw && others > 0 {
        return Err(usage(
            format!(
                "`--raw` passes on the output of one container, and this would run in {}: each role on each server",
                others + 1
            ),
            "choose one with `--primary` (the first server), `--hosts` and `--roles`",
        ));
    }
    Ok(first)
}

impl Work {
    /// Connects, and finds the containers for `--reuse`.
    async fn find(
        call: Call<'_>,
        request: &ExecRequest,
        hosts: &[&str],
        targets: &[Target<'_>],
    ) -> Result<Self> {
        let scope = call.scope().await;
        let mut commands = Vec::new();
        if !request.reuse {
            // Reports an invalid version before resolving secrets, which may ask for a password.
            let version = call.options.version.clone().unwrap_or_else(|| call.config().latest_tag());
            version::check(&version)?;
            let secrets = secrets(call, targets).await?;
            for target in targets {
                let place = new_container(call.project, &secrets, &version, *target)?;
                let exec = request.at(&scope, of(target.0, &version), place);
                commands.push(Command::in_container(&target.1.host, exec));
            }
        }
        let (fleet, failures) = call.connect(hosts).await?;
        commands.retain(|command| fleet.has(&command.host));
        let mut work =
            Self { images: call.world.images.clone(), fleet, commands, failures, total: hosts.len() };
        if request.reuse {
            work.find_containers(call.project, call.options, request, &scope, targets).await;
        }
        Ok(work)
    }

    async fn find_containers(
        &mut self,
        project: &Project,
        options: &Options,
        request: &ExecRequest,
        scope: &Scope,
        targets: &[Target<'_>],
    ) {
        let config = &project.config;
        let (observed, unseen) = observe::observe(&self.fleet, scope, &config.repository(), false).await;
        self.failures.extend(unseen);
        let wanted = options.version.as_deref();
        for (role, host) in targets {
            let Some(server) = observed.get(&host.host) else { continue };
            match container(server, scope, &role.name, &config.latest_image(), wanted) {
                Some(container) => {
                    let version = container.version(&scope.names, &role.name);
                    let place = Place::Serving(container.name.clone());
                    let exec = request.at(scope, of(role, version), place);
                    self.commands.push(Command::in_container(&host.host, exec));
                }
                None => self.fail(nothing_runs(&host.host, &role.name, wanted)),
            }
        }
    }
}

/// The running container of a role: of the given version, or the one that serves.
fn container<'a>(
    server: &'a Observed,
    scope: &'a Scope,
    role: &'a str,
    latest: &str,
    version: Option<&str>,
) -> Option<&'a Container> {
    let names = &scope.names;
    match version {
        None => server.current(names, role, latest),
        Some(version) => server
            .of_role(names, role)
            .find(|container| container.is_running() && container.version(names, role) == version),
    }
}

fn nothing_runs(host: &str, role: &str, version: Option<&str>) -> Failure {
    let (reason, hint) = match version {
        None => ("no container of the app is running".into(), "deploy it first"),
        Some(version) => (
            format!("no container of version {version} is running"),
            "`bowline app version` shows the running versions; without `--reuse`, the command gets a new container",
        ),
    };
    Failure::new(host, Some(role), "find the container", Cause::Other { reason, hint: Some(hint.into()) })
}

/// The secrets that new containers in these places need. Those of the registry may be undefined, because only a missing
/// image needs them.
async fn secrets(call: Call<'_>, targets: &[Target<'_>]) -> Result<Secrets> {
    let known = call.project.secrets.names();
    let mut names = registry_secrets(call.config());
    names.retain(|name| known.contains(&name.as_str()));
    names.extend(env_secrets(call.config(), targets.iter().copied()));
    call.project.secrets(call.world, &names).await
}

fn new_container(
    project: &Project,
    secrets: &Secrets,
    version: &str,
    (role, host): Target<'_>,
) -> Result<Place> {
    let config = &project.config;
    let environment = environment(config, secrets, role, host)?;
    Ok(Place::New {
        image: config.image_of(version),
        environment: Box::new(environment),
        missing: match config.registry.is_absent() {
            true => Missing::Bring,
            false => Missing::Pull(login(&config.registry, secrets).ok().flatten()),
        },
    })
}

fn of(role: &Role, version: &str) -> Of {
    Of::Role { name: role.name.clone(), version: version.into() }
}
