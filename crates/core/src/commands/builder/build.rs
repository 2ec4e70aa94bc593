//! The command line of an image build.

use super::buildx::{docker, linux};
use super::{Builder, BuilderKind, NeedsBuildx};
use crate::shell::{fill_in, quote};
use bowline_config::secret::REDACTED;
use bowline_config::{Cache, Pack, is_secret_key};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BuildOutput {
    #[default]
    Registry,
    /// This machine's Docker.
    Docker,
    /// Another of buildx's outputs, as `TYPE[,NAME=VALUE…]`.
    Other(String),
}

impl BuildOutput {
    /// Parses the value of buildx's `--output`: `TYPE[,NAME=VALUE…]`. A relative `dest` is resolved against `directory`,
    /// because the build may run in a clone.
    pub fn new(words: &str, directory: &str) -> Self {
        let in_place = |word: &str| match word.strip_prefix("dest=") {
            Some(file) if !file.starts_with('/') && file != "-" => format!("dest={directory}/{file}"),
            _ => word.to_string(),
        };
        match words {
            "registry" => Self::Registry,
            "docker" => Self::Docker,
            other => Self::Other(other.split(',').map(in_place).collect::<Vec<_>>().join(",")),
        }
    }

    /// Whether the build would write to the terminal, or lacks the destination that it needs.
    fn has_no_place(&self) -> bool {
        let Self::Other(words) = self else { return false };
        let mut words = words.split(',');
        let kind = words.next().unwrap_or_default();
        ["oci", "tar", "local"].contains(&kind)
            && !words.any(|word| word.starts_with("dest=") && word != "dest=-")
    }

