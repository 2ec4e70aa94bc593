//! `app logs`: shows the output of the app's containers, once or as it comes.

use bowline_core::names::Names;
use std::time::Duration;

use bowline_core::commands::logs::{self, Lines, Said};
use bowline_core::commands::observe::Observe;
use bowline_core::observed::Container;
use bowline_core::plan::step::Step;
use futures_util::future::join_all;

use crate::call::Call;
use crate::error::{Cause, Failure, Result, RunError};
use crate::event::Event;
use crate::ports::{Reader, ServerError};
use crate::project::Project;
use crate::run::fleet::{Fleet, run_all};
use crate::run::observe::{Looked, look, one};
use crate::world::{Gathered, HostOutput};

/// How long to wait before looking for the next container when a log ends. A container may keep restarting.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The container that serves, for every role.
    Serving,
    /// The app's container with this name or prefix of an id, running or not.
    Container(String),
}

#[derive(Debug, Clone)]
struct Source {
    host: String,
    role: String,
    id: String,
    name: String,
}

impl Source {
    fn new(host: &str, role: &str, container: &Container) -> Self {
        Self { host: host.into(), role: role.into(), id: container.id.clone(), name: container.name.clone() }
    }
}

/// Shows the logs once or, with `follow`, all of them at once as lines come, until the run is stopped.
pub async fn logs(call: Call<'_>, lines: &Lines, whose: &Whose) -> Result<Gathered> {
    let looked = look(call).await?;
    let (sources, silent) = match whose {
        Whose::Serving => serving(call.project, &looked),
        Whose::Container(wanted) => (named(call.project, &looked, wanted)?, Vec::new()),
    };
    let total = looked.selection.hosts.len();
    let Looked { fleet, failures, .. } = looked;
    let mut gathered = if lines.follow {
        let all = Following { call, fleet: &fleet, lines, again: *whose == Whose::Serving };
        let failed = call.world.unless_stopped(all.follow(&sources)).await?;
        Gathered { outputs: Vec::new(), failures: failures.into_iter().chain(failed).collect(), total }
    } else {
        let step =
            |source: &Source| Step::Wait("show the log", logs::logs(&source.id, lines), logs::LONGEST_S);
        let steps =
            sources.iter().map(|source| (source.host.clone(), Some(source.role.clone()), step(source)));
        run_all(&fleet, steps.collect(), failures, total).await
    };
    gathered.outputs.extend(silent);
    Ok(gathered)
}

/// The containers that serve, and a message for each server without one.
fn serving(project: &Project, looked: &Looked<'_>) -> (Vec<Source>, Vec<HostOutput>) {
    let (mut sources, mut silent) = (Vec::new(), Vec::new());
    let (names, latest) = (Names::of(&project.config), project.config.latest_image());
    for (role, hosts) in &looked.selection.roles {
        for host in hosts {
            let Some(observed) = looked.observed.get(&host.host) else { continue };
            match observed.current(&names, &role.name, &latest) {
                Some(container) => sources.push(Source::new(&host.host, &role.name, container)),
                None => {
                    silent.push(HostOutput::said(&host.host, Some(&role.name), "no container is running"))
                }
            }
        }
    }
    (sources, silent)
}

fn named(project: &Project, looked: &Looked<'_>, wanted: &str) -> Result<Vec<Source>> {
    let fits = |container: &&Container| {
        !wanted.is_empty() && (container.name == wanted || container.id.starts_with(wanted))
    };
    let mut sources = Vec::new();
    for (host, observed) in &looked.observed {
        for container in observed.containers.iter().filter(fits) {
            let role = container.labels.get("role").map_or("", String::as_str);
            sources.push(Source::new(host, role, container));
        }
    }
    if sources.is_empty() && looked.failures.is_empty() {
        return Err(RunError::Usage {
            message: format!("{} has no container with the name or id `{wanted}`", project.config.service),
            hint: Some("`app containers` lists the existing ones".into()),
        });
    }
    Ok(sources)
}

