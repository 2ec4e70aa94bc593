//! `servers`: the roles and their hosts.

use super::{Env, Healthcheck, Logging, Pairs};

/// A role, with what it inherits from the root already merged in.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// `web`, `workers`, …
    pub name: String,
    /// Its hosts in order, each once.
    pub hosts: Vec<RoleHost>,
    /// `cmd`, appended after the image.
    pub cmd: Option<String>,
    /// `options`: further flags of `docker run`.
    pub options: Vec<(String, OptionValue)>,
    /// Root labels with the role's over them. The labels that Bowline sets itself are not among them.
    pub labels: Pairs,
    /// The role's own env (see [`super::Config::env_for`]).
    pub env: Env,
    /// Root logging with the role's over it.
    pub logging: Logging,
    /// `asset_path` of the role, else of the root; only for roles behind Traefik.
    pub asset_path: Option<AssetPath>,
    /// Whether Traefik sends requests to it: `traefik`, true for the primary role unless said otherwise.
    pub traefik: bool,
    /// The health check. A role without Traefik has one only if it says so itself.
    pub healthcheck: Option<Healthcheck>,
}

/// A host of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleHost {
    /// Name or address, as `ssh` takes it.
    pub host: String,
    /// Its tags, in order, each once (S6).
    pub tags: Vec<String>,
}

/// The value of a flag of `docker run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// `true`: the bare flag.
    Flag,
    /// `--flag VALUE`.
    Value(String),
    /// The flag once for each value.
    List(Vec<String>),
}

/// `asset_path`: `PATH` or `PATH:mount-options`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetPath {
    /// The directory in the image.
    pub path: String,
    /// `ro`, `z`, …
    pub mount_options: Option<String>,
}
