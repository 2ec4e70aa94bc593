//! The deploy lock, held by a program on the server (the keeper) that lives as long as our connection.
//!
//! See `core::commands::lock` for the files. [`Lock::take`] starts the keeper and a task that renews the lease.
//! When the keeper says that the lock is lost, [`Lock::lost`] reports it, and the run stops before its next change.
//! When only the connection breaks, the run continues: every server carries the run's mark, and a run that takes
//! over first changes the marks, so that the servers reject this run's steps.

use bowline_core::names::Names;
use std::time::Duration;

use bowline_core::commands::lock::Said;
use bowline_core::commands::status::Status;
use bowline_core::commands::{FAMILY, Scope, lock};
use bowline_core::plan::step::Step;
use bowline_core::selection::{self, Filters, Selection};
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::call::Call;
use crate::error::{Cause, Failure, RunError};
use crate::event::{Event, Phase};
use crate::ports::{Channel, Reader, ServerError};
use crate::project::Project;
use crate::run::fleet::{Fleet, run_all};
use crate::version::{self, AUTOMATIC};
use crate::world::{Gathered, World};

/// How often to renew the lease, which lasts several times as long.
/// Short, because the answer says when the lock is gone, and hooks on this machine have no fence that says so.
const RENEW: Duration = Duration::from_secs(2);
/// How often to ask for a lock that another run holds.
const AGAIN: Duration = Duration::from_secs(2);
/// The most lines that a login shell may print before the keeper's answer.
const NOISE: usize = 1000;

#[derive(Debug)]
pub struct Lock {
    pub host: String,
    release: mpsc::Sender<oneshot::Sender<Ended>>,
    lost: Lost,
    task: JoinHandle<()>,
    limit: Duration,
}

/// Why the lock was lost, once it is.
pub type Lost = watch::Receiver<Option<String>>;

/// How a lock ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Released,
    /// It was no longer this run's, for this reason.
    Gone(String),
    /// The keeper gave no answer.
    Unknown,
}

enum Answer {
    Said(Said),
    /// The keeper ended without creating the lock. The text is the last line that it printed.
    Ended(String),
}

impl Lock {
    pub async fn take(fleet: &Fleet, host: &str, scope: &Scope, details: String) -> Result<Self, RunError> {
        let step = Step::Lock(lock::Keep { scope: scope.clone(), details });
        let started = Instant::now();
        let mut channel = fleet.open(host, &step, Reader::Prompt).await.map_err(servers)?;
        let limit = fleet.timeouts().lock;
        let answer = tokio::time::timeout(limit, answer(channel.as_mut())).await;
        // The keeper keeps running, but the question has its answer. A held lock isn't a failure yet: the run may
        // wait for it.
        fleet.ended(host, None, &step, started, matches!(&answer, Ok(Ok(Answer::Said(_)))));
        let failed = |cause: Cause| servers(Failure::new(host, None, step.describe(), cause));
        match answer {
            Ok(Ok(Answer::Said(Said::Taken(details)))) => {
                let whose = match details.trim() {
                    "" => "it ended before it wrote its name".to_owned(),
                    details => details.replace('\n', "; "),
                };
                let text = format!("took over the deploy lock of a run that died ({whose})");
                fleet.emit(Event::Note { host: Some(host.into()), text });
            }
            Ok(Ok(Answer::Said(Said::Held(details)))) => {
                return Err(RunError::Locked { host: host.into(), details });
            }
            Ok(Ok(Answer::Said(_))) => {}
            Ok(Ok(Answer::Ended(said))) => {
                let said = if said.is_empty() { "the server printed nothing" } else { &said };
                return Err(failed(Cause::Other {
                    reason: format!("the lock could not be created: {said}"),
                    hint: Some("is `.kamal` there writable?".into()),
                }));
            }
            Ok(Err(error)) => return Err(failed(error.into())),
            Err(_) => return Err(failed(ServerError::Deadline { limit, setting: "lock" }.into())),
        }
        let (release, releases) = mpsc::channel(1);
        let (lost_sender, lost) = watch::channel(None);
        let task = tokio::spawn(keep(channel, releases, lost_sender));
        Ok(Self { host: host.into(), release, lost, task, limit })
    }

    /// Takes the lock of a run on the first server, or on the next if that one can't be reached. `None` if the run
    /// that started this one from a hook already holds it.
    pub async fn for_run(
        world: &World,
        fleet: &Fleet,
        hosts: &[&str],
        scope: &Scope,
        version: &str,
    ) -> Result<Option<Self>, RunError> {
        if is_inherited(world) {
            return Ok(None);
        }
        let first = hosts.first().copied().unwrap_or_default();
        let details = version::lock_details(world, version, AUTOMATIC).await;
        let mut silent = None;
        for host in hosts.iter().copied().filter(|host| fleet.has(host)) {
            if host != first {
                fleet.emit(Event::Note {
                    host: None,
                    text: format!("{first} can't be reached: taking the deploy lock on {host}"),
                });
            }
            fleet.emit(Event::Phase(Phase::Lock(host.into())));
            let take = async || Self::take(fleet, host, scope, details.clone()).await;
            match patiently(world, fleet, host, take).await {
                Err(error) if is_silence(&error) => silent = Some(error),
                taken => return taken.map(Some),
            }
        }
        Err(silent.unwrap_or_else(|| RunError::servers(Vec::new(), hosts.len())))
    }

