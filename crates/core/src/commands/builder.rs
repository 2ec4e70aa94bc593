//! Chooses what builds the image: Docker itself, a buildx builder of the configured kind, or `pack`.
//!
//! Kinds and names are Kamal's, so that both tools use the same builder and its cache. The choice depends on the
//! configuration and on what this machine's Docker can do. [`build`] renders the command line of the build.

mod build;
mod buildx;

pub use build::{BuildError, BuildOutput, BuildRequest, Command};
pub use buildx::Check;

use bowline_config::{Builder as Wanted, Config, Generation, Machine};

/// The abilities of Docker on the deploying machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    pub buildx: bool,
    /// Docker's own platform, such as `amd64` or `arm64`.
    pub arch: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuilderKind {
    /// Docker, or buildx with its current builder.
    Native,
    /// A Kamal builder on this machine, with this driver.
    Local(&'static str),
    /// Kamal 1's builder with a cache.
    Cached,
    /// Kamal 1's builder for several platforms, or for another one than Docker's own.
    Multiarch,
    /// Another machine.
    Remote(Node),
    /// This machine with this driver for the `local` platforms, and another machine for the node's.
    Hybrid { driver: &'static str, local: Vec<String>, remote: Node },
    /// Kamal 1's pair of Docker engines.
    Pair(Node, Node),
    /// Docker Build Cloud: `ORGANISATION/BUILDER`.
    Cloud(String),
    /// Buildpacks, built by `pack`.
    Pack,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub context: String,
    pub url: String,
    /// The platforms that it builds for. If empty, the engine chooses.
    pub arch: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Builder<'c> {
    config: &'c Config,
    pub kind: BuilderKind,
    /// The buildx builder's name. `None` for one that exists without Bowline.
    pub name: Option<String>,
    /// Whether `docker buildx build` runs, rather than `docker build` or `pack`.
    pub buildx: bool,
    own: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} needs `docker buildx`, which is not installed on this machine")]
pub struct NeedsBuildx {
    /// The configuration key or option that needs buildx.
    pub wanted: String,
}

impl<'c> Builder<'c> {
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

    /// Kamal's name for the kind.
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

    /// The Docker engines that need a context.
    pub fn nodes(&self) -> Vec<&Node> {
        match &self.kind {
            BuilderKind::Remote(node) | BuilderKind::Hybrid { remote: node, .. } => vec![node],
            BuilderKind::Pair(local, remote) => vec![local, remote],
            _ => Vec::new(),
        }
    }

    /// The target platforms. If empty, the engine chooses.
    fn platforms(&self) -> Vec<&str> {
        let nodes: Vec<&str> =
            self.nodes().into_iter().flat_map(|node| node.arch.iter().map(String::as_str)).collect();
        match &self.kind {
            BuilderKind::Pair(..) | BuilderKind::Remote(_) if !nodes.is_empty() => nodes,
            _ => self.config.builder.arch.iter().map(String::as_str).collect(),
        }
    }
}

/// The kind and name that Kamal would choose.
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
            // This builder uses the host's network, to reach the registry on this machine.
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

/// The kind and name if another machine builds or takes part.
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
    // This builder uses its host's network, to reach the registry on this machine.
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

/// Kamal 1's form, in which each machine has one platform.
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

/// What the configuration asks for that `docker build` can't do without buildx.
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
