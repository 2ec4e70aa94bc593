//! Stops an app's containers.

use std::fmt;
use std::str::FromStr;

use crate::commands::answer::{self, Unreadable};
use crate::commands::policy::{self, Returns};
use crate::commands::serving::Serving;
use crate::commands::status::Status;
use crate::commands::{Scope, ask, drain};
use crate::shell::{Script, quote};

/// Stops a container that no longer serves, and removes its cord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub scope: Scope,
    pub role: String,
    pub name: String,
    pub id: String,
    /// The most seconds to wait until open requests are answered. `None` doesn't wait.
    pub drain: Option<u64>,
    /// The seconds for `docker stop -t`.
    pub stop_wait: Option<u64>,
    /// The directory of the container's cord on the server.
    pub cord: Option<String>,
    pub if_healthy: IfHealthy,
    /// The container that serves in its place. If it doesn't serve, the script stops nothing.
    pub instead: Option<Serving>,
    /// The version whose boot this undoes, for the audit log.
    pub undoes: Option<String>,
}

/// What to do if the container is still healthy although it was detached: a healthy one receives requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfHealthy {
    /// Leave it running and exit with [`Status::Healthy`].
    Leave,
    Stop,
}

/// The longest time that a container gets to stop, in seconds, whatever its own stop timeout says.
const LONGEST_STOP_S: u64 = 3600;

/// How long a container with this `--stop-timeout` gets to stop, in seconds. With a negative timeout, Docker would wait forever.
pub fn stop_limit(timeout: i64) -> u64 {
    u64::try_from(timeout).map_or(LONGEST_STOP_S, |seconds| seconds.min(LONGEST_STOP_S))
}

impl Stop {
    /// Prints an [`Answer`].
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence() + &ask::functions();
        text.push_str(&self.instead.as_ref().map(Serving::or_exit).unwrap_or_default());
        if let Some(version) = &self.undoes {
            let undone = format!("Undoing the boot of app version {version}");
            text.push_str(&self.scope.audit(Some(&self.role), &undone));
        }
        text.push_str(&format!("bowline_id={}\n", quote(&self.id)));
        if let Some(seconds) = self.drain {
            text.push_str(&drain::drain(seconds));
        }
        text.push_str(&format!(
            "bowline_if_healthy={if_healthy}\nbowline_healthy={healthy}\nbowline_stop_wait={stop_wait}\nbowline_cord={cord}\n{keep_stopped}{stop}",
            if_healthy = match self.if_healthy {
                IfHealthy::Leave => "leave",
                IfHealthy::Stop => "stop",
            },
            healthy = Status::Healthy,
            stop_wait = self.stop_wait.map(|seconds| seconds.to_string()).unwrap_or_default(),
            cord = self.cord.as_deref().map(quote).unwrap_or_default(),
            keep_stopped = policy::function(),
            stop = answer::sent(include_str!("stop.sh")),
        ));
        Script::new(text)
    }
}

/// Notes in the audit log that a role was stopped.
pub fn stopped(scope: &Scope, role: &str) -> Script {
    Script::new(scope.fence() + &scope.audit(Some(role), "Stopped app"))
}

/// How the wait for open requests ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    Idle,
    /// Requests were still open when the time was up.
    Busy,
    /// The server can't count open requests.
    Blind,
}

answer::words!(Drained: "idle" Idle, "busy" Busy, "blind" Blind);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub drain: Option<Drained>,
    /// Whether the server lacks the tool with which root could count open requests.
    pub unseen: bool,
    /// The restart policy, if it could not be changed.
    pub returns: Returns,
    /// The cord's directory, if it could not be removed.
    pub left: Option<String>,
}

impl FromStr for Answer {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut answer = Self { returns: text.parse()?, ..Self::default() };
        for line in answer::lines(text) {
            match line.word {
                "drain" => answer.drain = Some(line.value()?),
                "unseen" => answer.unseen = true,
                "left" => answer.left = Some(line.some()?.into()),
                _ => {}
            }
        }
        Ok(answer)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unseen {
            writeln!(f, "@unseen")?;
        }
        self.drain.iter().try_for_each(|drained| writeln!(f, "@drain {drained}"))?;
        self.returns.fmt(f)?;
        self.left.iter().try_for_each(|directory| writeln!(f, "@left {directory}"))
    }
}
