//! Inspects, creates and removes buildx builders. Each of these is a list of commands without a shell, so that a URL or a name
//! is always one word, whatever characters it contains.

use super::{Builder, BuilderKind, Node};

/// A look at a builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub words: Vec<String>,
    /// What its answer has to have.
    wants: Wants,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wants {
    Nothing,
    /// This context among the endpoints.
    Endpoint(String),
    /// Exactly this line.
    Line(String),
}

impl Check {
    /// Whether this answer is that of a builder as it should be.
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

/// What Docker says where a builder or context isn't there.
const ABSENT: &[&str] = &["context not found", "no builder", "no compatible builder", "does not exist"];

impl Builder<'_> {
    /// Whether what Docker says means that the builder, or its context, isn't there.
    pub fn is_absent(said: &str) -> bool {
        ABSENT.iter().any(|text| said.contains(text))
    }

    /// Looks at it, if it is one that has to be made: all have to pass.
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
        // Where it reaches a registry on this machine.
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
        // The builder first: without its context buildx may not find the way to it.
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

    /// Who has to let us in with SSH before it can be made: the arguments of `ssh` for each machine.
    pub fn ssh(&self) -> Vec<Vec<String>> {
        self.nodes()
            .into_iter()
            .filter_map(|node| Some([node.ssh()?, vec!["true".into()]].concat()))
            .collect()
    }

    /// Whether it can write an image into a directory, layers compressed: Docker itself keeps what it builds.
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

    /// Its context is named by the platform.
    fn is_kamal_1s(&self, builder: &str) -> bool {
        self.context != format!("{builder}-context")
    }

    /// The same way in that Docker takes; what it should run is to follow.
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
