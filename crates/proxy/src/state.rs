//! The state file, in kamal-proxy's format.
//!
//! Each service is parsed separately. One that can't be parsed stays in the file and never discards the others.

use serde::{Deserialize, Serialize};

use crate::options::{ServiceOptions, TargetOptions, or_default};

mod read;
mod store;

pub use read::{Unreadable, read};
pub use store::Store;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    pub name: String,
    #[serde(deserialize_with = "or_default")]
    pub options: ServiceOptions,
    #[serde(deserialize_with = "or_default")]
    pub target_options: TargetOptions,
    /// The writers.
    #[serde(deserialize_with = "or_default")]
    pub active_targets: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub active_readers: Vec<String>,
    /// The rollout's writers.
    #[serde(deserialize_with = "or_default")]
    pub rollout_targets: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub rollout_readers: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub pause_controller: Pause,
    pub rollout_controller: Option<Rollout>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pause {
    /// 0 running, 1 paused, 2 stopped.
    pub state: u8,
    /// Text on the page of a stopped service.
    pub stop_message: String,
    /// How long a request waits during a pause.
    #[serde(with = "crate::duration")]
    pub fail_after: std::time::Duration,
    /// The seconds of `Retry-After` of a stopped service. kamal-proxy has no such field.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference.
fn is_zero(seconds: &u32) -> bool {
    *seconds == 0
}

/// The clients that get the rollout's targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// Share of the clients that have the cookie.
    pub percentage: i64,
    /// The greatest hash of a cookie value that belongs to the share.
    pub percentage_split_point: f64,
    /// Values of the cookie that always get the rollout's targets.
    #[serde(deserialize_with = "or_default")]
    pub allowlist: Vec<String>,
}

pub type State = Vec<Service>;
