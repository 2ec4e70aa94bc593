//! `traefik`: the proxy that every server with a routed role runs.

use super::{Env, OptionValue, Pairs};

/// `traefik`.
#[derive(Debug, Clone, PartialEq)]
pub struct Traefik {
    /// `image` (`traefik:v2.11`).
    pub image: String,
    /// `publish` (true): whether port 80 of the container is published.
    pub publish: bool,
    /// `host_port` (80).
    pub host_port: u16,
    /// `labels`, as written.
    pub labels: Pairs,
    /// `args`, as written: `--KEY=VALUE` each.
    pub args: Vec<(String, OptionValue)>,
    /// `options`: further flags of `docker run`.
    pub options: Vec<(String, OptionValue)>,
    /// `env`.
    pub env: Env,
}

impl Default for Traefik {
    fn default() -> Self {
        Self {
            image: "traefik:v2.11".into(),
            publish: true,
            host_port: 80,
            labels: Vec::new(),
            args: Vec::new(),
            options: Vec::new(),
            env: Env::default(),
        }
    }
}
