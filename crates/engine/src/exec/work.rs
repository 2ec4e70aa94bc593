//! Runs the user's commands on servers, inside or outside containers: starts them, collects or streams their output, and
//! ends them when the run is interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bowline_core::commands::exec::{Exec, GRACE, Missing, Mode, Of, Place};
use bowline_core::commands::registry::{Receive, Way};
use bowline_core::commands::server::OnServer;
use bowline_core::commands::status::Status;
use bowline_core::plan::step::Step;
use bowline_core::shell::Script;
use futures_util::future::join_all;

use crate::error::{Cause, Failure, Result, RunError};
use crate::event::Event;
use crate::image::send::Sender;
use crate::ports::{Images, Output, ServerError};
use crate::run::fleet::Fleet;
use crate::run::observe;
use crate::world::{Gathered, HostOutput, World};

/// The time limit for ending an interrupted command.
const ENDING: Duration = Duration::from_secs(20);

pub(crate) struct Command {
    pub(crate) host: String,
    pub(super) role: Option<String>,
    pub(super) mode: Mode,
    /// The command and its place, for display.
    pub(super) title: String,
    pub(super) step: Step,
    prepare: Option<Step>,
    /// The image to send if the server lacks it.
    bring: Option<Receive>,
    /// What it runs in, for display.
    place: String,
    /// A script that ends the command. The argument is its grace period in seconds.
    end: Box<dyn Fn(u64) -> Script + Send + Sync>,
    /// Whether it has started, and hasn't ended as far as we know.
    runs: AtomicBool,
}

impl Command {
    pub(crate) fn in_container(host: &str, exec: Exec) -> Self {
        let exec = Box::new(exec);
        let words = exec.words.join(" ");
        let place = match (&exec.place, &exec.of) {
            (Place::New { .. }, Of::Role { version, .. }) => format!("a new container of version {version}"),
            (Place::New { .. }, Of::Accessory { .. }) => "a new container".into(),
            (Place::Serving(container), _) => container.clone(),
        };
        let name = exec.of.name().to_owned();
        let new = matches!(exec.place, Place::New { .. });
        let bring = match (&exec.place, &exec.of) {
            (Place::New { image, missing: Missing::Bring, .. }, Of::Role { version, .. }) => Some(Receive {
                scope: exec.scope.clone(),
                locked: false,
                image: image.clone(),
                version: version.clone(),
                way: Way::Load,
            }),
            _ => None,
        };
        Self {
            host: host.into(),
            mode: exec.mode,
            title: format!("{host} ({name}): `{words}` in {place}"),
            role: Some(name),
            step: Step::Exec(exec.clone()),
            prepare: new.then(|| Step::Prepare(exec.clone())),
            bring,
            place: exec.container(),
            end: Box::new(move |grace| exec.end(grace)),
            runs: AtomicBool::new(false),
        }
    }

    pub(crate) fn on_server(host: &str, command: OnServer) -> Self {
        Self {
            host: host.into(),
            role: None,
            mode: command.mode,
            title: format!("{host}: `{}`", command.command),
            step: Step::OnServer(command.clone()),
            prepare: None,
            bring: None,
            place: "the background".into(),
            end: Box::new(move |_| command.end()),
            runs: AtomicBool::new(false),
        }
    }

    pub(super) fn set_runs(&self, runs: bool) {
        self.runs.store(runs, Ordering::Relaxed);
    }
}

pub(crate) struct Work {
    pub(crate) images: Arc<dyn Images>,
    pub(crate) fleet: Fleet,
    pub(crate) commands: Vec<Command>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) total: usize,
}

impl Work {
    pub(super) fn fail(&mut self, failure: Failure) {
        self.fleet.emit(Event::Failed(failure.clone()));
        self.failures.push(failure);
    }

