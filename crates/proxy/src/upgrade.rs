//! Upgrades without downtime: process 1 holds the listeners, and the data plane runs in a child that inherits them.
//!
//! For an upgrade, process 1 starts another binary as a second child on the same listeners. The new child restores the
//! state and says `ready`, and process 1 lets it `serve`. Then the old child takes no more connections, drains and
//! ends. If the new child is not ready in time, process 1 kills it, and the old one carries on. No listener is closed
//! or bound again.
//!
//! Process 1 says `serve`, `freeze`, `upgraded` and `failed REASON`. A child says `ready`, `serving`, `frozen` and
//! `upgrade PATH`. After `frozen`, a child makes no changes, because its successor may already have read the state. A
//! child whose line ends has lost process 1, and ends too.
//!
//! Children that drain still hold requests: paused ones, and those to targets that the next deploy replaces. So each
//! change is passed on to the predecessors. The child says `follow NUMBER CHANGE`, and process 1 sends that to each of
//! them. Once all have answered `followed NUMBER` or ended, the child gets the same answer.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::log;

mod channel;
mod child;
mod newest;
mod relay;
mod running;

use channel::Line;
pub use child::{ParentLink, Predecessor, Wish, is_child};
pub use newest::{DEFAULT as NEWER_BINARY, install};
use relay::{Answer, Id, Relay};
pub use running::other_binary;

/// The environment variable that marks children.
const CHILD: &str = "BOWLINE_PROXY_CHILD";
/// How long a new child may take to restore the state and serve.
const START: Duration = Duration::from_secs(30);
/// A child that fails is replaced, unless it failed this soon after its start.
const STABLE: Duration = Duration::from_secs(5);

struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    listeners: Vec<TcpListener>,
    patience: Duration,
    started: Id,
}

/// A child, and the line to it.
struct Running {
    id: Id,
    child: Child,
    line: Line,
    since: Instant,
}

/// The state of process 1.
struct Supervisor {
    program: Program,
    current: Running,
    /// Where to send lines for children that drain.
    draining: HashMap<Id, mpsc::UnboundedSender<String>>,
    reaping: JoinSet<()>,
    relay: Relay,
    heard: mpsc::UnboundedSender<Heard>,
}

enum Heard {
    Said(Id, String),
    Ended(Id),
}

/// Runs the data plane in a child until SIGTERM or SIGINT, and upgrades it on request. Children that still drain then
/// have `patience` to finish. The first child runs the newer one of this binary and the one at `newer`.
pub fn supervise(listeners: Vec<TcpListener>, patience: Duration, newer: &Path) -> io::Result<()> {
    let program = Program {
        path: std::env::current_exe()?,
        arguments: std::env::args_os().skip(1).collect(),
        listeners,
        patience,
        started: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(program, newer))
}

async fn run(mut program: Program, newer: &Path) -> io::Result<()> {
    let (mut terminate, mut interrupt, mut hangup) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
    let current = program.first(newer).await.map_err(io::Error::other)?;
    let (heard, mut news) = mpsc::unbounded_channel();
    let mut supervisor = Supervisor {
        program,
        current,
        draining: HashMap::new(),
        reaping: JoinSet::new(),
        relay: Relay::default(),
        heard,
    };
    loop {
        let path = tokio::select! {
            _ = terminate.recv() => return supervisor.end().await,
            _ = interrupt.recv() => return supervisor.end().await,
            _ = hangup.recv() => supervisor.program.path.clone(),
            Some(heard) = news.recv() => {
                supervisor.hear(heard).await;
                continue;
            }
            ended = supervisor.current.child.wait() => {
                supervisor.replace(ended?).await?;
                continue;
            }
            Some(said) = supervisor.current.line.hear() => match word(&said) {
                ("upgrade", path) => PathBuf::from(path),
                ("follow", change) => {
                    supervisor.follow(change).await;
                    continue;
                }
                _ => continue,
            },
        };
        tokio::select! {
            () = supervisor.upgrade(path) => {}
            _ = terminate.recv() => return supervisor.end().await,
            _ = interrupt.recv() => return supervisor.end().await,
        }
    }
}

/// Splits a line into its first word and the rest.
fn word(said: &str) -> (&str, &str) {
    let said = said.trim_end();
    said.split_once(' ').unwrap_or((said, ""))
}

impl Program {
    /// Starts the first child, with the newest binary that starts.
    async fn first(&mut self, newer: &Path) -> Result<Running, String> {
        let own = self.path.clone();
        if let Some(path) = newest::newer_than(&own, newer).await {
            log::info("Starting a newer binary", &[("path", &path.display())]);
            match self.start(&path).await {
                Ok(running) => {
                    self.path = path;
                    return Ok(running);
                }
                Err(why) => log::error("Newer binary failed to start", &[("error", &why)]),
            }
        }
        self.start(&own).await
    }

    async fn start(&mut self, path: &Path) -> Result<Running, String> {
        let mut running =
            self.spawn(path).map_err(|error| format!("cannot start {}: {error}", path.display()))?;
        let deadline = Instant::now() + START;
        for (wait, then) in [("ready", Some("serve")), ("serving", None)] {
            match timeout_at(deadline, heard(&mut running, wait)).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return Err(format!("{}: {why}", path.display())),
                Err(_) => {
                    let _ = running.child.start_kill();
                    return Err(format!("{} was not {wait} within {} s", path.display(), START.as_secs()));
                }
            }
            if let Some(word) = then {
                running.line.say(word, "").await;
            }
        }
        Ok(running)
    }

    fn spawn(&mut self, path: &Path) -> io::Result<Running> {
        let (ours, theirs) = UnixStream::pair()?;
        let listeners: Vec<_> = self.listeners.iter().collect();
        channel::send_listeners(&ours, &listeners)?;
        let child = Command::new(path)
            .args(&self.arguments)
            .env(CHILD, "1")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .kill_on_drop(true)
            .spawn()?;
        self.started += 1;
        Ok(Running { id: self.started, child, line: Line::new(ours)?, since: Instant::now() })
    }
}

