//! The servers of a run: their connections, and the only way to run a step on them.
//!
//! Every step goes through [`Fleet::run`], which reports it, counts it, limits its time, and checks its status.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bowline_config::Timeouts;
use bowline_core::commands::WAIT_S;
use bowline_core::commands::answer::Unreadable;
use bowline_core::commands::app::Stop;
use bowline_core::commands::ask::PATIENCE_S;
use bowline_core::commands::status::Status;
use bowline_core::plan::step::Step;
use bowline_core::proxy::Takes;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::call::Call;
use crate::error::{Cause, Failure, RunError};
use crate::event::{Event, Events, Outcome};
use crate::keys;
use crate::ports::{
    Accept, Attached, Channel, Exit, Limit, Line, Listening, Output, Reader, Server, ServerError, Terminal,
};
use crate::world::{Gathered, HostOutput};

/// The time limit for checking a server, in seconds. Its registry gets 20 of them to respond.
const EXAMINE_S: u64 = 40;
/// The setting that limits steps without a setting of their own.
const COMMAND: &str = "command";

pub struct Fleet {
    servers: BTreeMap<String, Arc<dyn Server>>,
    events: Arc<dyn Events>,
    timeouts: Timeouts,
    counts: Mutex<HashMap<(String, Option<String>), usize>>,
}

impl Fleet {
    /// Connects to all servers in parallel. Reports the servers that it can't reach, and leaves them out.
    ///
    /// # Errors
    /// If the project's own keys can't be resolved.
    pub async fn connect(call: Call<'_>, hosts: &[&str]) -> Result<(Self, Vec<Failure>), RunError> {
        keys::hand_over(call).await?;
        let connect = async |host: &str| {
            let connected = call.world.network.connect(host).await;
            if connected.is_ok() {
                call.world.events.emit(Event::Connected { host: host.to_owned() });
            }
            connected
        };
        let connected = join_all(hosts.iter().map(|host| connect(host))).await;
        let mut servers = BTreeMap::new();
        let mut failures = Vec::new();
        for (host, connected) in hosts.iter().zip(connected) {
            match connected {
                Ok(server) => {
                    servers.insert((*host).to_string(), server);
                }
                Err(error) => {
                    let failure = Failure::new(host, None, "connect", error.into());
                    call.world.events.emit(Event::Failed(failure.clone()));
                    failures.push(failure);
                }
            }
        }
        let (events, timeouts) = (call.world.events.clone(), call.world.timeouts);
        Ok((Self { servers, events, timeouts, counts: Mutex::default() }, failures))
    }

