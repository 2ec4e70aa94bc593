//! `app exec`: a command once for each role on each server (S12), in a new container or in the one that serves.
//!
//! [`exec`] runs it everywhere and gathers what is printed, [`attach`] runs it in one place and lets its bytes
//! pass. Either takes no lock and belongs to no deploy. Interrupted, both end what they began: Docker would let
//! it run on.

mod attached;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bowline_core::commands::exec::{Exec, GRACE, Mode, Place};
use bowline_core::commands::{Scope, registry};
use bowline_core::config::{Pairs, Role, RoleHost};
use bowline_core::observed::{Container, Observed};
use bowline_core::plan::deploy::{self as planning, Secrets};
use bowline_core::plan::step::Step;
use bowline_core::selection::Selection;
use futures_util::future::join_all;

use crate::error::{Cause, Failure, RunError};
use crate::event::Event;
use crate::fleet::Fleet;
use crate::ports::{Console, Exit, Output, ServerError};
use crate::world::{Gathered, HostOutput, Options, Project, World};
use crate::{apply, build, hooks, observe, version};

/// How long it may take to end what an interrupted command began.
const ENDING: Duration = Duration::from_secs(20);

/// What to run.
#[derive(Debug, Clone)]
pub struct ExecRequest {
    /// The command's words.
    pub words: Vec<String>,
    /// Further variables.
    pub env: Pairs,
    /// In the container that serves instead of a new one.
    pub reuse: bool,
    /// How it is connected.
    pub mode: Mode,
}

/// A role on a server.
type Target<'a> = (&'a Role, &'a RoleHost);

/// Runs it everywhere at once. A command that fails is no error here: its status is in the output.
pub async fn exec(
    world: &World,
    project: &Project,
    options: &Options,
    request: &ExecRequest,
) -> Result<Gathered, RunError> {
    let selection = Selection::new(&project.config, &options.filters)?;
    let targets: Vec<Target<'_>> =
        selection.roles.iter().flat_map(|(role, hosts)| hosts.iter().map(|host| (*role, *host))).collect();
    let work =
        unless_stopped(world, Work::find(world, project, options, request, &selection.hosts, &targets))
            .await?;
    tokio::select! {
        gathered = work.gather() => Ok(gathered),
        () = world.stop.triggered() => {
            work.end(GRACE).await;
            Err(RunError::interrupted())
        }
    }
}

/// Runs it in one place, its input and output connected to `console`; gives how it ended. With a terminal or
/// something to read, that is the primary role on the first server, as with Kamal.
///
/// If nobody reads its output any more, it is ended, as a signal PIPE would have.
pub async fn attach(
    world: &World,
    project: &Project,
    options: &Options,
    request: &ExecRequest,
    console: &dyn Console,
) -> Result<Exit, RunError> {
    let selection = Selection::new(&project.config, &options.filters)?;
    let target = one_target(&selection, request.mode)?;
    let (hosts, targets) = ([target.1.host.as_str()], [target]);
    let work = unless_stopped(world, Work::find(world, project, options, request, &hosts, &targets)).await?;
    attached::run(world, &work, console).await
}

fn one_target<'a>(selection: &Selection<'a>, mode: Mode) -> Result<Target<'a>, RunError> {
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
                "`--raw` passes on what one container prints, and this would run in {}: each role on each server",
                others + 1
            ),
            "choose one with `--primary` (the first server), `--hosts` and `--roles`",
        ));
    }
    Ok(first)
}

/// Waits for what changes nothing that would have to be undone.
async fn unless_stopped<T>(
    world: &World,
    work: impl Future<Output = Result<T, RunError>>,
) -> Result<T, RunError> {
    tokio::select! {
        done = work => done,
        () = world.stop.triggered() => Err(RunError::interrupted()),
    }
}

/// A command on a server.
struct Command {
    host: String,
    exec: Box<Exec>,
    /// It has begun, and has not ended yet as far as we know.
    runs: AtomicBool,
}

impl Command {
    fn new(host: &str, exec: Exec) -> Self {
        Self { host: host.into(), exec: Box::new(exec), runs: AtomicBool::new(false) }
    }

    fn set_runs(&self, runs: bool) {
        self.runs.store(runs, Ordering::Relaxed);
    }
}

/// What is to be run where, on connected servers.
struct Work {
    fleet: Fleet,
    commands: Vec<Command>,
    failures: Vec<Failure>,
    total: usize,
}

impl Work {
    /// Connects, and finds the containers if they are to be reused.
    async fn find(
        world: &World,
        project: &Project,
        options: &Options,
        request: &ExecRequest,
        hosts: &[&str],
        targets: &[Target<'_>],
    ) -> Result<Self, RunError> {
        let scope = Scope {
            names: project.config.names(),
            run: world.local.random_hex(16),
            performer: version::performer(world).await,
        };
        let mut commands = Vec::new();
        if !request.reuse {
            // What is wrong with it is known before anybody is asked.
            let version = options.version.clone().unwrap_or_else(|| scope.names.latest_tag());
            version::check(&version)?;
            let secrets = secrets(world, project, targets).await?;
            for target in targets {
                let place = new_container(project, &secrets, &version, *target)?;
                let exec = in_place(&scope, request, target.0, &version, place);
                commands.push(Command::new(&target.1.host, exec));
            }
        }
        hooks::pre_connect(world, project, options, hosts).await?;
        let (fleet, failures) = Fleet::connect(world, hosts).await;
        commands.retain(|command| fleet.has(&command.host));
        let mut work = Self { fleet, commands, failures, total: hosts.len() };
        if request.reuse {
            work.find_containers(project, options, request, &scope, targets).await;
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
                    let exec = in_place(scope, request, role, version, place);
                    self.commands.push(Command::new(&host.host, exec));
                }
                None => self.fail(nothing_runs(&host.host, &role.name, wanted)),
            }
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.fleet.emit(Event::Failed(failure.clone()));
        self.failures.push(failure);
    }

