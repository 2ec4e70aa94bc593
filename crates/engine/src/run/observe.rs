//! Observes all servers in parallel.

use std::collections::BTreeMap;

use bowline_core::commands::observe::{self, Observe};
use bowline_core::commands::{Scope, WAIT_S, WAITS};
use bowline_core::observed::Observed;
use bowline_core::plan::step::Step;
use bowline_core::selection::Selection;
use futures_util::future::join_all;

use crate::call::Call;
use crate::error::{Cause, Failure, RunError};
use crate::event::Event;
use crate::ports::{Exit, Output, ServerError};
use crate::run::fleet::Fleet;
use crate::world::{Gathered, HostOutput};

pub(crate) struct Looked<'a> {
    pub fleet: Fleet,
    pub selection: Selection<'a>,
    pub observed: BTreeMap<String, Observed>,
    pub failures: Vec<Failure>,
}

/// Connects to the selected servers and observes them, for a command that changes nothing.
pub(crate) async fn look<'a>(call: Call<'a>) -> Result<Looked<'a>, RunError> {
    look_at(call, Selection::new(call.config(), &call.options.filters)?).await
}

pub(crate) async fn look_at<'a>(call: Call<'a>, selection: Selection<'a>) -> Result<Looked<'a>, RunError> {
    let scope = call.scope_to_look();
    let (fleet, mut failures) = call.connect(&selection.hosts).await?;
    let (observed, unseen) = observe(&fleet, &scope, &call.config().repository(), false).await;
    failures.extend(unseen);
    Ok(Looked { fleet, selection, observed, failures })
}

/// Reports servers on which the deploy lock is held, because a plan may then soon be out of date.
pub(crate) fn note_locks(call: Call<'_>, observed: &BTreeMap<String, Observed>) {
    for (host, server) in observed {
        if let Some(details) = &server.lock {
            let text = format!("the deploy lock is held: {}", details.trim().replace('\n', "; "));
            call.world.events.emit(Event::Note { host: Some(host.clone()), text });
        }
    }
}

impl Looked<'_> {
    pub(crate) fn describe(self, describe: impl Fn(&str, &Observed) -> String) -> Gathered {
        let mut outputs = Vec::new();
        for (role, hosts) in &self.selection.roles {
            for host in hosts {
                let Some(observed) = self.observed.get(&host.host) else { continue };
                outputs.push(HostOutput::said(&host.host, Some(&role.name), &describe(&role.name, observed)));
            }
        }
        Gathered { outputs, failures: self.failures, total: self.selection.hosts.len() }
    }
}

/// Observes every server that was reached. `claim` also claims them for this run, which must hold the lock.
pub async fn observe(
    fleet: &Fleet,
    scope: &Scope,
    repository: &str,
    claim: bool,
) -> (BTreeMap<String, Observed>, Vec<Failure>) {
    let step = Step::Observe(Observe { scope: scope.clone(), repository: repository.into(), claim });
    let hosts: Vec<&str> = fleet.hosts().collect();
    let answers = join_all(hosts.iter().map(|host| one(fleet, host, &step))).await;
    let mut observed = BTreeMap::new();
    let mut failures = Vec::new();
    for (host, answer) in hosts.into_iter().zip(answers) {
        observed.extend(fleet.report(answer, &mut failures).map(|server| (host.to_string(), server)));
    }
    (observed, failures)
}

/// The maximum size of an observation, in bytes: hundreds of containers. Parsing takes many times that much memory.
const LONGEST: usize = 4 * 1024 * 1024;

pub(crate) async fn one(fleet: &Fleet, host: &str, step: &Step) -> Result<Observed, Failure> {
    let on_line = |line: &str| {
        if line == WAITS {
            let text = format!(
                "a step of the previous run is still running: waiting up to {WAIT_S} s for it to finish"
            );
            fleet.emit(Event::Note { host: Some(host.into()), text });
        }
    };
    let output = fleet.run_watched(host, None, step, &on_line).await?;
    let failed = |cause| Failure::new(host, None, step.describe(), cause);
    if output.exit != Exit::Status(0) {
        return Err(failed(explain(output)));
    }
    if output.stdout.len() > LONGEST {
        return Err(failed(ServerError::TooMuchOutput { limit: LONGEST }.into()));
    }
    Observed::parse(&output.stdout).map_err(|error| failed(error.into()))
}

/// Explains why Docker doesn't respond, and what to do.
pub(crate) fn explain(output: Output) -> Cause {
    let Exit::Status(status) = output.exit else { return Cause::Command(output) };
    observe::explain(status, &output.stderr).map_or_else(|| Cause::Command(output), Into::into)
}
