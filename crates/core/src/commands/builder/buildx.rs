//! Inspects, creates and removes buildx builders. Each action is a list of commands that run without a shell, so a URL or
//! name is always one word, whatever characters it contains.

use super::{Builder, BuilderKind, Node};

/// A command that checks a builder, and what its output must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub words: Vec<String>,
    wants: Wants,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wants {
    Nothing,
    /// An endpoint line that contains this context.
    Endpoint(String),
    Line(String),
}

impl Check {
    pub fn passes(&self, answer: &str) -> bool {
        match &self.wants {
            Wants::Nothing => true,
            Wants::Endpoint(context) => answer.lines().any(|line| {
                line.trim().strip_prefix("Endpoint:").is_some_and(|endpoint| endpoint.contains(context))
            }),
            Wants::Line(line) => answer.lines().any(|said| said.trim() == line),
        }
    }
}

const ABSENT: &[&str] = &["context not found", "no builder", "no compatible builder", "does not exist"];

impl Builder<'_> {
    /// Whether an error message of Docker means that the builder or its context doesn't exist.
    pub fn is_absent(said: &str) -> bool {
        ABSENT.iter().any(|text| said.contains(text))
    }

    /// The checks that tell whether the builder exists as configured: all must pass. There are none for a builder that
    /// exists without Bowline.
    pub fn inspect(&self) -> Vec<Check> {
        let Some(name) = &self.name else { return Vec::new() };
        let builder = docker(&["buildx", "inspect", name]);
        let nodes = self.nodes();
        if nodes.is_empty() {
            return vec![Check { words: builder, wants: Wants::Nothing }];
        }
        let endpoints = nodes
            .iter()
            .map(|node| Check { words: builder.clone(), wants: Wants::Endpoint(node.context.clone()) });
        let contexts = nodes.iter().map(|node| {
            let format = "{{.Endpoints.docker.Host}}";
            let words = docker(&["context", "inspect", &node.context, "--format", format]);
            Check { words, wants: Wants::Line(node.url.clone()) }
        });
        endpoints.chain(contexts).collect()
    }

    pub fn create(&self) -> Vec<Vec<String>> {
        let Some(name) = &self.name else { return Vec::new() };
        let builder = |rest: &[&str]| docker(&[&["buildx", "create"], rest].concat());
        // The host's network, to reach a registry on this machine.
        let network: &[&str] =
            if self.config.registry.is_local() { &["--driver-opt", "network=host"] } else { &[] };
        match &self.kind {
            BuilderKind::Native | BuilderKind::Pack => Vec::new(),
            BuilderKind::Local(driver) => {
                let driver = format!("--driver={driver}");
                vec![builder(&[&["--name", name, &driver], network].concat())]
            }
            BuilderKind::Cached => vec![builder(&["--name", name, "--driver=docker-container"])],
            BuilderKind::Multiarch => vec![builder(&["--name", name])],
            BuilderKind::Cloud(cloud) => vec![builder(&["--driver", "cloud", cloud])],
            BuilderKind::Remote(node) => {
                let mut words = [&["--name", name], network, &[&node.context]].concat();
                let platform = platform(node);
                if node.is_kamal_1s(name) {
                    words.extend(["--platform", &platform]);
                }
                vec![node.create(name), builder(&words)]
            }
            BuilderKind::Hybrid { driver, local, remote } => {
                let own = linux(local);
                let driver = format!("--driver={driver}");
                vec![
                    builder(&[&["--platform", &own, "--name", name, &driver], network].concat()),
                    remote.create(name),
                    builder(
                        &[
                            &["--platform", &platform(remote), "--append", "--name", name],
                            network,
                            &[&remote.context],
                        ]
                        .concat(),
                    ),
                ]
            }
            BuilderKind::Pair(local, remote) => vec![
                local.create(name),
                remote.create(name),
                builder(&["--name", name, &local.context, "--platform", &platform(local)]),
                builder(&["--append", "--name", name, &remote.context, "--platform", &platform(remote)]),
            ],
        }
    }

    pub fn remove(&self) -> Vec<Vec<String>> {
        let Some(name) = &self.name else { return Vec::new() };
        // Remove the builder first: without its context, buildx may not be able to connect to it.
        let builder = docker(&["buildx", "rm", name]);
        let contexts = self.nodes().into_iter().map(|node| docker(&["context", "rm", &node.context]));
        std::iter::once(builder).chain(contexts).collect()
    }

    pub fn details(&self) -> Vec<Vec<String>> {
        match &self.config.builder.pack {
            Some(pack) if self.kind == BuilderKind::Pack => {
                let builder = pack.builder.clone().unwrap_or_default();
                vec![vec!["pack".into(), "builder".into(), "inspect".into(), builder]]
            }
            _ if self.buildx => vec![docker(&["context", "ls"]), docker(&["buildx", "ls"])],
            _ => vec![docker(&["context", "ls"])],
        }
    }

    /// The SSH logins that must succeed before the builder is created: the arguments of `ssh` for each machine.
    pub fn ssh(&self) -> Vec<Vec<String>> {
        self.nodes()
            .into_iter()
            .filter_map(|node| Some([node.ssh()?, vec!["true".into()]].concat()))
            .collect()
    }

    /// Whether the builder can write an image with compressed layers to a directory. Docker's own builder stores what it
    /// builds in Docker.
    pub fn writes_layouts(&self) -> bool {
        match &self.kind {
            BuilderKind::Local(driver) | BuilderKind::Hybrid { driver, .. } => {
                self.buildx && *driver != "docker"
            }
            _ => self.buildx && self.name.is_some(),
        }
    }
}

impl Node {
    fn create(&self, builder: &str) -> Vec<String> {
        let description = match self.arch.first() {
            Some(arch) if self.is_kamal_1s(builder) => format!("{builder} {arch} native host"),
            _ => format!("{builder} host"),
        };
        let host = format!("host={}", self.url);
        docker(&["context", "create", &self.context, "--description", &description, "--docker", &host])
    }

    /// Whether the node has Kamal 1's form, in which the context's name ends with the platform.
    fn is_kamal_1s(&self, builder: &str) -> bool {
        self.context != format!("{builder}-context")
    }

    /// The words of an `ssh` command that connects as Docker does. The remote command follows.
    fn ssh(&self) -> Option<Vec<String>> {
        let address = self.url.strip_prefix("ssh://")?.split('/').next()?;
        let (user, address) = match address.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, address),
        };
        let is_port = |port: &str| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if is_port(port) => (host, Some(port)),
            _ => (address, None),
        };
        let mut words = vec!["ssh", "-o", "ConnectTimeout=30", "-o", "BatchMode=yes"];
        words.extend(user.iter().flat_map(|user| ["-l", user]));
        words.extend(port.iter().flat_map(|port| ["-p", port]));
        words.extend(["--", host.trim_matches(['[', ']'])]);
        Some(words.into_iter().map(Into::into).collect())
    }
}

fn platform(node: &Node) -> String {
    linux(&node.arch)
}

/// Platforms as buildx names them.
pub(super) fn linux(arch: &[impl AsRef<str>]) -> String {
    arch.iter().map(|arch| format!("linux/{}", arch.as_ref())).collect::<Vec<_>>().join(",")
}

pub(super) fn docker(words: &[&str]) -> Vec<String> {
    std::iter::once("docker").chain(words.iter().copied()).map(Into::into).collect()
}
