//! The deploy lock: Kamal's directory with Kamal's details file, plus an owner and a lease.
//!
//! The holder keeps one program (the *keeper*) running on the server. The keeper's standard input is the holder's connection,
//! and each line on it renews the lease. If the holder dies, its connection ends, and the keeper immediately marks the lock as
//! orphaned. If the network dies, the lease expires. In both cases the next run takes over. A lock without an owner file
//! belongs to Kamal or to a person, and Bowline never takes it over.
//!
//! A person may release the lock of a run that is still going. [`Revoke`] names that run on every server, and each of its later
//! scripts ends at the fence. Only then is the lock removed, so two holders never make changes at the same time.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;

use super::answer::{self, Line, Unreadable};
use super::status::Status::Held;
use super::{Scope, family, released};
use crate::names::Names;
use crate::observed::base64_text;
use crate::shell::{Script, quote};

/// The seconds after which a lock without renewal counts as dead.
pub const LEASE_S: u64 = 60;

/// Takes the lock and keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    pub scope: Scope,
    /// The three lines of [`details`].
    pub details: String,
}

pub fn details(who: &str, time: &str, version: &str, message: &str) -> String {
    format!("Locked by: {who} at {time}\nVersion: {version}\nMessage: {message}")
}

/// The permissions of a directory that a keeper creates. Nothing else uses them, so they identify the directory from the
/// start, even if the server crashes before the owner is written.
const MODE: &str = "711";

impl Keep {
    /// Prints [`Said::Locked`] or [`Said::Taken`], or prints [`Said::Held`] and ends. Then it reads lines: `release` releases the
    /// lock ([`Said::Released`]), any other line renews the lease. If the lock is no longer ours, it prints [`Said::Lost`] and ends.
    pub fn script(&self) -> Script {
        Script::new(format!(
            "{lock}bowline_run={run}\nbowline_family={family}\nbowline_released={released}\nbowline_mode={MODE}\nbowline_lease={LEASE_S}\n\
             took_over() {{\n{audit}}}\n{keep}",
            lock = make(&self.scope.names, &self.details),
            run = quote(&self.scope.run),
            family = quote(self.scope.family()),
            released = quote(&self.scope.released()),
            audit = self.scope.audit(None, "Took over the deploy lock of a run that died"),
            keep = answer::sent(include_str!("lock/keep.sh")),
        ))
    }
}

/// The answers of the keeper of a lock, one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The lock was free and is now ours.
    Locked,
    /// The lock is ours. It belonged to a dead run with these details.
    Taken(String),
    /// The lock belongs to another owner, with these details.
    Held(String),
    /// The lock is no longer ours, for this reason.
    Lost(String),
    Released,
}

impl Said {
    /// Returns `None` for a line that isn't an answer.
    pub fn heard(line: &str) -> Option<Self> {
        let line = Line::read(line)?;
        Some(match line.word {
            "locked" => Said::Locked,
            "taken" => Said::Taken(base64_text(line.rest)),
            "held" => Said::Held(base64_text(line.rest)),
            "lost" => Said::Lost(base64_text(line.rest)),
            "released" => Said::Released,
            _ => return None,
        })
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Locked => write!(f, "@locked"),
            Said::Taken(details) => write!(f, "@taken {}", STANDARD.encode(details)),
            Said::Held(details) => write!(f, "@held {}", STANDARD.encode(details)),
            Said::Lost(why) => write!(f, "@lost {}", STANDARD.encode(why)),
            Said::Released => write!(f, "@released"),
        }
    }
}

/// Shell lines that define the functions `make` and `encoded` for the lock `$bowline_lock` with these details.
fn make(names: &Names, details: &str) -> String {
    let functions = answer::sent(include_str!("lock/make.sh"));
    format!("bowline_lock={}\nbowline_text={}\n{functions}", quote(&names.lock()), quote(details))
}

/// Prints the details of the lock, or nothing if there is no lock.
pub fn status(names: &Names) -> Script {
    let lock = quote(&names.lock());
    Script::new(format!("[ ! -d {lock} ] || base64 -d < {lock}/details || [ ! -d {lock} ]"))
}

/// Takes the lock for a person: without owner and lease, so no run takes it over. Exits with [`Held`] if there is a lock already.
pub fn acquire(names: &Names, text: &str) -> Script {
    Script::new(format!(
        "{make}mkdir -p .kamal || exit\n\
         make || exit {Held}\n\
         env printf '%s\\n' \"$(encoded)\" > \"$bowline_lock/details\" || {{ rm -rf \"$bowline_lock\"; exit 1; }}\n",
        make = make(names, text),
    ))
}

/// Prints the [`Owner`] of the lock.
pub fn owner(names: &Names) -> Script {
    let owner = quote(&format!("{}/owner", names.lock()));
    Script::new(format!("[ ! -e {owner} ] || echo \"@owner $(cat {owner})\"\n"))
}

/// The id of the run that owns the lock. `None` if there is no lock, or it belongs to a person or Kamal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(pub Option<String>);

impl FromStr for Owner {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut lines = answer::lines(text).filter(|line| line.word == "owner");
        let run = lines.next().map(|line| line.rest.trim().to_owned());
        Ok(Self(run.filter(|run| !run.is_empty() && run.chars().all(|c| c.is_ascii_alphanumeric()))))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |run| writeln!(f, "@owner {run}"))
    }
}

/// Ends a run on a server: scripts that it starts there later change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    pub names: Names,
    pub run: String,
    /// One line for the run's report: `NAME released the deploy lock at TIME`.
    pub why: String,
}

impl Revoke {
    pub fn script(&self) -> Script {
        let line = format!("released {} {}", family(&self.run), self.why.replace('\n', " "));
        let file = released(&self.names);
        // The file appears at once, so no script reads a part of it.
        Script::new(format!(
            "mkdir -p {directory} && env printf '%s\\n' {line} > {new}.$$ && mv -f {new}.$$ {file}\n",
            directory = quote(&self.names.directory()),
            line = quote(&line),
            new = quote(&format!("{file}.new")),
            file = quote(&file),
        ))
    }
}

/// Removes the lock, whatever its owner. Prints [`Removed`].
pub fn release(names: &Names) -> Script {
    let lock = quote(&names.lock());
    Script::new(format!("[ -d {lock} ] || {{ echo @none; exit 0; }}\nrm -rf {lock}\n"))
}

/// Whether there was a lock to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed(pub bool);

impl FromStr for Removed {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        Ok(Self(!answer::lines(text).any(|line| line.word == "none")))
    }
}
