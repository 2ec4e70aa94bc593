//! Checks whether a container still serves. Asked again at the point of no return, because the container may have ended after
//! it became ready.

use std::fmt;

use super::ready::Ready;
use super::status::Status::NotServing;
use super::{Scope, ask, ready};
use crate::shell::{Script, quote};

/// A container that was ready, and has to be still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    pub id: String,
    /// How often Docker had started it again when it was ready, if that is known: then it may not have ended since.
    pub restarts: Option<u32>,
    /// What it takes to serve.
    pub ready: Ready,
}

impl Serving {
    /// Shell lines that end the script with [`NotServing`] unless the container serves, and print [`Instead`]. They need
    /// [`ask::functions`].
    pub(crate) fn or_exit(&self) -> String {
        let restarts = self.restarts.map_or_else(|| "*".into(), |restarts| restarts.to_string());
        let serves = match self.ready {
            Ready::Healthy => format!("'running healthy '{restarts}|'running none '{restarts}"),
            Ready::Started => format!("'running '*' '{restarts}"),
        };
        format!(
            "ask {id} '{{{{.State.Status}}}} {{{{if .State.Health}}}}{{{{.State.Health.Status}}}}{{{{else}}}}none{{{{end}}}} {{{{.RestartCount}}}}' || bowline_said=gone\n\
             case $bowline_said in {serves}) ;; \
             *) echo \"@instead $bowline_said\"; exit {NotServing} ;; esac\n",
            id = quote(&self.id),
        )
    }
}

/// How a container is that has to serve, and doesn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instead(pub String);

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "@instead {}", self.0)
    }
}

/// Looks whether a container that was ready still is. One that isn't healthy at the moment is waited for; one that
/// ended since, even if Docker has started it again, is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub scope: Scope,
    /// The container's name, for people.
    pub name: String,
    pub serving: Serving,
    /// The network on which it is reached.
    pub network: String,
    /// How long it may take to become healthy again, in seconds.
    pub timeout: u64,
    /// How long it must keep running if it has no health check, in seconds.
    pub readiness_delay: u64,
}

/// How long ago it may have ended, in seconds: it may have waited at the barrier since it was ready.
const PAST_S: u64 = 3600;

impl Check {
    /// Prints a [`ready::Answer`].
    pub fn script(&self) -> Script {
        let ready = self.serving.ready;
        Script::new(format!(
            "{}{}bowline_id={}\nbowline_past={PAST_S}\n{}",
            self.scope.fence(),
            ask::functions(),
            quote(&self.serving.id),
            match self.serving.restarts {
                Some(restarts) =>
                    ready::still(ready, self.timeout, self.readiness_delay, &self.network, restarts),
                None => ready::wait(ready, self.timeout, self.readiness_delay, &self.network),
            }
        ))
    }
}