    /// Runs all of it, and gathers what is printed.
    async fn gather(&self) -> Gathered {
        let results = join_all(self.commands.iter().map(|command| self.run(command))).await;
        let mut gathered =
            Gathered { outputs: Vec::new(), failures: self.failures.clone(), total: self.total };
        for (command, result) in self.commands.iter().zip(results) {
            let role = Some(command.exec.role.clone());
            match result {
                Ok(output) => {
                    gathered.outputs.push(HostOutput { host: command.host.clone(), role, output });
                }
                Err(failure) => {
                    self.fleet.emit(Event::Failed(failure.clone()));
                    gathered.failures.push(failure);
                }
            }
        }
        gathered
    }

    async fn run(&self, command: &Command) -> Result<Output, Failure> {
        self.prepare(command).await?;
        let step = Step::Exec(command.exec.clone());
        command.set_runs(true);
        let result = self.fleet.run_watched(&command.host, Some(&command.exec.role), &step, &|_| {}).await;
        if let Err(Failure { cause: Cause::Server(ServerError::TooMuchOutput { .. }), .. }) = &result {
            self.end_one(command, 0).await;
        }
        command.set_runs(false);
        result.map_err(too_much)
    }

    /// Has what a new container needs.
    async fn prepare(&self, command: &Command) -> Result<(), Failure> {
        if matches!(command.exec.place, Place::Serving(_)) {
            return Ok(());
        }
        // From here on there may be an env file to remove.
        command.set_runs(true);
        let step = Step::Prepare(command.exec.clone());
        let prepared = self.fleet.run(&command.host, Some(&command.exec.role), &step).await;
        prepared.map(drop).map_err(|failure| {
            command.set_runs(false);
            explained(failure)
        })
    }

    /// Ends whatever runs; a new container has so many seconds to end by itself.
    async fn end(&self, grace: u64) {
        let running = self.commands.iter().filter(|command| command.runs.load(Ordering::Relaxed));
        join_all(running.map(|command| self.end_one(command, grace))).await;
    }

    async fn end_one(&self, command: &Command, grace: u64) {
        let step = Step::Run("end the command", command.exec.end(grace));
        let ending = self.fleet.run_watched(&command.host, Some(&command.exec.role), &step, &|_| {});
        if !matches!(tokio::time::timeout(ENDING, ending).await, Ok(Ok(_))) {
            let text = format!("the command may go on in {}", command.exec.container());
            self.fleet.emit(Event::Note { host: Some(command.host.clone()), text });
        }
        command.set_runs(false);
    }
}

/// The running container of a role: of this version, or the one that serves.
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
        None => ("no container of the app runs".into(), "deploy it first"),
        Some(version) => (
            format!("no container of version {version} runs"),
            "`bowline app version` shows what does; without `--reuse` a new container is made",
        ),
    };
    Failure {
        host: host.into(),
        role: Some(role.into()),
        doing: "find the container".into(),
        cause: Cause::Told { reason, hint: Some(hint.into()) },
    }
}

/// The secrets that new containers in these places need. Those of the registry may be missing: only an image that
/// isn't there needs them.
async fn secrets(world: &World, project: &Project, targets: &[Target<'_>]) -> Result<Secrets, RunError> {
    let known = project.secrets.names();
    let mut names = planning::registry_secrets(&project.config);
    names.retain(|name| known.contains(&name.as_str()));
    names.extend(planning::env_secrets(&project.config, targets.iter().copied()));
    project.secrets(world, &names).await
}

fn new_container(
    project: &Project,
    secrets: &Secrets,
    version: &str,
    (role, host): Target<'_>,
) -> Result<Place, RunError> {
    let config = &project.config;
    let environment = planning::environment(config, secrets, role, host)?;
    Ok(Place::New {
        image: config.image_of(version),
        environment: Box::new(environment),
        login: build::login(config, secrets).ok().flatten(),
    })
}

fn in_place(scope: &Scope, request: &ExecRequest, role: &Role, version: &str, place: Place) -> Exec {
    Exec {
        scope: scope.clone(),
        role: role.name.clone(),
        version: version.into(),
        place,
        env: request.env.clone(),
        words: request.words.clone(),
        mode: request.mode,
    }
}

/// Why a container could not be prepared, in the words of what it means.
fn explained(mut failure: Failure) -> Failure {
    let Cause::Command(output) = failure.cause else { return failure };
    let of_registry = [registry::LOGIN_REFUSED, registry::PULL_FAILED].map(Exit::Status);
    if of_registry.contains(&output.exit) {
        return apply::explained(Failure { cause: Cause::Command(output), ..failure });
    }
    failure.cause = observe::explain(output);
    failure
}

fn too_much(mut failure: Failure) -> Failure {
    if let Cause::Server(error @ ServerError::TooMuchOutput { .. }) = &failure.cause {
        failure.cause = Cause::Told {
            reason: error.to_string(),
            hint: Some("`--raw` passes output of any length on, from one server and role".into()),
        };
    }
    failure
}
