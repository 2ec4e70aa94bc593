//! What a command asks for: the input of a plan.

use std::collections::BTreeMap;

use crate::commands::Scope;

/// A deploy, or a run that boots containers like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployRequest {
    pub kind: DeployKind,
    pub version: String,
    pub scope: Scope,
    /// Whether the secrets have their real values, not placeholders.
    pub secrets_known: bool,
    pub pages: Pages,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeployKind {
    Deploy,
    /// Like a deploy, but replaces every container, and doesn't prune containers and images.
    Redeploy,
    /// Boots a version that is still on the servers: no pull, no pruning.
    Rollback,
    /// Only boots containers (`app boot`).
    Boot,
    /// Boots the serving version behind another kind of proxy, which then takes over the ports.
    TakeOver(Direction),
}

impl DeployKind {
    pub fn direction(self) -> Option<Direction> {
        match self {
            DeployKind::TakeOver(direction) => Some(direction),
            DeployKind::Deploy | DeployKind::Redeploy | DeployKind::Rollback | DeployKind::Boot => None,
        }
    }

    /// As in "can't roll back".
    pub fn verb(self) -> &'static str {
        match self {
            DeployKind::Deploy => "deploy",
            DeployKind::Redeploy => "redeploy",
            DeployKind::Rollback => "roll back",
            DeployKind::Boot => "boot",
            DeployKind::TakeOver(direction) => direction.command(),
        }
    }
}

/// Which kind of proxy replaces which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From Traefik to kamal-proxy.
    Upgrade,
    /// From kamal-proxy to Traefik.
    Downgrade,
}

/// A maintenance page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub message: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after: u32,
    /// How many seconds open requests may take; `drain_timeout` unless given.
    pub drain_timeout: Option<u64>,
}

/// The error pages of a project, by file name (`503.html`).
pub type Pages = BTreeMap<String, Vec<u8>>;
