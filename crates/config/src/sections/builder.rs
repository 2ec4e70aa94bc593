//! `builder`: how the image is built.

mod keys;

use serde::{Serialize, Serializer};

use crate::Pairs;
use crate::decode::{Field, Report};
use crate::shown;
pub(crate) use keys::KEYS;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Builder {
    /// `context`: the directory or URL to build as it is. Without it, Bowline builds a clone of the repository, with
    /// committed files only.
    #[serde(serialize_with = "context")]
    pub context: Option<String>,
    /// `dockerfile` (`Dockerfile`), relative to the project.
    pub dockerfile: String,
    pub target: Option<String>,
    /// `arch`: platforms (`amd64`, `arm64`); if empty, that of the machine that builds. `multiarch: true` is both.
    pub arch: Vec<String>,
    #[serde(serialize_with = "shown::pairs")]
    pub args: Pairs,
    pub driver: Option<String>,
    /// `remote`: another machine that builds.
    pub remote: Option<Machine>,
    /// `local` (true): whether this machine builds too if there is a `remote`.
    #[serde(skip_serializing_if = "Clone::clone")]
    pub local: bool,
    /// `local` in Kamal 1's form: what this machine builds.
    #[serde(rename = "local")]
    pub local_machine: Option<Machine>,
    pub pack: Option<Pack>,
    pub cache: Option<Cache>,
    /// `secrets`: names of secrets that the build can read.
    pub secrets: Vec<String>,
    pub ssh: Option<String>,
    pub provenance: Option<String>,
    pub sbom: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    pub arch: Option<String>,
    /// The URL of its engine (`ssh://…`, `tcp://…`, `unix://…`).
    pub url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pack {
    pub builder: Option<String>,
    pub buildpacks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// `type`: `registry` (the default) or `gha`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `options`: `mode=max,…`.
    pub options: Option<String>,
    /// `image` (the app's with `-build-cache`).
    pub image: Option<String>,
}

/// Also shows what Bowline builds without a `context`.
fn context<S: Serializer>(context: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(context.as_deref().unwrap_or("a clone of the last commit"))
}

impl Default for Builder {
    fn default() -> Self {
        Self::decode(&Field::nothing(), &mut Report::default())
    }
}

impl Builder {
    pub(crate) fn decode(section: &Field, report: &mut Report) -> Self {
        let builder = Self {
            context: section.at("context").text(),
            dockerfile: section.at("dockerfile").text().unwrap_or_else(|| "Dockerfile".into()),
            target: section.at("target").text_unless_off(),
            args: section.at("args").pairs(),
            arch: arch(section, report),
            driver: section.at("driver").text(),
            remote: section.get("remote").and_then(|field| Machine::of_remote(&field)),
            local: section.at("local").boolean().unwrap_or(true),
            local_machine: section.get("local").filter(Field::is_map).map(|field| Machine::decode(&field)),
            pack: section.get("pack").map(|field| Pack::decode(&field, report)),
            cache: section.get("cache").map(|field| Cache::decode(&field)),
            secrets: section.at("secrets").secrets(report),
            ssh: section.at("ssh").text_unless_off(),
            provenance: section.at("provenance").text(),
            sbom: section.at("sbom").boolean(),
        };
        builder.check(section, report);
        builder
    }

    fn check(&self, section: &Field, report: &mut Report) {
        if let Some(local) = section.get("local").filter(|_| !self.local && self.remote.is_none()) {
            report.push(local.error("Cannot disable local builds, no remote is set"));
        }
        if let Some(pack) = section.get("pack").filter(|_| self.arch.len() > 1) {
            let error = pack.error("buildpacks only support building for one arch");
            report.push(match section.key_span("arch") {
                Some(arch) => error.also(arch, "several are given here"),
                None => error,
            });
        }
        if let (Some(multiarch), Some(arch)) = (section.key_span("multiarch"), section.key_span("arch")) {
            let error = section.error_at(multiarch, "multiarch and arch are the same setting");
            report.push(error.also(arch, "given here too").help("keep `arch`"));
        }
    }
}

/// `arch`: one platform or several. Kamal 1's `multiarch: true` means `amd64` and `arm64`.
fn arch(section: &Field, report: &mut Report) -> Vec<String> {
    match section.get("arch") {
        Some(field) if field.is_list() => {
            if field.list().is_empty() {
                report.push(field.error("names no CPU").help("`arch: amd64`, or remove the key"));
            }
            field.strings()
        }
        Some(field) => field.text().into_iter().collect(),
        None if section.at("multiarch").boolean() == Some(true) => vec!["amd64".into(), "arm64".into()],
        None => Vec::new(),
    }
}

impl Machine {
    fn decode(section: &Field) -> Self {
        let url = section.text().or_else(|| section.at("host").text());
        Self { arch: section.at("arch").text(), url: url.map(|url| engine_url(url.trim())) }
    }

    /// Returns `None` for `false` and for an empty text.
    fn of_remote(field: &Field) -> Option<Self> {
        let off = !field.is_map() && field.text_unless_off().is_none_or(|text| text.trim().is_empty());
        (!off).then(|| Self::decode(field))
    }
}

/// Turns the path of a socket into a URL.
fn engine_url(given: &str) -> String {
    if given.starts_with('/') { format!("unix://{given}") } else { given.to_owned() }
}

impl Pack {
    fn decode(section: &Field, report: &mut Report) -> Self {
        if !section.has("builder") {
            report.missing(section, "builder", "`pack: {builder: heroku/builder:24}`");
        }
        Self { builder: section.at("builder").text(), buildpacks: section.at("buildpacks").strings() }
    }
}

impl Cache {
    fn decode(section: &Field) -> Self {
        Self {
            kind: section.at("type").word().map(Into::into),
            options: section.at("options").text(),
            image: section.at("image").text(),
        }
    }
}
