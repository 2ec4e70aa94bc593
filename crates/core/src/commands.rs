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
/// A text that only the keeper of a lock has. The keeper ends with its connection, so no run waits for it.
const KEEPER: &str = "@lost";

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
        let directory = quote(&self.names.directory());
        format!(
            "bowline_before=$(cat {mark} 2>/dev/null)\n\
             mkdir -p {directory} && printf '%s\\n' {run} > {mark} && rm -f {given_up} || exit 1\n\
             case $bowline_before in {family}*|*[!0-9a-f]*) bowline_before= ;; esac\n\
             at_work() {{\n\
             printf '%s\\n' \"$bowline_before\" | grep -lsF -f - /proc/[0-9]*/cmdline |\n\
             while read -r bowline_file; do grep -qsF {KEEPER} \"$bowline_file\" || echo \"${{bowline_file%/cmdline}}\"; done\n\
             }}\n\
             if [ ${{#bowline_before}} = {RUN} ]; then\n\
             bowline_before=${{bowline_before%{token}}}\n\
             bowline_tries={WAIT_S}0\n\
             while bowline_at_work=$(at_work); [ -n \"$bowline_at_work\" ] && [ $((bowline_tries -= 1)) -gt 0 ]; do sleep 0.1; done\n\
             for bowline_process in $bowline_at_work; do kill \"${{bowline_process#/proc/}}\" 2>/dev/null; done\n\
             fi\n",
            mark = quote(&self.mark()),
            given_up = quote(&self.given_up()),
            run = quote(&self.run),
            family = quote(self.family()),
            token = "?".repeat(FAMILY),
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