    /// Releases the lock and reports that. Leaves a lost lock alone, because it isn't this run's.
    pub async fn give_back(self, world: &World) {
        world.events.emit(Event::Phase(Phase::Unlock));
        let host = self.host.clone();
        let text = match self.release().await {
            Ended::Released => return,
            Ended::Gone(why) => format!("the deploy lock was gone before this run released it: {why}"),
            Ended::Unknown => {
                "the deploy lock could not be released; if it is still there, the next run takes it over"
                    .into()
            }
        };
        world.events.emit(Event::Note { host: Some(host), text });
    }

    /// A receiver of the reason when the lock is lost.
    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }

    async fn release(self) -> Ended {
        let (answer, answered) = oneshot::channel();
        let sent = self.release.send(answer).await.is_ok();
        let answered = async { if sent { answered.await.unwrap_or(Ended::Unknown) } else { Ended::Unknown } };
        let ended = tokio::time::timeout(self.limit, answered).await.unwrap_or(Ended::Unknown);
        // The keeper may have said that the lock is lost just before.
        match self.lost.borrow().clone() {
            Some(why) => Ended::Gone(why),
            None => ended,
        }
    }
}

impl Drop for Lock {
    /// Closes the keeper's connection. The keeper then marks the lock as orphaned, unless it was released.
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes a lock, and waits for a held one up to `--lock-wait`.
async fn patiently<T>(
    world: &World,
    fleet: &Fleet,
    host: &str,
    take: impl AsyncFn() -> Result<T, RunError>,
) -> Result<T, RunError> {
    let until = Instant::now() + world.lock_wait;
    let mut noted = false;
    loop {
        match take().await {
            Err(RunError::Locked { details, .. }) if Instant::now() < until => {
                if !noted {
                    let text = format!(
                        "waiting up to {} s for the deploy lock ({})",
                        world.lock_wait.as_secs(),
                        details.trim().replace('\n', "; ")
                    );
                    fleet.emit(Event::Note { host: Some(host.into()), text });
                    noted = true;
                }
            }
            taken => return taken,
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = world.stop.triggered() => return Err(RunError::interrupted()),
        }
    }
}

/// The variable that passes the run's id to its hooks, so that the commands they start work under its lock.
pub const RUN: &str = "BOWLINE_RUN";

/// Generates a run's id. A run that a hook started gets an id of the same family as the outer run, so that their
/// marks on the servers don't fence each other off.
pub fn run_id(world: &World) -> String {
    let digits = |run: &String| run.len() == 2 * FAMILY && run.bytes().all(|digit| digit.is_ascii_hexdigit());
    match world.local.variable(RUN).filter(|run| is_inherited(world) && digits(run)) {
        Some(outer) => format!("{}{}", &outer[..FAMILY], world.local.random_hex(FAMILY / 2)),
        None => world.local.random_hex(FAMILY),
    }
}

/// Whether the run that started this one from a hook holds the lock.
pub fn is_inherited(world: &World) -> bool {
    world.local.variable("KAMAL_LOCK").is_some_and(|held| held == "true")
}

/// Whether the error means that the server was lost, and not that it refused.
fn is_silence(error: &RunError) -> bool {
    let lost = |failure: &Failure| matches!(failure.cause, Cause::Server(_));
    matches!(error, RunError::Servers { failures, .. } if failures.iter().all(lost))
}

async fn answer(channel: &mut dyn Channel) -> Result<Answer, ServerError> {
    let mut said = String::new();
    for _ in 0..NOISE {
        let Some(line) = channel.next_line().await? else { return Ok(Answer::Ended(said)) };
        match Said::heard(&line) {
            Some(heard @ (Said::Locked | Said::Taken(_) | Said::Held(_))) => return Ok(Answer::Said(heard)),
            _ => said = line,
        }
    }
    Err(ServerError::Lost {
        reason: format!("the server printed {NOISE} lines instead of the keeper's answer"),
    })
}

/// Renews the lease until the lock is released or lost.
async fn keep(
    mut channel: Box<dyn Channel>,
    mut releases: mpsc::Receiver<oneshot::Sender<Ended>>,
    lost: watch::Sender<Option<String>>,
) {
    let mut renewal = tokio::time::interval(RENEW);
    loop {
        tokio::select! {
            asked = releases.recv() => {
                let Some(asked) = asked else { return };
                // The caller may have stopped waiting for the answer.
                let _ = asked.send(hand_back(channel.as_mut()).await);
                return;
            }
            line = channel.next_line() => match line {
                Ok(Some(line)) => if let Some(Said::Lost(why)) = Said::heard(&line) {
                    lost.send_replace(Some(why));
                    return;
                },
                Ok(None) | Err(_) => return,
            },
            _ = renewal.tick() => {
                if channel.send_line("renew").await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn hand_back(channel: &mut dyn Channel) -> Ended {
    if channel.send_line("release").await.is_err() {
        return Ended::Unknown;
    }
    while let Ok(Some(line)) = channel.next_line().await {
        match Said::heard(&line) {
            Some(Said::Released) => return Ended::Released,
            Some(Said::Lost(why)) => return Ended::Gone(why),
            _ => {}
        }
    }
    Ended::Unknown
}

fn servers(failure: Failure) -> RunError {
    RunError::servers(vec![failure], 1)
}

/// Connects to the server that holds, or would hold, the lock of these filters.
async fn primary(call: Call<'_>) -> Result<(Fleet, String), RunError> {
    let selection = Selection::new(call.config(), &call.options.filters)?;
    let host = selection.primary_host();
    crate::hooks::pre_connect(call, &selection.hosts).await?;
    let (fleet, mut failures) = Fleet::connect(call, &[host]).await?;
    match failures.pop() {
        Some(failure) => Err(servers(failure)),
        None => Ok((fleet, host.to_string())),
    }
}

/// `lock status`: all locks. Checks every server, because runs with other filters lock other servers.
pub async fn status(call: Call<'_>) -> Result<Gathered, RunError> {
    let hosts = selection::servers(call.config(), &call.options.filters)?;
    let (fleet, failures) = call.connect(&hosts).await?;
    let step = || Step::Run("check the lock", lock::status(&Names::of(call.config())));
    let there = hosts.iter().filter(|host| fleet.has(host));
    let steps = there.map(|host| ((*host).to_owned(), None, step())).collect();
    let mut gathered = run_all(&fleet, steps, failures, hosts.len()).await;
    gathered.outputs.retain(|output| !output.output.success() || !output.output.stdout.trim().is_empty());
    Ok(gathered)
}

async fn look(fleet: &Fleet, project: &Project, host: &str) -> Result<String, RunError> {
    let step = Step::Run("check the lock", lock::status(&Names::of(&project.config)));
    let output = fleet.run(host, None, &step).await.map_err(servers)?;
    Ok(output.stdout.trim_end().to_owned())
}

/// `lock acquire -m`: takes a lock in a person's name, which no run takes over.
pub async fn acquire(call: Call<'_>, message: &str) -> Result<(), RunError> {
    let (fleet, host) = primary(call).await?;
    let names = Names::of(call.config());
    // A manual lock needs no version.
    let version = call.version().await.unwrap_or_else(|_| "unknown".into());
    let details = crate::version::lock_details(call.world, &version, message).await;
    let step = Step::Run("take the deploy lock", lock::acquire(&names, &details));
    let take = async || {
        let output = fleet.run_watched(&host, None, &step, &|_| {}).await.map_err(servers)?;
        match output.status() {
            None if output.success() => Ok(()),
            Some(Status::Held) => {
                let details = look(&fleet, call.project, &host).await?;
                Err(RunError::Locked { host: host.clone(), details })
            }
            _ => Err(servers(fleet.failed(&host, None, &step, Cause::Command(output)))),
        }
    };
    patiently(call.world, &fleet, &host, take).await
}

/// `lock release`: removes any lock. A run that holds it makes no more changes. Returns the server, and whether there was a
/// lock.
pub async fn release(call: Call<'_>) -> Result<(String, bool), RunError> {
    let (fleet, host) = primary(call).await?;
    let owner = Step::Run("look who owns the lock", lock::owner(&Names::of(call.config())));
    let lock::Owner(run) = fleet.ask(&host, None, &owner).await.map_err(servers)?;
    let ends_a_run = run.is_some();
    if let Some(run) = run {
        revoke(call, run).await?;
    }
    let step = Step::Run("release the deploy lock", lock::release(&Names::of(call.config())));
    let lock::Removed(released) = fleet.ask(&host, None, &step).await.map_err(servers)?;
    // A run that notices its end first releases the lock itself.
    Ok((host, released || ends_a_run))
}

/// Ends a run on every server that it may change, whatever the filters are.
async fn revoke(call: Call<'_>, run: String) -> Result<(), RunError> {
    let who = version::performer(call.world).await;
    let why = format!("{who} released the deploy lock at {}", version::now(call.world));
    let hosts = selection::servers(call.config(), &Filters::default())?;
    let (fleet, mut failures) = Fleet::connect(call, &hosts).await?;
    let revoke = lock::Revoke { names: Names::of(call.config()), run, why };
    let step = Step::Run("end the run that holds the lock", revoke.script());
    let there = hosts.iter().filter(|host| fleet.has(host));
    let ended = join_all(there.map(|host| fleet.run(host, None, &step))).await;
    failures.extend(ended.into_iter().filter_map(Result::err));
    for Failure { host, cause, .. } in failures {
        let text = format!("a run that is still going may change this server for some more seconds: {cause}");
        fleet.emit(Event::Note { host: Some(host), text });
    }
    Ok(())
}
