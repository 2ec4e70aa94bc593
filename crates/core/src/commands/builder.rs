//! What builds the image: Docker itself, a buildx builder of the configured kind, or `pack`.
//!
//! Kinds and names are Kamal's, so that both tools use the same builder and its cache. The kind is chosen here, from the
//! configuration and the abilities of this machine's Docker. [`build`] has the command line of the build.

mod build;
mod buildx;

pub use build::{BuildError, BuildOutput, BuildRequest, Command};
pub use buildx::Check;

use bowline_config::{Builder as Wanted, Config, Generation, Machine};

/// What Docker on the machine that deploys can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// `docker buildx` is there.
    pub buildx: bool,
    /// Docker's own platform: `amd64`, `arm64`.
    pub arch: String,
}

/// What builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuilderKind {
    /// Docker, or buildx's builder as it is set up.
    Native,
    /// A builder of our own on this machine, with this driver.
    Local(&'static str),
    /// Kamal 1's builder with a cache.
    Cached,
    /// Kamal 1's builder for several platforms, or for another one than Docker's own.
    Multiarch,
    /// Another machine.
    Remote(Node),
    /// This machine with this driver for the `local` platforms, another one for the node's.
    Hybrid { driver: &'static str, local: Vec<String>, remote: Node },
    /// Kamal 1's pair of engines.
    Pair(Node, Node),
    /// Docker's cloud: `ORGANISATION/BUILDER`.
    Cloud(String),
    /// Buildpacks.
    Pack,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub context: String,
    pub url: String,
    /// What it builds; what it likes, if empty.
    pub arch: Vec<String>,
}

/// What builds a project's image.
#[derive(Debug, Clone, PartialEq)]
pub struct Builder<'c> {
    config: &'c Config,
    pub kind: BuilderKind,
    /// Its name; none for what is there anyway.
    pub name: Option<String>,
    /// Whether buildx builds; else `docker build`, or `pack`.
    pub buildx: bool,
    /// The platform of this machine's Docker.
    own: String,
}

/// Something that Docker can't do without buildx.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} needs `docker buildx`, which is not installed on this machine")]
pub struct NeedsBuildx {
    /// What asks for it.
    pub wanted: String,
}

impl<'c> Builder<'c> {
    /// What builds this project's image.
    ///
    /// # Errors
    /// If there is no buildx and it has to be.
    pub fn new(config: &'c Config, here: &Here) -> Result<Self, NeedsBuildx> {
        let (kind, name) = choose(config, here);
        let buildx = here.buildx && kind != BuilderKind::Pack;
        if !here.buildx
            && kind != BuilderKind::Pack
            && let Some(wanted) = needs_buildx(config, &kind, here)
        {
            return Err(NeedsBuildx { wanted });
        }
        Ok(Self { config, kind, name: name.filter(|_| buildx), buildx, own: here.arch.clone() })
    }

    /// What Kamal calls its kind.
    pub fn class(&self) -> &'static str {
        match &self.kind {
            BuilderKind::Native => "native",
            BuilderKind::Local(_) => "local",
            BuilderKind::Cached => "native/cached",
            BuilderKind::Multiarch => "multiarch",
            BuilderKind::Remote(_) if self.config.generation == Generation::One => "native/remote",
            BuilderKind::Remote(_) => "remote",
            BuilderKind::Hybrid { .. } => "hybrid",
            BuilderKind::Pair(..) => "multiarch/remote",
            BuilderKind::Cloud(_) => "cloud",
            BuilderKind::Pack => "pack",
        }
    }

    /// The engines on other machines, or of other contexts.
    pub fn nodes(&self) -> Vec<&Node> {
        match &self.kind {
            BuilderKind::Remote(node) | BuilderKind::Hybrid { remote: node, .. } => vec![node],
            BuilderKind::Pair(local, remote) => vec![local, remote],
            _ => Vec::new(),
        }
    }

    /// What it builds for; empty if that is the engine's choice.
    fn platforms(&self) -> Vec<&str> {
        let nodes: Vec<&str> =
            self.nodes().into_iter().flat_map(|node| node.arch.iter().map(String::as_str)).collect();
        match &self.kind {
            BuilderKind::Pair(..) | BuilderKind::Remote(_) if !nodes.is_empty() => nodes,
            _ => self.config.builder.arch.iter().map(String::as_str).collect(),
        }
    }
}

