//! What runs on a server, one file a noun: each command is a value that renders to one [`crate::shell::Script`]. What
//! builds ([`builder`], [`clone`]) runs on the machine that deploys, as words and without a shell.
//!
//! Scripts are POSIX `sh` and need nothing on the server but Docker and the usual small tools. A script speaks
//! to us in lines that begin with `@` on its standard output; what programs print for people goes to standard
//! error. Those that change anything first look at the run's mark (see [`Scope::fence`]).

pub mod accessory;
pub mod app;
pub mod assets;
pub mod audit;
pub mod builder;
pub mod clone;
pub mod cord;
mod drain;
pub mod env;
pub mod exec;
pub mod listing;
pub mod lock;
pub mod logs;
pub mod maintenance;
pub mod observe;
pub mod prune;
pub mod published;
pub mod ready;
pub mod registry;
pub mod remove;
pub mod server;
pub mod traefik;

use crate::names::Names;
use crate::shell::quote;

/// Exit status of a script whose server now belongs to a later run.
pub const FENCED: u32 = 75;

/// What every command of a run knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Names of the app.
    pub names: Names,
    /// The run's id: 32 hex digits, new for each run.
    pub run: String,
    /// Who deploys, for the audit log.
    pub performer: String,
}

impl Scope {
    /// The file on each server that holds the id of the run it belongs to.
    pub fn mark(&self) -> String {
        format!("{}/run", self.names.directory())
    }

    /// The first digits of the run's id, for names of what it moves aside.
    pub fn token(&self) -> &str {
        self.run.get(..16).unwrap_or(&self.run)
    }

    /// Shell lines that make this server belong to this run.
    pub fn claim(&self) -> String {
        let directory = quote(&self.names.directory());
        format!(
            "mkdir -p {directory} && printf '%s\\n' {} > {} || exit 1\n",
            quote(&self.run),
            quote(&self.mark())
        )
    }

    /// Shell lines that end a script if a later run has claimed this server: a deploy that was taken for dead
    /// and wakes up, or a script that outlived its deploy, changes nothing more.
    pub fn fence(&self) -> String {
        format!(
            "[ \"$(cat {} 2>/dev/null)\" = {} ] || {{ echo 'another run has taken over this server' >&2; exit {FENCED}; }}\n",
            quote(&self.mark()),
            quote(&self.run),
        )
    }

    /// A shell line that adds to the audit log; never an error.
    pub fn audit(&self, role: Option<&str>, text: &str) -> String {
        audit::line(self, role, text)
    }
}