struct Following<'a> {
    call: Call<'a>,
    fleet: &'a Fleet,
    lines: &'a Lines,
    /// Whether to also follow the container that replaces one that ended.
    again: bool,
}

impl Following<'_> {
    async fn follow(&self, sources: &[Source]) -> Vec<Failure> {
        let several = sources.iter().any(|source| source.role != sources[0].role);
        ended(self.fleet, sources.iter().map(|source| self.one(source.clone(), several))).await
    }

    /// Follows one role on one server, from container to container.
    async fn one(&self, mut source: Source, label: bool) -> Result<(), Failure> {
        let mut lines = self.lines.clone();
        loop {
            let step = Step::Run("follow the log", logs::logs(&source.id, &lines));
            let role = label.then_some(source.role.as_str());
            let ended = pass(self.fleet, &source.host, role, &step).await?;
            let next = if self.again && ended.is_some() { self.next(&source, ended).await? } else { None };
            let Some((next, since)) = next else {
                self.note(&source, &format!("{} has exited; end of its log", source.name));
                return Ok(());
            };
            if next.id != source.id {
                self.note(&source, &format!("{} has exited; following {}", source.name, next.name));
            }
            lines = Lines { since, tail: None, ..lines };
            source = next;
        }
    }

    /// The container that serves now, and the time after which its lines are new.
    async fn next(
        &self,
        source: &Source,
        ended: Option<String>,
    ) -> Result<Option<(Source, Option<String>)>, Failure> {
        tokio::time::sleep(PAUSE).await;
        let config = self.call.config();
        let (names, latest, scope) = (Names::of(config), config.latest_image(), self.call.scope_to_look());
        let step = Step::Observe(Observe { scope, repository: config.repository(), claim: false });
        let observed = one(self.fleet, &source.host, &step).await?;
        let Some(container) = observed.current(&names, &source.role, &latest) else { return Ok(None) };
        let next = Source::new(&source.host, &source.role, container);
        let since = if next.id == source.id { ended } else { None };
        Ok(Some((next, since)))
    }

    fn note(&self, source: &Source, text: &str) {
        self.fleet.emit(Event::Note { host: Some(source.host.clone()), text: text.into() });
    }
}

pub(crate) async fn follow_all(fleet: &Fleet, steps: Vec<(String, String, Step)>) -> Vec<Failure> {
    let followed = steps.iter().map(|(host, name, step)| async move {
        pass(fleet, host, None, step)
            .await
            .map_err(|failure| Failure { role: Some(name.clone()), ..failure })?;
        let text = format!("{name} has exited; end of its log");
        fleet.emit(Event::Note { host: Some(host.clone()), text });
        Ok(())
    });
    ended(fleet, followed).await
}

/// Waits until all logs have ended, and returns the failures.
async fn ended(
    fleet: &Fleet,
    followed: impl Iterator<Item = impl Future<Output = Result<(), Failure>>>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for ended in join_all(followed).await {
        fleet.report(ended, &mut failures);
    }
    failures
}

/// Passes on every line of a log without keeping any, because a user may follow it for days. Returns the time at which
/// the container ended, if it did.
async fn pass(fleet: &Fleet, host: &str, role: Option<&str>, step: &Step) -> Result<Option<String>, Failure> {
    let lost = |error: ServerError| fleet.failed(host, role, step, error.into());
    let mut channel = fleet.open(host, step, Reader::Pauses).await?;
    while let Some(line) = channel.next_line().await.map_err(lost)? {
        match Said::heard(&line) {
            Some(Said::Ended(at)) => return Ok(Some(at)),
            Some(Said::Refused(reason)) => {
                let hint = Some("see `--grep` and `--grep-options`".into());
                return Err(fleet.failed(host, role, step, Cause::Other { reason, hint }));
            }
            None => {}
        }
        fleet.emit(Event::Output { host: Some(host.into()), role: role.map(Into::into), line });
    }
    Ok(None)
}
