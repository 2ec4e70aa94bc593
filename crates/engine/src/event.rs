//! What happens during a run, as values. The engine never prints: its caller gets these values, in order.

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
    /// Running the commands that secrets come from.
    Secrets,
    /// Opening connections to so many servers.
    Connect(usize),
    /// Preparing Docker and the network on so many servers.
    Bootstrap(usize),
    /// Cloning the repository into this directory, or updating the existing clone.
    Clone(String),
    /// Building the version's image and pushing it.
    Build(String),
    /// Building an image without pushing it.
    BuildOnly(String),
    /// Keeping an image on this machine, for servers.
    Keep(String),
    /// Booting the accessories that don't run, on so many servers.
    Accessories(usize),
    /// Taking the lock, on this server.
    Lock(String),
    /// Observing so many servers.
    Observe(usize),
    Pull,
    /// Sending the image to so many servers, from this machine.
    Send(usize),
    /// Making sure the proxy runs.
    Proxy,
    Assets,
    /// Booting group `.0` of `.1`.
    Boot(usize, usize),
    /// Going back to the previous version on so many servers, because the run failed on another one.
    GoBack(usize),
    /// Removing old containers and images.
    Prune,
    /// Releasing the lock.
    Unlock,
    Hook {
        name: String,
        /// The configuration turns its output off.
        quiet: bool,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// The server lacks an image that it needs, which is sent next.
    LacksImage,
    /// It failed. The reason follows in an [`Event::Failed`].
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
    /// The plan that will be carried out.
    Planned(Arc<Plan>),
    /// The image is on its way to a server: of at most `size` bytes so many have gone. Told once a second; `elapsed` says for
    /// how long.
    Sending { host: String, bytes: u64, size: u64, per_second: u64, elapsed: Duration },
    /// So many bytes of the image went to each of these servers.
    Sent(Vec<(String, u64)>),
    /// A server was reached.
    Connected { host: String },
    /// A step was sent to a server; secrets in the command are redacted.
    StepStarted { host: String, role: Option<String>, what: String, command: String },
    /// A step ended.
    StepEnded { host: String, role: Option<String>, what: String, elapsed: Duration, outcome: Outcome },
    /// A program is run on this machine, whose lines follow; secrets in the command are redacted.
    Program { command: String },
    /// A program printed a line, on a server (perhaps for one of several roles) or (`host: None`) on this machine.
    Output { host: Option<String>, role: Option<String>, line: String },
    /// A hook printed a line. `level` is what the configuration says of its output.
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
    /// Something that the user should know, without anything being wrong.
    Note { host: Option<String>, text: String },
    /// The run was interrupted, and undoes unfinished steps.
    Interrupted,
    /// The run is over. `commands`: how many ran one after the other on each server, the longest first.
    Finished { elapsed: Duration, commands: Vec<(String, usize)> },
}
