//! The control socket: a versioned protocol of JSON lines between the commands and the daemon.
//!
//! Each connection carries one command: a line with a [`ControlRequest`] and, once the command is done, a line with a
//! [`Reply`]. Commands run concurrently. As with kamal-proxy, they continue when their client disconnects.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::drain::Limits;
use crate::duration;
use crate::options::DeploymentOptions;
use crate::service::Deploy;

mod client;
mod server;

pub use client::call;
pub use server::{Busy, Control, Upgrade, keep, listen, read};

pub const VERSION: u32 = 1;

/// The longest command, in bytes.
const LINE: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlRequest {
    pub version: u32,
    #[serde(flatten)]
    pub command: Command,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reply {
    pub version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The output of commands such as `list`, else null.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// A second set of targets and how to switch to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    pub service: String,
    /// The writers.
    pub targets: Vec<String>,
    pub readers: Vec<String>,
    pub deployment: DeploymentOptions,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    Deploy(Box<Deploy>),
    /// Checks new targets and holds them: the first half of a deploy.
    Prepare(Box<Deploy>),
    /// Sends requests to the prepared targets: the second half.
    Switch {
        service: String,
    },
    Remove {
        service: String,
    },
    /// Holds new requests.
    Pause {
        service: String,
        drain: Limits,
        /// How long each request waits.
        #[serde(with = "duration")]
        wait: Duration,
    },
    /// Responds to new requests with 503.
    Stop {
        service: String,
        drain: Limits,
        /// Text on the page.
        message: String,
        /// Seconds of `Retry-After`, 0 for none.
        #[serde(default)]
        retry_after: u32,
    },
    Resume {
        service: String,
    },
    List,
    /// Figures of a service's targets since the switch to them.
    Stats {
        service: String,
    },
    /// Gives a service its second set of targets.
    RolloutDeploy(Targets),
    /// Selects the clients that get the second set.
    RolloutSet {
        service: String,
        /// Share of the clients that have the cookie.
        percentage: i64,
        /// Values of the cookie that always get the second set.
        allowlist: Vec<String>,
    },
    /// Sends all clients to the first set again.
    RolloutStop {
        service: String,
    },
    /// Hands the listeners to another binary.
    Upgrade {
        path: PathBuf,
        /// For the current process, after the handover.
        drain: Limits,
    },
}

impl Command {
    /// How long the daemon may take, given the command's own limits.
    fn limit(&self) -> Duration {
        /// Additional time for connections, locks and the state file.
        const MARGIN: Duration = Duration::from_secs(60);
        let own = match self {
            Self::Deploy(deploy) | Self::Prepare(deploy) => whole(&deploy.deployment),
            Self::RolloutDeploy(targets) => whole(&targets.deployment),
            Self::Pause { drain, .. } | Self::Stop { drain, .. } => drain.requests,
            // The drain of `switch` is as long as `prepare` said, which isn't known here.
            Self::Switch { .. } | Self::Upgrade { .. } => Duration::from_secs(3600),
            _ => Duration::ZERO,
        };
        own.saturating_add(MARGIN)
    }
}

fn whole(deployment: &DeploymentOptions) -> Duration {
    deployment.deploy_timeout.saturating_add(deployment.drain_timeout)
}
