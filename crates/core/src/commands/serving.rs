//! Checks that a container still serves. Used at the point of no return, because the container may have exited after it
//! became ready.

use std::fmt;

use super::ready::Ready;
use super::status::Status::NotServing;
use super::{Scope, ask, ready};
use crate::shell::{Script, quote};

/// A container that was ready and must still be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    pub id: String,
    /// How often Docker had restarted it when it was ready, if known. If so, it must not have exited since.
    pub restarts: Option<u32>,
    pub ready: Ready,
}

impl Serving {
    /// Shell lines that end the script with [`NotServing`] and print [`Instead`] if the container doesn't serve. They need
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

/// The state of a container that should serve but doesn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instead(pub String);

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "@instead {}", self.0)
    }
}

/// Checks that a container that was ready still is. Waits for a container that is unhealthy at the moment, but not for one
/// that exited since, even if Docker restarted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub scope: Scope,
    pub name: String,
    pub serving: Serving,
    pub network: String,
    /// The most seconds to become healthy again.
    pub timeout: u64,
    /// Seconds that a container without a health check must keep running.
    pub readiness_delay: u64,
}

/// How long ago the container may have exited, in seconds. Since it was ready, it may have waited at the barrier.
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
