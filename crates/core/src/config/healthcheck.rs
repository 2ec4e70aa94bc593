//! `healthcheck`: how Docker sees that a container can serve, and the cord that lets us say it no longer should.

use std::time::Duration;

/// The resolved health check of a role (root and role merged).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// The command: `cmd`, or `curl -f http://localhost:PORT/PATH || exit 1`.
    pub cmd: String,
    /// `port` (3000): also where Traefik sends requests if the image exposes no other.
    pub port: u16,
    /// `path` (`/up`).
    pub path: String,
    /// `interval` (1 s) between two checks.
    pub interval: Duration,
    /// `max_attempts`, if given: with n of them a container has 1+2+…+n seconds to get healthy.
    pub max_attempts: Option<u32>,
    /// `cord`.
    pub cord: Cord,
}

/// `cord`: the directory in the container whose file the health check asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cord {
    /// A path in the container; `/tmp/kamal-cord` unless given.
    At(String),
    /// `cord: false`.
    Off,
}

impl Default for Cord {
    fn default() -> Self {
        Cord::At("/tmp/kamal-cord".into())
    }
}
