//! The control socket: a small versioned protocol of JSON lines between the commands and the daemon.
//!
//! One connection carries one command: a line with a [`ControlRequest`], answered by a line with a [`Reply`] once the command is done. Commands run side by
//! side. A command goes on when its client goes away, as kamal-proxy's do.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration;
use crate::options::{DeploymentOptions, ServiceOptions, TargetOptions};

mod client;
mod server;

pub use client::call;
pub use server::{Busy, Control, Upgrade, keep, listen, read};

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// The longest line.
const LINE: usize = 1 << 20;

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlRequest {
    /// [`VERSION`] of the client.
    pub version: u32,
    /// What it asks for.
    #[serde(flatten)]
    pub command: Command,
}

/// What it gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reply {
    /// [`VERSION`] of the daemon.
    pub version: u32,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it asked for.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// A set of targets and how to put it in place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    /// The service.
    pub service: String,
    /// The writers.
    pub targets: Vec<String>,
    /// The readers.
    pub readers: Vec<String>,
    /// How to go about it.
    pub deployment: DeploymentOptions,
}

/// How long a drain waits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drain {
    /// For requests.
    #[serde(with = "duration")]
    pub requests: Duration,
    /// For WebSockets and event streams.
    #[serde(with = "duration")]
    pub streams: Duration,
}

/// A deploy in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deploy {
    /// What is deployed.
    #[serde(flatten)]
    pub targets: Targets,
    /// How the service is reached.
    pub options: ServiceOptions,
    /// How its targets are asked.
    pub target_options: TargetOptions,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Add or replace a service.
    Deploy(Box<Deploy>),
    /// The first half of a deploy.
    Prepare(Box<Deploy>),
    /// The second half.
    Switch {
        /// The service.
        service: String,
    },
    /// Forget a service.
    Remove {
        /// The service.
        service: String,
    },
    /// Let requests wait.
    Pause {
        /// The service.
        service: String,
        /// For the requests in flight.
        drain: Drain,
        /// How long each waits.
        #[serde(with = "duration")]
        wait: Duration,
    },
    /// Answer 503.
    Stop {
        /// The service.
        service: String,
        /// For the requests in flight.
        drain: Drain,
        /// For the page.
        message: String,
    },
    /// End a pause or a stop.
    Resume {
        /// The service.
        service: String,
    },
    /// All services.
    List,
    /// A service's targets since their switch.
    Stats {
        /// The service.
        service: String,
    },
    /// A second set of targets.
    RolloutDeploy(Targets),
    /// Who gets it.
    RolloutSet {
        /// The service.
        service: String,
        /// Of the clients with the cookie.
        percentage: i64,
        /// Values of the cookie that always do.
        allowlist: Vec<String>,
    },
    /// Nobody gets it.
    RolloutStop {
        /// The service.
        service: String,
    },
    /// Another binary takes the listeners over.
    Upgrade {
        /// The binary.
        path: PathBuf,
        /// For what the present process then has open.
        drain: Drain,
    },
}

impl Command {
    /// How long the daemon may take by the command's own limits.
    fn limit(&self) -> Duration {
        /// What connections, locks and the state file may take on top.
        const MARGIN: Duration = Duration::from_secs(60);
        let own = match self {
            Self::Deploy(deploy) | Self::Prepare(deploy) => whole(&deploy.targets.deployment),
            Self::RolloutDeploy(targets) => whole(&targets.deployment),
            Self::Pause { drain, .. } | Self::Stop { drain, .. } => drain.requests,
            // Its drain is as long as `prepare` said.
            Self::Switch { .. } | Self::Upgrade { .. } => Duration::from_secs(3600),
            _ => Duration::ZERO,
        };
        own.saturating_add(MARGIN)
    }
}

fn whole(deployment: &DeploymentOptions) -> Duration {
    deployment.deploy_timeout.saturating_add(deployment.drain_timeout)
}