    fn word(&self) -> &str {
        match self {
            Self::Registry => "registry",
            Self::Docker => "docker",
            Self::Other(word) => word,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// Full names, including tags.
    pub images: Vec<String>,
    /// A directory, relative to the directory in which the build runs, or a URL.
    pub context: String,
    pub output: BuildOutput,
    pub no_cache: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// `build` or `push`.
    pub what: &'static str,
    pub words: Vec<String>,
}

impl Command {
    /// The command line for display. Hides the values of build arguments and variables whose names look secret.
    pub fn shown(&self) -> String {
        let mut shown = Vec::new();
        let mut before = "";
        for word in &self.words {
            let value_of = word.split_once('=').map(|(name, _)| name);
            let hidden = ["--build-arg", "--env"].contains(&before) && value_of.is_some_and(is_secret_key);
            shown.push(match value_of.filter(|_| hidden) {
                Some(name) => format!("{name}={REDACTED}"),
                None => quote(word),
            });
            before = word;
        }
        shown.join(" ")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    NeedsBuildx(#[from] NeedsBuildx),
    #[error("{key} names the variable {name}, which isn't set here")]
    Unset { key: String, name: String },
    #[error("`--output {0}` needs a destination")]
    NoPlace(String),
}

impl Builder<'_> {
    /// The commands that build the image and deliver it, in order. They expect build secrets as environment variables of
    /// the same names. `variable` looks up this machine's environment.
    pub fn build(
        &self,
        request: &BuildRequest,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<Command>, BuildError> {
        if request.output.has_no_place() {
            return Err(BuildError::NoPlace(request.output.word().into()));
        }
        let values = Values::new(self, variable)?;
        let build = match (&self.kind, &self.config.builder.pack) {
            (BuilderKind::Pack, Some(pack)) => self.pack(pack, request, &values),
            _ if self.buildx => self.buildx(request, &values),
            _ => match &request.output {
                BuildOutput::Other(output) => {
                    return Err(NeedsBuildx { wanted: format!("--output={output}") }.into());
                }
                _ => self.plain(request, &values),
            },
        };
        let mut commands = vec![Command { what: "build", words: build }];
        if !self.buildx && request.output == BuildOutput::Registry {
            let push = |image: &String| Command {
                what: "push",
                words: docker(&["push", "--quiet", image.as_str()]),
            };
            commands.extend(request.images.iter().map(push));
        }
        Ok(commands)
    }

    fn buildx(&self, request: &BuildRequest, values: &Values) -> Vec<String> {
        let mut words = docker(&["buildx", "build", &format!("--output=type={}", request.output.word())]);
        let mut platforms = self.platforms();
        if request.output == BuildOutput::Docker && platforms.contains(&self.own.as_str()) {
            // Docker stores an image for one platform only.
            platforms = vec![&self.own];
        }
        if !platforms.is_empty() {
            words.extend(["--platform".into(), linux(&platforms)]);
        }
        words.extend(self.name.iter().flat_map(|name| ["--builder".into(), name.clone()]));
        self.options(request, values, &mut words);
        words
    }

    fn plain(&self, request: &BuildRequest, values: &Values) -> Vec<String> {
        let mut words = docker(&["build"]);
        self.options(request, values, &mut words);
        words
    }

    /// The options that `docker build` and `docker buildx build` share. [`Builder::new`] has rejected what only the latter
    /// supports.
    fn options(&self, request: &BuildRequest, values: &Values, words: &mut Vec<String>) {
        let builder = &self.config.builder;
        let mut flag = |flag: &str, value: &str| words.extend([flag.into(), value.into()]);
        request.images.iter().for_each(|image| flag("-t", image));
        if let Some(cache) = &builder.cache {
            let (to, from) = self.cache(cache);
            flag("--cache-to", &to);
            flag("--cache-from", &from);
        }
        flag("--label", &format!("service={}", self.config.service));
        for (key, value) in &values.args {
            flag("--build-arg", &format!("{key}={value}"));
        }
        builder.secrets.iter().for_each(|name| flag("--secret", &format!("id={name}")));
        flag("--file", &builder.dockerfile);
        if let Some(target) = &builder.target {
            flag("--target", target);
        }
        if let Some(ssh) = &values.ssh {
            flag("--ssh", ssh);
        }
        // `docker build` without buildx creates neither.
        if self.buildx {
            if let Some(provenance) = &builder.provenance {
                flag("--provenance", provenance);
            }
            if let Some(sbom) = builder.sbom {
                flag("--sbom", &sbom.to_string());
            }
        }
        if request.no_cache {
            words.push("--no-cache".into());
        }
        words.push(request.context.clone());
    }

    /// `--cache-to` and `--cache-from`.
    fn cache(&self, cache: &Cache) -> (String, String) {
        let with = |kind: &str, options: Option<&str>| match options {
            Some(options) => format!("{kind},{options}"),
            None => kind.to_string(),
        };
        let options = cache.options.as_deref();
        if cache.kind.as_deref() == Some("gha") {
            // buildx rejects the other options in `--cache-from`.
            const READING: [&str; 5] = ["url", "url_v2", "token", "scope", "timeout"];
            let reading = |option: &&str| {
                option.split_once('=').is_some_and(|(name, _)| READING.contains(&name.trim()))
            };
            let from: Vec<&str> = options.unwrap_or_default().split(',').filter(reading).collect();
            let from = Some(from.join(",")).filter(|from| !from.is_empty());
            return (with("type=gha", options), with("type=gha", from.as_deref()));
        }
        let image = match &cache.image {
            Some(image) => image.clone(),
            None => format!("{}-build-cache", self.config.image),
        };
        let server = self.config.registry.server.as_ref().map(|server| format!("{server}/"));
        let from = format!("type=registry,ref={}{image}", server.unwrap_or_default());
        (with(&from, options), from)
    }

    fn pack(&self, pack: &Pack, request: &BuildRequest, values: &Values) -> Vec<String> {
        let mut words: Vec<String> = vec!["pack".into(), "build".into(), self.config.repository()];
        let mut flag = |flag: &str, value: &str| words.extend([flag.into(), value.into()]);
        let platforms = self.platforms();
        if !platforms.is_empty() {
            flag("--platform", &linux(&platforms));
        }
        flag("--creation-time", "now");
        flag("--builder", pack.builder.as_deref().unwrap_or_default());
        pack.buildpacks.iter().for_each(|buildpack| flag("--buildpack", buildpack));
        flag("--buildpack", "paketo-buildpacks/image-labels");
        request.images.iter().for_each(|image| flag("-t", image));
        if request.no_cache {
            words.push("--clear-cache".into());
        }
        let mut env = |value: &str| words.extend(["--env".into(), value.into()]);
        env(&format!("BP_IMAGE_LABELS=service={}", self.config.service));
        values.args.iter().for_each(|(key, value)| env(&format!("{key}={value}")));
        // A name without a value takes its value from `pack`'s environment.
        self.config.builder.secrets.iter().for_each(|name| env(name));
        words.extend(["--path".into(), request.context.clone()]);
        words
    }
}

/// Configured values, with this machine's variables expanded.
struct Values {
    args: Vec<(String, String)>,
    ssh: Option<String>,
}

impl Values {
    fn new(builder: &Builder<'_>, variable: impl Fn(&str) -> Option<String>) -> Result<Self, BuildError> {
        let wanted = &builder.config.builder;
        let unset = |key: String| |name: String| BuildError::Unset { key, name };
        let mut args = Vec::new();
        for (key, value) in &wanted.args {
            let value = fill_in(value, false, &variable).map_err(unset(format!("builder/args/{key}")))?;
            args.push((key.clone(), value));
        }
        let ssh = wanted.ssh.as_ref().map(|ssh| fill_in(ssh, true, &variable)).transpose();
        Ok(Self { args, ssh: ssh.map_err(unset("builder/ssh".into()))? })
    }
}
