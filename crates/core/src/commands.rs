//! What runs on a server, one file per noun: each command is a value that renders to one [`crate::shell::Script`]. Build
//! commands ([`builder`], [`clone`]) run on the deploying machine, as words without a shell.
//!
//! Scripts are POSIX `sh` and need nothing on the server but Docker and common small tools. On standard output, a script
//! answers in lines that begin with `@`; the output of programs for people goes to standard error. A script that changes
//! anything checks the run's mark first (see [`Scope::fence`]).

pub mod accessory;
pub mod answer;
pub mod app;
pub mod ask;
pub mod assets;
pub mod audit;
pub mod builder;
pub mod clone;
pub mod doctor;
pub(crate) mod drain;
pub mod env;
pub(crate) mod events;
pub mod exec;
pub mod finish;
pub mod listing;
pub mod lock;
pub mod logs;
pub mod network;
pub mod observe;
pub mod policy;
pub mod prune;
pub mod published;
pub mod ready;
pub mod registry;
pub mod remove;
pub(crate) mod replacement;
pub mod server;
pub mod serving;
pub mod status;

use crate::names::Names;
use crate::shell::quote;
use status::Status::Fenced;

/// Digits of a run's id that a run shares with those that its hooks start.
pub const FAMILY: usize = 16;

/// How long [`Scope::claim`] waits for what another run began before it ends that, in seconds: as long as a container
/// may take to stop.
pub const WAIT_S: u64 = 35;
/// What a claim prints before such a wait.
pub const WAITS: &str = "@waits";
/// A text that only the keeper of a lock has. The keeper ends with its connection, so no run waits for it.
const KEEPER: &str = "@lost";
/// A text that only a script has which pulls an image from its run. That image comes no more.
pub(crate) const PULLS: &str = "@pulls";

/// What is done to a container that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Start,
    /// Stop it; requests under way are answered first.
    Stop,
    Restart,
}

impl Action {
    /// `start`.
    pub fn verb(self) -> &'static str {
        match self {
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Restart => "restart",
        }
    }

    /// `started`.
    pub fn done(self) -> &'static str {
        match self {
            Action::Start => "started",
            Action::Stop => "stopped",
            Action::Restart => "restarted",
        }
    }
}

/// What every command of a run knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub names: Names,
    /// The run's id: 32 hex digits, new for each run. A run that a hook of another one started shares that one's
    /// [`Scope::family`], since both work under one lock.
    pub run: String,
    /// Who deploys, for the audit log.
    pub performer: String,
}

impl Scope {
    /// The file on each server that holds the id of the run it belongs to.
    pub fn mark(&self) -> String {
        format!("{}/run", self.names.directory())
    }

    /// The file on each server with the boots whose containers the run no longer waits for.
    pub(crate) fn given_up(&self) -> String {
        format!("{}/given-up", self.names.directory())
    }

    /// The first digits of the run's id: whose server it is.
    pub fn family(&self) -> &str {
        self.run.get(..FAMILY).unwrap_or(&self.run)
    }

    /// The last digits of the run's id, which no other run has, for names of what it makes or moves aside.
    pub fn token(&self) -> &str {
        self.run.get(FAMILY..).filter(|token| !token.is_empty()).unwrap_or(&self.run)
    }

    /// Shell lines that claim this server for this run. If the previous run was killed or cut off, its last command may still
    /// be at work here: it ends first, because it started before the fence could stop it.
    pub fn claim(&self) -> String {
        format!(
            "bowline_directory={directory} bowline_mark={mark} bowline_given_up={given_up} bowline_run={run} bowline_family={family}\n\
             bowline_length={RUN} bowline_token={token} bowline_wait={WAIT_S} bowline_keeper={KEEPER} bowline_pulls={PULLS}\n{claim}",
            directory = quote(&self.names.directory()),
            mark = quote(&self.mark()),
            given_up = quote(&self.given_up()),
            run = quote(&self.run),
            family = quote(self.family()),
            token = quote(&"?".repeat(FAMILY)),
            claim = answer::sent(include_str!("commands/claim.sh")),
            RUN = 2 * FAMILY,
        )
    }

    /// Shell lines that end a script if a later run has claimed this server: a deploy that was taken for dead
    /// and wakes up, or a script that outlived its deploy, changes nothing more.
    pub fn fence(&self) -> String {
        format!(
            "case $(cat {} 2>/dev/null) in {}*) ;; *) echo 'another run has taken over this server' >&2; exit {Fenced} ;; esac\n",
            quote(&self.mark()),
            quote(self.family()),
        )
    }

    /// A shell line that adds to the audit log; never an error.
    pub fn audit(&self, role: Option<&str>, text: &str) -> String {
        audit::line(self, role, text)
    }
}