/// The kind and the name, as Kamal has them.
fn choose(config: &Config, here: &Here) -> (BuilderKind, Option<String>) {
    let wanted = &config.builder;
    let service = &config.service;
    if let Some((kind, name)) = elsewhere(config, here) {
        return (kind, Some(name));
    }
    if wanted.pack.is_some() {
        return (BuilderKind::Pack, None);
    }
    if let Some(cloud) = wanted.driver.as_deref().and_then(|driver| driver.strip_prefix("cloud ")) {
        let cloud = cloud.trim().to_string();
        let name = format!("cloud-{}", cloud.replace('/', "-"));
        return (BuilderKind::Cloud(cloud), Some(name));
    }
    if wanted.driver.is_some() || config.generation == Generation::Two {
        return match driver(wanted) {
            "docker" => (BuilderKind::Local("docker"), None),
            // It reaches a registry on this machine through the machine's own network.
            driver if config.registry.is_local() => {
                (BuilderKind::Local(driver), Some(format!("kamal-local-registry-{driver}")))
            }
            driver => (BuilderKind::Local(driver), Some(format!("kamal-local-{driver}"))),
        };
    }
    if wanted.arch.iter().any(|arch| *arch != here.arch) {
        return (BuilderKind::Multiarch, Some(format!("kamal-{service}-multiarch")));
    }
    match wanted.cache {
        Some(_) => (BuilderKind::Cached, Some(format!("kamal-{service}-native-cached"))),
        None => (BuilderKind::Native, None),
    }
}

/// Where another machine builds, or takes part.
fn elsewhere(config: &Config, here: &Here) -> Option<(BuilderKind, String)> {
    let wanted = &config.builder;
    let remote = wanted.remote.as_ref()?;
    let url = remote.url.clone()?;
    if remote.arch.is_some() {
        return Some(kamal_1(config, remote, wanted.local_machine.as_ref()));
    }
    let own = |arch: &&String| wanted.local && **arch == here.arch;
    let local: Vec<String> = wanted.arch.iter().filter(own).cloned().collect();
    let others: Vec<String> = wanted.arch.iter().filter(|arch| !own(arch)).cloned().collect();
    if others.is_empty() && !local.is_empty() {
        return None;
    }
    let suffix: String = url
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c) { c } else { '-' })
        .collect();
    // It reaches a registry on this machine through its own machine's network.
    let lent = if config.registry.is_local() { "-local-registry" } else { "" };
    let name = match local.is_empty() {
        true => format!("kamal-remote-{suffix}{lent}"),
        false => format!("kamal-hybrid-{}-{suffix}{lent}", driver(wanted)),
    };
    let node = Node { context: format!("{name}-context"), url, arch: others };
    let kind = match local.is_empty() {
        true => BuilderKind::Remote(node),
        false => BuilderKind::Hybrid { driver: driver(wanted), local, remote: node },
    };
    Some((kind, name))
}

/// Machines in Kamal 1's form, each with its platform.
fn kamal_1(config: &Config, remote: &Machine, local: Option<&Machine>) -> (BuilderKind, String) {
    let node = |name: &str, machine: &Machine| {
        let arch = machine.arch.clone().unwrap_or_default();
        Node {
            context: format!("{name}-{arch}"),
            url: machine.url.clone().unwrap_or_default(),
            arch: vec![arch],
        }
    };
    match local.filter(|local| local.arch.is_some() && local.url.is_some()) {
        Some(local) => {
            let name = format!("kamal-{}-multiarch-remote", config.service);
            (BuilderKind::Pair(node(&name, local), node(&name, remote)), name)
        }
        None => {
            let name = format!("kamal-{}-native-remote", config.service);
            (BuilderKind::Remote(node(&name, remote)), name)
        }
    }
}

fn driver(wanted: &Wanted) -> &'static str {
    if wanted.driver.as_deref() == Some("docker") { "docker" } else { "docker-container" }
}

/// What of the configuration `docker build` alone can't do.
fn needs_buildx(config: &Config, kind: &BuilderKind, here: &Here) -> Option<String> {
    let builder = &config.builder;
    let elsewhere = match kind {
        BuilderKind::Remote(_) | BuilderKind::Hybrid { .. } | BuilderKind::Pair(..) => Some("builder/remote"),
        BuilderKind::Cloud(_) => Some("builder/driver: cloud"),
        _ => None,
    };
    if let Some(other) = builder.arch.iter().find(|arch| **arch != here.arch) {
        let own = &here.arch;
        return Some(match elsewhere {
            Some(key) => key.into(),
            None => format!("building for {other} (`builder/arch`) with a Docker that builds for {own}"),
        });
    }
    let keys = [
        ("builder/cache", builder.cache.is_some()),
        ("builder/secrets", !builder.secrets.is_empty()),
        ("builder/ssh", builder.ssh.is_some()),
        ("builder/sbom", builder.sbom == Some(true)),
        ("builder/provenance", builder.provenance.as_deref().is_some_and(|value| value != "false")),
    ];
    let key = keys.iter().find(|(_, given)| *given).map(|(key, _)| *key);
    elsewhere.or(key).map(Into::into)
}

#[cfg(test)]
mod tests;
