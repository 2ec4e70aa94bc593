//! The state file, in kamal-proxy's form.
//!
//! Each service is read by itself: one that cannot be read is kept as it is, named in the log, and never discards the others.

use serde::{Deserialize, Serialize};

use crate::options::{ServiceOptions, TargetOptions, or_default};

mod read;
mod store;

pub use read::{Unreadable, read};
pub use store::Store;

/// One service as the file has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// How it is reached.
    #[serde(deserialize_with = "or_default")]
    pub options: ServiceOptions,
    /// How its targets are asked.
    #[serde(deserialize_with = "or_default")]
    pub target_options: TargetOptions,
    /// The writers.
    #[serde(deserialize_with = "or_default")]
    pub active_targets: Vec<String>,
    /// The readers.
    #[serde(deserialize_with = "or_default")]
    pub active_readers: Vec<String>,
    /// The rollout's writers.
    #[serde(deserialize_with = "or_default")]
    pub rollout_targets: Vec<String>,
    /// The rollout's readers.
    #[serde(deserialize_with = "or_default")]
    pub rollout_readers: Vec<String>,
    /// Whether it is paused or stopped.
    #[serde(deserialize_with = "or_default")]
    pub pause_controller: Pause,
    /// Who gets the rollout's targets.
    pub rollout_controller: Option<Rollout>,
}

/// Whether a service is paused or stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pause {
    /// 0 running, 1 paused, 2 stopped.
    pub state: u8,
    /// For the page of a stopped service.
    pub stop_message: String,
    /// How long a request waits.
    #[serde(with = "crate::duration")]
    pub fail_after: std::time::Duration,
}

/// Who gets the rollout's targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// Of clients with the cookie.
    pub percentage: i64,
    /// The greatest hash that belongs to them.
    pub percentage_split_point: f64,
    /// Values of the cookie that always do.
    #[serde(deserialize_with = "or_default")]
    pub allowlist: Vec<String>,
}

/// All services, by name.
pub type State = Vec<Service>;