    /// A fleet of some of the servers, with the same connections.
    pub(crate) fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let servers = self.servers.iter().filter(|(host, _)| wanted(host));
        let servers = servers.map(|(host, server)| (host.clone(), server.clone())).collect();
        let events = self.events.clone();
        Self { servers, events, timeouts: self.timeouts, counts: Mutex::default() }
    }

    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.servers.keys().map(String::as_str)
    }

    pub fn has(&self, host: &str) -> bool {
        self.servers.contains_key(host)
    }

    pub fn server(&self, host: &str) -> Result<&Arc<dyn Server>, ServerError> {
        self.servers.get(host).ok_or_else(|| ServerError::Unreachable {
            reason: "no connection was made to it".into(),
            hint: None,
        })
    }

    pub fn emit(&self, event: Event) {
        self.events.emit(event);
    }

    /// Reports a failure, and adds it to the others.
    pub(crate) fn report<T>(&self, result: Result<T, Failure>, failures: &mut Vec<Failure>) -> Option<T> {
        let report = |failure: Failure| {
            self.emit(Event::Failed(failure.clone()));
            failures.push(failure);
        };
        result.map_err(report).ok()
    }

    /// Runs a step. Any status except 0 is a failure.
    pub async fn run(&self, host: &str, role: Option<&str>, step: &Step) -> Result<Output, Failure> {
        let output = self.run_watched(host, role, step, &|_| {}).await?;
        match output.exit {
            Exit::Status(0) => Ok(output),
            _ => Err(self.failed(host, role, step, Cause::Command(output))),
        }
    }

    /// Runs a step and parses its output. Any status except 0 is a failure.
    pub async fn ask<A: FromStr<Err = Unreadable>>(
        &self,
        host: &str,
        role: Option<&str>,
        step: &Step,
    ) -> Result<A, Failure> {
        let output = self.run(host, role, step).await?;
        output.answer().map_err(|error| self.failed(host, role, step, error.into()))
    }

    /// Runs a step, and passes its lines on. Returns the output with any status, unless the run has lost its lock.
    pub async fn run_watched(
        &self,
        host: &str,
        role: Option<&str>,
        step: &Step,
        on_line: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Output, Failure> {
        let started = self.started(host, role, step);
        let result = self.bounded(host, step, on_line).await;
        let outcome = match &result {
            Ok(output) if output.status() == Some(Status::NoImage) => Outcome::LacksImage,
            result => matches!(result, Ok(output) if output.success()).into(),
        };
        self.ended(host, role, step, started, outcome);
        match result {
            Ok(output) if output.status() == Some(Status::Fenced) && !is_a_persons(step) => {
                Err(self.failed(host, role, step, Cause::fenced(&output)))
            }
            Ok(output) => Ok(output),
            Err(error) => Err(self.failed(host, role, step, error.into())),
        }
    }

    async fn bounded(
        &self,
        host: &str,
        step: &Step,
        on_line: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Output, ServerError> {
        let watch = |line: Line<'_>| {
            let (Line::Out(line) | Line::Err(line)) = line;
            on_line(line);
            // Lines that begin with `@` are the script's answers, not output.
            if !line.starts_with('@') && !line.is_empty() {
                self.emit(Event::Output { host: Some(host.into()), role: None, line: line.into() });
            }
        };
        self.server(host)?.run(step, limit(&self.timeouts, step), &watch).await
    }

    /// Lets programs on a server connect to us; `None` if sshd doesn't allow it.
    pub(crate) async fn listen(
        &self,
        host: &str,
        accept: Arc<dyn Accept>,
    ) -> Result<Option<Listening>, Failure> {
        let listening = async { self.patience().bound(self.server(host)?.listen(accept)).await };
        listening.await.map_err(|error| Failure::new(host, None, "offer the image", error.into()))
    }

    pub(crate) fn pull_limit(&self) -> Limit {
        Limit { time: self.timeouts.pull, setting: "pull" }
    }

    pub async fn open(&self, host: &str, step: &Step, reader: Reader) -> Result<Box<dyn Channel>, Failure> {
        self.started(host, None, step);
        let opened = match self.server(host) {
            Ok(server) => server.open(step, self.patience(), reader).await,
            Err(error) => Err(error),
        };
        opened.map_err(|error| self.failed(host, None, step, error.into()))
    }

    /// Starts a step whose bytes we stream. Also returns the start time, for [`Fleet::ended`].
    pub async fn attach(
        &self,
        host: &str,
        role: Option<&str>,
        step: &Step,
        terminal: Option<&Terminal>,
    ) -> Result<(Attached, Instant), Failure> {
        let started = self.started(host, role, step);
        let attached = match self.server(host) {
            Ok(server) => server.attach(step, terminal, self.patience()).await,
            Err(error) => Err(error),
        };
        match attached {
            Ok(attached) => Ok((attached, started)),
            Err(error) => Err(self.failed(host, role, step, error.into())),
        }
    }

    fn patience(&self) -> Limit {
        Limit { time: self.timeouts.command, setting: COMMAND }
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    fn started(&self, host: &str, role: Option<&str>, step: &Step) -> Instant {
        self.count(host, role);
        self.emit(Event::StepStarted {
            host: host.into(),
            role: role.map(Into::into),
            what: step.describe(),
            command: step.script().shown(),
        });
        Instant::now()
    }

    pub fn ended(
        &self,
        host: &str,
        role: Option<&str>,
        step: &Step,
        started: Instant,
        outcome: impl Into<Outcome>,
    ) {
        self.emit(Event::StepEnded {
            host: host.into(),
            role: role.map(Into::into),
            what: step.describe(),
            elapsed: started.elapsed(),
            outcome: outcome.into(),
        });
    }

    pub(crate) fn failed(&self, host: &str, role: Option<&str>, step: &Step, cause: Cause) -> Failure {
        Failure::new(host, role, step.describe(), cause)
    }

    fn count(&self, host: &str, role: Option<&str>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((host.into(), role.map(Into::into))).or_default() += 1;
    }

    /// How many commands ran one after the other on each server: those of the server, plus those of the role that
    /// had the most (roles run in parallel).
    pub fn commands(&self) -> Vec<(String, usize)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut commands: Vec<(String, usize)> = self
            .servers
            .keys()
            .map(|host| {
                let of = |role: bool| {
                    counts
                        .iter()
                        .filter(move |((at, r), _)| at == host && r.is_some() == role)
                        .map(|(_, n)| *n)
                };
                (host.clone(), of(false).sum::<usize>() + of(true).max().unwrap_or(0))
            })
            .collect();
        commands.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        commands
    }
}