impl Supervisor {
    /// Replaces a child that ended by itself.
    async fn replace(&mut self, ended: std::process::ExitStatus) -> io::Result<()> {
        if self.current.since.elapsed() < STABLE {
            return Err(io::Error::other(format!("the data plane exited right after it started: {ended}")));
        }
        log::error("Data plane ended, starting another", &[("status", &ended)]);
        let path = self.program.path.clone();
        let gone = self.current.id;
        self.current = self.program.start(&path).await.map_err(io::Error::other)?;
        self.relay.ended(gone);
        Ok(())
    }

    /// Replaces the current child with one of another binary. The old one then drains.
    async fn upgrade(&mut self, path: PathBuf) {
        self.current.line.say("freeze", "").await;
        let frozen = timeout(START, heard(&mut self.current, "frozen")).await;
        // A command that arrived at the same moment as SIGHUP gets the answer, so it also decides on the binary.
        let path = self.current.line.take_kept("upgrade").map_or(path, PathBuf::from);
        log::info("Upgrading", &[("path", &path.display())]);
        let started = match frozen {
            Ok(Ok(())) => self.program.start(&path).await,
            Ok(Err(why)) => Err(why),
            Err(_) => Err("the running proxy does not respond".to_owned()),
        };
        match started {
            Ok(new) => {
                let mut old = std::mem::replace(&mut self.current, new);
                old.line.say("upgraded", "").await;
                let (say, orders) = mpsc::unbounded_channel();
                self.draining.insert(old.id, say);
                self.reaping.spawn(reap(old, orders, self.heard.clone()));
                self.program.path = path;
                log::info("Upgraded", &[("path", &self.program.path.display())]);
            }
            Err(why) => {
                log::error("Upgrade failed", &[("path", &path.display()), ("error", &why)]);
                self.current.line.say("failed", &why).await;
            }
        }
    }

    /// Passes on a change by the current child.
    async fn follow(&mut self, change: &str) {
        let id = self.current.id;
        self.pass_on(id, change).await;
    }

    /// Asks the predecessors of a child to follow its change.
    async fn pass_on(&mut self, from: Id, change: &str) {
        let (number, change) = change.split_once(' ').unwrap_or((change, ""));
        let before: Vec<Id> = self.draining.keys().copied().filter(|id| *id < from).collect();
        match self.relay.ask(from, number, before.iter().copied()) {
            Ok(ticket) => {
                let order = format!("follow {ticket} {change}");
                for id in before {
                    self.say(id, order.clone());
                }
            }
            Err(answer) => self.answer(answer).await,
        }
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Said(id, said) => match word(&said) {
                ("followed", ticket) => {
                    let ticket = ticket.parse().unwrap_or_default();
                    if let Some(answer) = self.relay.followed(id, ticket) {
                        self.answer(answer).await;
                    }
                }
                // It received a command just before it was frozen.
                ("follow", change) => self.pass_on(id, change).await,
                _ => {}
            },
            Heard::Ended(id) => {
                self.draining.remove(&id);
                for answer in self.relay.ended(id) {
                    self.answer(answer).await;
                }
            }
        }
    }

    async fn answer(&mut self, Answer { to, number }: Answer) {
        if to == self.current.id {
            self.current.line.say("followed", &number).await;
        } else {
            self.say(to, format!("followed {number}"));
        }
    }

    fn say(&self, to: Id, line: String) {
        if let Some(draining) = self.draining.get(&to) {
            // A child that is gone is about to be removed from the map.
            let _ = draining.send(line);
        }
    }

    async fn end(mut self) -> io::Result<()> {
        // If these stayed open, the system would accept connections that no child ever serves.
        drop(std::mem::take(&mut self.program.listeners));
        terminate(&self.current.child);
        let drained = timeout(self.program.patience, self.reaping.join_all());
        let (ended, _) = tokio::join!(self.current.child.wait(), drained);
        let ended = ended?;
        if ended.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("the data plane exited with {ended}")))
        }
    }
}

/// Waits for a child to say a word. Other lines are kept for later.
async fn heard(running: &mut Running, word: &str) -> Result<(), String> {
    if running.line.hear_word(word).await {
        return Ok(());
    }
    let ended = timeout(Duration::from_secs(1), running.child.wait()).await;
    let how = ended.ok().and_then(Result::ok).map_or_else(String::new, |status| format!(" ({status})"));
    Err(format!("ended before it was {word}{how}"))
}

/// Relays lines to and from a child that drains, until it ends. It enforces its own limits.
async fn reap(
    mut old: Running,
    mut orders: mpsc::UnboundedReceiver<String>,
    heard: mpsc::UnboundedSender<Heard>,
) {
    loop {
        tokio::select! {
            said = old.line.hear() => match said {
                Some(said) => drop(heard.send(Heard::Said(old.id, said))),
                None => break,
            },
            Some(order) = orders.recv() => {
                let (word, text) = word(&order);
                old.line.say(word, text).await;
            }
        }
    }
    let _ = old.child.wait().await;
    let _ = heard.send(Heard::Ended(old.id));
}

fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
}
