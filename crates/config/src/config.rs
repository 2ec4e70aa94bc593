//! The resolved configuration as a value, with every default filled in and the root's settings inherited by roles.

use std::fmt;
use std::time::Duration;

use super::pairs::unique;
use super::{
    Accessory, Boot, Builder, Env, Generation, HooksOutput, Logging, OutputPlaces, Pairs, Registry, Role,
    RoleHost, Ssh, Timeouts, Traefik,
};

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The generation of Kamal that the files are for, and so the proxy that sends requests to roles.
    pub generation: Generation,
    /// The key that decided it (`proxy`, `builder/arch`, …), if there is one.
    pub decided_by: Option<String>,
    /// `service`: first part of every container's name.
    pub service: String,
    pub destination: Option<String>,
    /// `image`: the image's name, without the registry's address and without a tag.
    pub image: String,
    pub registry: Registry,
    pub builder: Builder,
    /// `servers`, the primary role first, then alphabetically. Root `labels`, `logging`, `asset_path`, `healthcheck`,
    /// `proxy` and `stop_timeout` are already merged in.
    pub roles: Vec<Role>,
    /// `primary_role`, `web` unless given. One of `roles`, unless there are only accessories.
    pub primary_role: String,
    pub env: Env,
    /// `env_tags`, or `env: tags`: tag to env, in the order of the file.
    pub env_tags: Vec<(String, Env)>,
    /// `accessories`, in the order of the file. A deploy leaves them alone.
    pub accessories: Vec<Accessory>,
    pub volumes: Vec<String>,
    /// `logging` at the root, for Traefik. Roles have their own merged copy.
    pub logging: Logging,
    pub traefik: Traefik,
    pub boot: Boot,
    pub ssh: Ssh,
    pub timeouts: Timeouts,
    /// `readiness_delay` (7 s): how long a container without health check must keep running to count as ready.
    pub readiness_delay: Duration,
    /// `deploy_timeout` (30 s): how long a new container may take to become ready.
    pub deploy_timeout: Duration,
    /// `drain_timeout` (30 s): how long an old container's open requests may take.
    pub drain_timeout: Duration,
    /// `retain_containers` (5): stopped containers kept for each role and destination.
    pub retain_containers: usize,
    /// `hooks_path` (`.kamal/hooks`), relative to the project.
    pub hooks_path: String,
    pub hooks_output: HooksOutput,
    /// `secrets_path` (`.kamal/secrets`), relative to the project.
    pub secrets_path: String,
    pub aliases: Pairs,
    /// `error_pages_path`: a directory of the project with pages for kamal-proxy to show on errors.
    pub error_pages_path: Option<String>,
    pub output: OutputPlaces,
    /// `minimum_version` as written. Never later than the last version of Kamal whose format Bowline knows.
    pub minimum_version: Option<String>,
    /// `run_directory` as written, for display. Bowline always uses `.kamal`.
    pub run_directory: Option<String>,
}

impl Config {
    /// `[SERVER/]IMAGE`.
    pub fn repository(&self) -> String {
        match &self.registry.server {
            Some(server) => format!("{server}/{}", self.image),
            None => self.image.clone(),
        }
    }

    /// `REPO:VER`.
    pub fn image_of(&self, version: &str) -> String {
        format!("{}:{version}", self.repository())
    }

    /// The tag of the newest image that came up: `latest` or `latest-DEST`.
    pub fn latest_tag(&self) -> String {
        match &self.destination {
            Some(destination) => format!("latest-{destination}"),
            None => "latest".into(),
        }
    }

    /// `REPO:latest[-DEST]`.
    pub fn latest_image(&self) -> String {
        self.image_of(&self.latest_tag())
    }

    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }

    /// Every host of the app once: those of the primary role first, then in the order of roles.
    pub fn hosts(&self) -> Vec<&str> {
        unique(self.roles.iter().flat_map(|role| &role.hosts).map(|host| host.host.as_str()))
    }

    /// Every configured host once: those of the app, then those that only accessories have.
    pub fn all_hosts(&self) -> Vec<&str> {
        let of_accessories = self.accessories.iter().flat_map(|accessory| &accessory.hosts);
        unique(self.hosts().into_iter().chain(of_accessories.map(String::as_str)))
    }

    /// The envs of a role's container on a host, in merge order: root, role, then the host's tags in order.
    pub fn env_layers<'a>(&'a self, role: &'a Role, host: &'a RoleHost) -> Vec<(Origin<'a>, &'a Env)> {
        let mut layers = vec![(Origin::Root, &self.env), (Origin::Role(&role.name), &role.env)];
        for tag in &host.tags {
            let tagged = self.env_tags.iter().filter(|(name, _)| name == tag);
            layers.extend(tagged.map(|(name, env)| (Origin::Tag(name), env)));
        }
        layers
    }

    /// The env of a role's container on a host. Later layers win.
    pub fn env_for(&self, role: &Role, host: &RoleHost) -> Env {
        let mut env = Env::default();
        self.env_layers(role, host).iter().for_each(|(_, layer)| env.merge(layer));
        env
    }
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    Root,
    Role(&'a str),
    Tag(&'a str),
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Root => f.write_str("root env"),
            Origin::Role(name) => write!(f, "role {name}"),
            Origin::Tag(name) => write!(f, "tag {name}"),
        }
    }
}
