//! `traefik`: the proxy that every server with a routed role runs.

use super::decode::{Field, Keys, Report};
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

const KEYS: Keys =
    Keys { known: &["image", "publish", "host_port", "labels", "args", "options", "env"], later: &[] };

impl Traefik {
    pub(super) fn decode(field: &Field, report: &mut Report) -> Self {
        let default = Self::default();
        let Some(section) = field.section(&KEYS, report) else { return default };
        Self {
            image: section.filled("image", report).unwrap_or(default.image),
            publish: section.boolean("publish", report).unwrap_or(default.publish),
            host_port: section
                .get("host_port")
                .and_then(|field| field.port(report))
                .unwrap_or(default.host_port),
            labels: section.get("labels").and_then(|field| field.pairs(report)).unwrap_or_default(),
            args: section.get("args").and_then(|field| field.options(report)).unwrap_or_default(),
            options: section.get("options").and_then(|field| field.options(report)).unwrap_or_default(),
            env: section.get("env").map(|field| Env::decode(&field, report)).unwrap_or_default(),
        }
    }
}
