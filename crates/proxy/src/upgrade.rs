//! Upgrades without a gap: process 1 holds the listeners, and the data plane runs in a child that inherits them.
//!
//! For an upgrade process 1 starts another binary as a second child on the same listeners. The new child restores the state and says
//! `ready`; process 1 lets it `serve`; once it does, the old child takes no more connections, drains and ends. If the new child is not
//! ready in time, it is ended, and the old one goes on and is told why. Nothing is closed and nothing bound again.
//!
//! Process 1 says `serve`, `freeze`, `upgraded` and `failed REASON`; a child says `ready`, `serving`, `frozen` and `upgrade PATH`. From
//! `frozen` on, a child changes nothing that its successor may already have read. A child whose line ends has lost process 1 and ends too.

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
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::log;

mod channel;
mod child;

use channel::Line;
pub use child::{Heir, Wish, is_child};

/// Set for children.
const CHILD: &str = "BOWLINE_PROXY_CHILD";
/// For a new child to restore the state and serve.
const START: Duration = Duration::from_secs(30);
/// A child that breaks is replaced, unless it broke this soon after its start.
const STABLE: Duration = Duration::from_secs(5);

/// How process 1 starts children.
struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    listeners: Vec<TcpListener>,
    patience: Duration,
}

/// A child with its line.
struct Running {
    child: Child,
    line: Line,
    since: Instant,
}

/// Runs the data plane in a child until SIGTERM or SIGINT, and upgrades it when asked. Children that still drain then have `patience`.
pub fn supervise(listeners: Vec<TcpListener>, patience: Duration) -> io::Result<()> {
    let program = Program {
        path: std::env::current_exe()?,
        arguments: std::env::args_os().skip(1).collect(),
        listeners,
        patience,
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(program))
}

async fn run(mut program: Program) -> io::Result<()> {
    let (mut terminate, mut interrupt, mut hangup) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
    let mut current = program.start(&program.path).await.map_err(io::Error::other)?;
    let mut draining = JoinSet::new();
    loop {
        let path = tokio::select! {
            _ = terminate.recv() => return end(program, current, draining).await,
            _ = interrupt.recv() => return end(program, current, draining).await,
            _ = hangup.recv() => program.path.clone(),
            ended = current.child.wait() => {
                current = program.replace(current.since, ended?).await?;
                continue;
            }
            said = current.line.hear() => match said.as_deref().and_then(|said| said.strip_prefix("upgrade ")) {
                Some(path) => PathBuf::from(path),
                None => continue,
            },
            Some(_) = draining.join_next() => continue,
        };
        if let Some(old) = program.upgrade(&mut current, path).await {
            draining.spawn(reap(old));
        }
    }
}

impl Program {
    /// Starts a child and lets it serve. The error says what was wrong.
    async fn start(&self, path: &Path) -> Result<Running, String> {
        let mut running =
            self.spawn(path).map_err(|error| format!("cannot start {}: {error}", path.display()))?;
        let deadline = Instant::now() + START;
        for (wait, then) in [("ready", Some("serve")), ("serving", None)] {
            match timeout_at(deadline, heard(&mut running, wait)).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return Err(format!("{}: {why}", path.display())),
                Err(_) => {
                    let _ = running.child.start_kill();
                    return Err(format!(
                        "{} did not say {wait:?} within {} s",
                        path.display(),
                        START.as_secs()
                    ));
                }
            }
            if let Some(word) = then {
                running.line.say(word, "").await;
            }
        }
        Ok(running)
    }

    fn spawn(&self, path: &Path) -> io::Result<Running> {
        let (ours, theirs) = UnixStream::pair()?;
        let listeners: Vec<_> = self.listeners.iter().collect();
        channel::send_listeners(&ours, &listeners)?;
        let child = Command::new(path)
            .args(&self.arguments)
            .env(CHILD, "1")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .kill_on_drop(true)
            .spawn()?;
        Ok(Running { child, line: Line::new(ours)?, since: Instant::now() })
    }

    /// Puts another child in the place of one that ended by itself.
    async fn replace(&self, since: Instant, ended: std::process::ExitStatus) -> io::Result<Running> {
        if since.elapsed() < STABLE {
            return Err(io::Error::other(format!("the data plane ended soon after its start: {ended}")));
        }
        log::error("Data plane ended, starting another", &[("status", &ended)]);
        self.start(&self.path).await.map_err(io::Error::other)
    }

    /// Puts a child of another binary in the place of the present one, which is returned to be drained.
    async fn upgrade(&mut self, current: &mut Running, path: PathBuf) -> Option<Running> {
        log::info("Upgrading", &[("path", &path.display())]);
        current.line.say("freeze", "").await;
        let started = match timeout(START, heard(current, "frozen")).await {
            Ok(Ok(())) => self.start(&path).await,
            Ok(Err(why)) => Err(why),
            Err(_) => Err("the running proxy does not answer".to_owned()),
        };
        match started {
            Ok(new) => {
                let mut old = std::mem::replace(current, new);
                old.line.say("upgraded", "").await;
                self.path = path;
                log::info("Upgraded", &[("path", &self.path.display())]);
                Some(old)
            }
            Err(why) => {
                log::error("Upgrade failed", &[("path", &path.display()), ("error", &why)]);
                current.line.say("failed", &why).await;
                None
            }
        }
    }
}

async fn heard(running: &mut Running, word: &str) -> Result<(), String> {
    loop {
        match running.line.hear().await {
            Some(said) if said.trim_end() == word => return Ok(()),
            Some(_) => {}
            None => {
                let ended = timeout(Duration::from_secs(1), running.child.wait()).await;
                let how =
                    ended.ok().and_then(Result::ok).map_or_else(String::new, |status| format!(" ({status})"));
                return Err(format!("ended before it was {word}{how}"));
            }
        }
    }
}

/// Waits for a drained child. It ends by itself: it knows its own limits.
async fn reap(mut old: Running) {
    while old.line.hear().await.is_some() {}
    let _ = old.child.wait().await;
}

async fn end(program: Program, mut current: Running, draining: JoinSet<()>) -> io::Result<()> {
    let Program { listeners, patience, .. } = program;
    // With these open, the system would go on accepting connections that no child ever serves.
    drop(listeners);
    terminate(&current.child);
    let (ended, _) = tokio::join!(current.child.wait(), timeout(patience, draining.join_all()));
    let ended = ended?;
    if ended.success() { Ok(()) } else { Err(io::Error::other(format!("the data plane ended with {ended}"))) }
}

fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
}
