//! Commands that run on a server, one noun per file. Each command is a value that renders to one [`crate::shell::Script`].
//! Build commands ([`builder`], [`clone`]) run on the deploying machine, without a shell.
//!
//! Scripts are POSIX `sh`, and the server only needs Docker and common small tools. A script answers on standard output, in
//! lines that begin with `@`. Human-readable output of programs goes to standard error. A script that changes anything
//! checks the run's mark first (see [`Scope::fence`]).

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

/// The number of leading digits of a run's id that it shares with the runs that its hooks start.
pub const FAMILY: usize = 16;

/// How long [`Scope::claim`] waits for the processes of another run before it kills them, in seconds: as long as a
/// container may take to stop.
pub const WAIT_S: u64 = 35;
/// The line that a claim prints before it waits.
pub const WAITS: &str = "@waits";
/// A marker in the arguments of a lock's keeper. No claim waits for a keeper, because it ends with its connection.
const KEEPER: &str = "@lost";
/// A marker in the arguments of a script that pulls an image from its run. A claim kills such a script, because the image
/// can't arrive any more.
pub(crate) const PULLS: &str = "@pulls";

/// Prints who released the lock, from the file [`Scope::released`].
const RELEASED: &str = "sed -n 's/^released [^ ]* //p'";

/// The first digits of a run's id.
fn family(run: &str) -> &str {
    run.get(..FAMILY).unwrap_or(run)
}

fn released(names: &Names) -> String {
    format!("{}/released", names.directory())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Start,
    /// Stops the container after it has answered its open requests.
    Stop,
    Restart,
}

impl Action {
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

/// What all commands of a run share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub names: Names,
    /// The run's id: 32 hex digits, new for each run. A run that a hook starts has the same [`Scope::family`] as the run of
    /// that hook, because both work under one lock.
    pub run: String,
    /// The person who deploys, for the audit log.
    pub performer: String,
}

impl Scope {
    /// The file on each server with the id of the run that may change it.
    pub fn mark(&self) -> String {
        format!("{}/run", self.names.directory())
    }

    /// The file on each server that names the last run whose lock was released by hand, and who did it.
    pub(crate) fn released(&self) -> String {
        released(&self.names)
    }

    /// The file on each server that lists the boots whose containers the run no longer waits for.
    pub(crate) fn given_up(&self) -> String {
        format!("{}/given-up", self.names.directory())
    }

    /// The first digits of the run's id, which a server's mark must begin with.
    pub fn family(&self) -> &str {
        family(&self.run)
    }

    /// The last digits of the run's id, unique to it. They are part of the names of what the run creates or moves aside.
    pub fn token(&self) -> &str {
        self.run.get(FAMILY..).filter(|token| !token.is_empty()).unwrap_or(&self.run)
    }

    /// Shell lines that claim this server for this run. They wait for a command of a previous run that was killed or cut
    /// off, because it has already passed the fence.
    pub fn claim(&self) -> String {
        format!(
            "bowline_directory={directory} bowline_mark={mark} bowline_given_up={given_up} bowline_run={run} bowline_family={family}\n\
             bowline_released={released} bowline_fenced={Fenced}\n\
             bowline_length={RUN} bowline_token={token} bowline_wait={WAIT_S} bowline_keeper={KEEPER} bowline_pulls={PULLS}\n{claim}",
            directory = quote(&self.names.directory()),
            mark = quote(&self.mark()),
            given_up = quote(&self.given_up()),
            released = quote(&self.released()),
            run = quote(&self.run),
            family = quote(self.family()),
            token = quote(&"?".repeat(FAMILY)),
            claim = answer::sent(include_str!("commands/claim.sh")),
            RUN = 2 * FAMILY,
        )
    }

    /// Shell lines that end a script if a later run has claimed this server, or a person has released this run's lock. So a
    /// run that was presumed dead and wakes up, or a script that outlives its run, changes nothing more. Standard error has
    /// the reason.
    pub fn fence(&self) -> String {
        format!(
            "case $(cat {mark} {released} 2>/dev/null) in *'released '{family}' '*) {RELEASED} {released} >&2; exit {Fenced} ;; \
             {family}*) ;; *) echo 'another run has taken over this server' >&2; exit {Fenced} ;; esac\n",
            mark = quote(&self.mark()),
            released = quote(&self.released()),
            family = quote(self.family()),
        )
    }

    /// A shell line that adds to the audit log. It never fails.
    pub fn audit(&self, role: Option<&str>, text: &str) -> String {
        audit::line(self, role, text)
    }
}
