//! What happens during a run, as values. The engine never prints: whoever runs it gets these, in order.

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
    /// Having Docker and the network on so many servers.
    Bootstrap(usize),
    /// Cloning the repository into this directory, or bringing the clone that is there up to date.
    Clone(String),
    /// Building the version's image and pushing it.
    Build(String),
    /// Building an image without pushing it.
    BuildOnly(String),
    /// Booting the accessories that don't run, on so many servers.
    Accessories(usize),
    /// Taking the lock, on this server.
    Lock(String),
    /// Looking at so many servers.
    Observe(usize),
    Pull,
    /// Making sure the proxy runs.
    Proxy,
    Assets,
    /// Booting group `.0` of `.1`.
    Boot(usize, usize),
    /// Going back to the version before on so many servers, because the run failed on another one.
    GoBack(usize),
    /// Removing old containers and images.
    Prune,
    /// Giving the lock back.
    Unlock,
    Hook {
        name: String,
        /// The configuration wants no word of it.
        quiet: bool,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Done,
    /// It did not; the reason follows in a [`Event::Failed`].
    Failed,
}

#[derive(Debug, Clone)]
pub enum Event {
    /// A part of the run begins.
    Phase(Phase),
    /// The plan that will be carried out.
    Planned(Arc<Plan>),
    /// A server was reached.
    Connected {
        host: String,
    },
    /// A step was sent to a server.
    StepStarted {
        host: String,
        role: Option<String>,
        what: String,
        /// The command as shown (secrets redacted).
        command: String,
    },
    StepEnded {
        host: String,
        role: Option<String>,
        what: String,
        elapsed: Duration,
        outcome: Outcome,
    },
    /// A program is run on this machine, whose lines follow.
    Program {
        /// The command as shown (secrets redacted).
        command: String,
    },
    /// A program printed a line, on a server or (`host: None`) on this machine.
    Output {
        /// The server, or this machine.
        host: Option<String>,
        /// The role it is about, where several are listened to.
        role: Option<String>,
        line: String,
    },
    /// A hook printed a line.
    Hook {
        name: String,
        line: String,
        /// What the configuration says of what it prints.
        level: Option<HookLevel>,
    },
    /// A container's state changed, or a role gets on: `starting`, `healthy`, `waiting at the barrier`, …
    State {
        host: String,
        role: String,
        /// In a few words.
        state: String,
    },
    /// The barrier opened: this server's container of the primary role is healthy.
    BarrierOpened {
        host: String,
        /// The primary role.
        role: String,
    },
    /// The barrier closed: no container of the primary role got healthy.
    BarrierClosed {
        /// The primary role.
        role: String,
    },
    /// A role serves the version before again on a server, because the run failed on another one.
    WentBack {
        host: String,
        role: String,
        version: String,
    },
    /// A role serves the new version on a server, and what served before is gone.
    RoleDone {
        host: String,
        role: String,
        version: String,
    },
    /// Something went wrong on a server; the run goes on elsewhere.
    Failed(Failure),
    /// A person should know, but nothing is wrong.
    Note {
        host: Option<String>,
        text: String,
    },
    /// The run was interrupted; what was begun is being undone.
    Interrupted,
    /// The run is over.
    Finished {
        elapsed: Duration,
        /// For each server how many commands ran one after the other on it, longest first.
        commands: Vec<(String, usize)>,
    },
}