pub async fn run_all(
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
    for ((host, role, _), result) in steps.into_iter().zip(results) {
        let output = fleet.report(result, &mut failures);
        outputs.extend(output.map(|output| HostOutput { host, role, output }));
    }
    Gathered { outputs, failures, total }
}

/// Whether a step runs a user's command, which may end with any status.
fn is_a_persons(step: &Step) -> bool {
    matches!(step, Step::Exec(_) | Step::OnServer(_))
}

/// The time limit of a step with its own waits, and the setting that raises it. A user's command has no limit.
fn limit(timeouts: &Timeouts, step: &Step) -> Option<Limit> {
    let limit = |time, setting| Some(Limit { time, setting });
    let waits = match step {
        // An accessory may take long to stop, and an upload long to finish.
        Step::Pull(_) | Step::Receive(_) | Step::Assets(_) | Step::Prepare(_) | Step::Accessory(_) => {
            return limit(timeouts.pull, "pull");
        }
        Step::Bootstrap(_) => return limit(timeouts.install, "install"),
        Step::Exec(_) | Step::OnServer(_) => return None,
        Step::Proxy(step) => match step.takes() {
            Takes::Pull => return limit(timeouts.pull, "pull"),
            Takes::Seconds(seconds) => seconds,
        },
        Step::Boot(boot) => boot.timeout + 4 * boot.readiness_delay + PATIENCE_S,
        Step::Start(start) => start.timeout + 4 * start.readiness_delay + PATIENCE_S,
        Step::Find(_) => 10 + PATIENCE_S,
        Step::Check(check) => check.timeout + 4 * check.readiness_delay + PATIENCE_S,
        Step::Stop(stop) => longest(stop),
        Step::Examine(_) => EXAMINE_S,
        Step::Prune(_) | Step::Remove(_) => PRUNE_S,
        Step::Finish(finish) => finish.stop.as_ref().map_or(0, longest) + PRUNE_S,
        Step::Wait(_, _, seconds) => *seconds,
        Step::Observe(observe) if observe.claim => 2 * WAIT_S,
        Step::Observe(_) | Step::Lock(_) | Step::Network(_) | Step::Tag(_) | Step::Env(_) | Step::Run(..) => {
            0
        }
    };
    limit(timeouts.command + Duration::from_secs(waits), COMMAND)
}

/// The time limit for removing containers and images, in seconds.
const PRUNE_S: u64 = 300;

/// How long a container may take to stop, in seconds. It is stopped a second time if Docker restarts meanwhile.
fn longest(stop: &Stop) -> u64 {
    stop.drain.unwrap_or(0) + 2 * stop.stop_wait.unwrap_or(10) + PATIENCE_S
}

#[cfg(test)]
mod tests {
    use bowline_core::shell::Script;

    use super::*;

    #[test]
    fn what_only_asks_has_a_deadline_too() {
        let script = || Script::new("docker ps");
        let limit = |step| limit(&Timeouts::default(), &step).map(|limit| limit.time.as_secs());
        let command = Timeouts::default().command.as_secs();
        assert_eq!(limit(Step::Run("list", script())), Some(command));
        assert_eq!(limit(Step::Wait("show the log", script(), 300)), Some(command + 300));
    }
}