    /// Runs all commands and collects their output. Ends them if the run is interrupted.
    pub(crate) async fn gather(&self, world: &World) -> Result<Gathered> {
        tokio::select! {
            gathered = self.run_all() => Ok(gathered),
            () = world.stop.triggered() => {
                self.end(GRACE).await;
                Err(RunError::interrupted())
            }
        }
    }

    async fn run_all(&self) -> Gathered {
        let results = join_all(self.commands.iter().map(|command| self.run(command))).await;
        let mut gathered =
            Gathered { outputs: Vec::new(), failures: self.failures.clone(), total: self.total };
        for (command, result) in self.commands.iter().zip(results) {
            let (host, role) = (command.host.clone(), command.role.clone());
            let output = self.fleet.report(result, &mut gathered.failures);
            gathered.outputs.extend(output.map(|output| HostOutput { host, role, output }));
        }
        gathered
    }

    async fn run(&self, command: &Command) -> Result<Output, Failure> {
        self.prepare(command).await?;
        command.set_runs(true);
        let (host, role) = (&command.host, command.role.as_deref());
        let result = self.fleet.run_watched(host, role, &command.step, &|_| {}).await;
        if let Err(Failure { cause: Cause::Server(error), .. }) = &result
            && is_too_much(error)
        {
            self.end_one(command, 0).await;
        }
        command.set_runs(false);
        result.map_err(too_much)
    }

    /// Prepares what the command needs, and sends the image if the server lacks it.
    pub(super) async fn prepare(&self, command: &Command) -> Result<(), Failure> {
        let Some(step) = &command.prepare else { return Ok(()) };
        // From here on, there may be an env file to remove.
        command.set_runs(true);
        let run = || self.fleet.run(&command.host, command.role.as_deref(), step);
        let prepared = match (run().await, &command.bring) {
            (Err(failure), Some(receive)) if failure.has_status(Status::NoSuchImage) => {
                let sender = Sender::new(self.images.as_ref(), &self.fleet, receive).await;
                let sender = sender.map_err(|cause| Failure { cause, ..failure });
                match sender {
                    Ok(sender) => match sender.to(&command.host).await {
                        Ok(_) => run().await,
                        Err(failure) => Err(failure.explained()),
                    },
                    Err(failure) => Err(failure),
                }
            }
            (prepared, _) => prepared,
        };
        prepared.map(drop).map_err(|failure| {
            command.set_runs(false);
            explained(failure)
        })
    }

    /// Ends all running commands. Their containers get this grace period in seconds.
    pub(super) async fn end(&self, grace: u64) {
        let running = self.commands.iter().filter(|command| command.runs.load(Ordering::Relaxed));
        join_all(running.map(|command| self.end_one(command, grace))).await;
    }

    async fn end_one(&self, command: &Command, grace: u64) {
        let step = Step::Run("end the command", (command.end)(grace));
        let ending = self.fleet.run_watched(&command.host, command.role.as_deref(), &step, &|_| {});
        if !matches!(tokio::time::timeout(ENDING, ending).await, Ok(Ok(_))) {
            let text = format!("the command may still be running in {}", command.place);
            self.fleet.emit(Event::Note { host: Some(command.host.clone()), text });
        }
        command.set_runs(false);
    }
}

fn explained(failure: Failure) -> Failure {
    if failure.has_status(Status::LoginRefused) || failure.has_status(Status::PullFailed) {
        return failure.explained();
    }
    match failure.cause {
        Cause::Command(output) => Failure { cause: observe::explain(output), ..failure },
        _ => failure,
    }
}

fn is_too_much(error: &ServerError) -> bool {
    matches!(error, ServerError::TooMuchOutput { .. } | ServerError::TooMuchTogether { .. })
}

fn too_much(mut failure: Failure) -> Failure {
    if let Cause::Server(error) = &failure.cause
        && is_too_much(error)
    {
        failure.cause = Cause::Other {
            reason: error.to_string(),
            hint: Some("`--raw` passes on output of any length, from one container or server".into()),
        };
    }
    failure
}
