//! The events of a run. The engine never prints: it passes these values, in order, to its caller.

use std::sync::Arc;
use std::time::Duration;

use bowline_config::HookLevel;
use bowline_core::plan::Plan;

use crate::error::Failure;

/// Receives events. Never blocks.
pub trait Events: Send + Sync {
    fn emit(&self, event: Event);
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Resolving secrets by running commands.
    Secrets,
    /// Opening connections to this many servers.
    Connect(usize),
    /// Preparing Docker and the network on this many servers.
    Bootstrap(usize),
    /// Cloning the repository into this directory, or updating the existing clone.
    Clone(String),
    /// Building the version's image and pushing it.
    Build(String),
    /// Building an image without pushing it.
    BuildOnly(String),
    /// Keeping an image on this machine, to send to servers.
    Keep(String),
    /// Booting the accessories that don't run, on this many servers.
    Accessories(usize),
    Lock(String),
    Observe(usize),
    Pull,
    /// Sending the image from this machine to this many servers.
    Send(usize),
    Proxy,
    Assets,
    /// Booting group `.0` of `.1`.
    Boot(usize, usize),
    /// Going back to the previous version on this many servers, because the run failed on another one.
    GoBack(usize),
    Prune,
    Unlock,
    Hook {
        name: String,
        /// Whether the configuration hides its output.
        quiet: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The server lacks an image, which Bowline sends next.
    LacksImage,
    /// An [`Event::Failed`] follows with the reason.
    Failed,
}

impl From<bool> for Outcome {
    fn from(done: bool) -> Self {
        if done { Self::Done } else { Self::Failed }
    }
}

#[derive(Debug, Clone)]
pub enum Event {
    /// A part of the run starts.
    Phase(Phase),
    /// The plan is made and will be carried out.
    Planned(Arc<Plan>),
    /// The image is being sent to a server. Emitted once a second. `bytes` of at most `size` were sent in `elapsed`.
    Sending { host: String, bytes: u64, size: u64, per_second: u64, elapsed: Duration },
    /// The image was sent to these servers: host and number of bytes.
    Sent(Vec<(String, u64)>),
    /// A connection was made.
    Connected { host: String },
    /// A step was sent to a server. Secrets in the command are redacted.
    StepStarted { host: String, role: Option<String>, what: String, command: String },
    /// A step ended, `elapsed` after its start.
    StepEnded { host: String, role: Option<String>, what: String, elapsed: Duration, outcome: Outcome },
    /// A program starts on this machine. Its lines follow. Secrets in the command are redacted.
    Program { command: String },
    /// A program printed a line on a server (for a role, if it has one), or on this machine if `host` is `None`.
    Output { host: Option<String>, role: Option<String>, line: String },
    /// A hook printed a line. `level` is the configured level of its output.
    Hook { name: String, line: String, level: Option<HookLevel> },
    /// A container's state changed, or a role started its next part: `starting`, `healthy`, `waiting at the barrier`, …
    State { host: String, role: String, state: String },
    /// The barrier opened: this server's container of the primary role is healthy.
    BarrierOpened { host: String, role: String },
    /// The barrier closed: no container of the primary role became healthy.
    BarrierClosed { role: String },
    /// A role serves the previous version again on a server, because the run failed on another one.
    WentBack { host: String, role: String, version: String },
    /// A role serves the new version on a server, and its old container is retired.
    RoleDone { host: String, role: String, version: String },
    /// Something failed on a server. The run continues on the others.
    Failed(Failure),
    /// A message for the user that isn't an error.
    Note { host: Option<String>, text: String },
    /// The run was interrupted. It undoes unfinished steps.
    Interrupted,
    /// The run is over. `commands`: how many ran one after the other on each server, the highest number first.
    Finished { elapsed: Duration, commands: Vec<(String, usize)> },
}
