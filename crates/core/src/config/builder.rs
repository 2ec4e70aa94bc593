//! `builder`: how the image is built, on the machine that deploys.

use super::decode::{Field, Keys, Report};

/// `builder`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// `context` (`.`).
    pub context: String,
    /// `dockerfile` (`Dockerfile`), relative to the project.
    pub dockerfile: String,
    /// `target`: the stage to build.
    pub target: Option<String>,
    /// `args`: `--build-arg`s.
    pub args: super::Pairs,
    /// `arch`: platforms (`amd64`, `arm64`); none leaves the choice to the engine.
    pub arch: Vec<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            context: ".".into(),
            dockerfile: "Dockerfile".into(),
            target: None,
            args: Vec::new(),
            arch: Vec::new(),
        }
    }
}

const KEYS: Keys = Keys {
    known: &["context", "dockerfile", "target", "args", "arch"],
    later: &[
        "remote",
        "local",
        "driver",
        "pack",
        "multiarch",
        "secrets",
        "cache",
        "ssh",
        "provenance",
        "sbom",
    ],
};

impl Builder {
    /// Kamal builds from a clone of the repository unless `context` is given; here the working directory is built.
    pub(super) fn decode(field: &Field, report: &mut Report) -> Self {
        let default = Self::default();
        let Some(section) = field.section(&KEYS, report) else { return default };
        Self {
            context: section.filled("context", report).unwrap_or(default.context),
            dockerfile: section.filled("dockerfile", report).unwrap_or(default.dockerfile),
            target: section.filled("target", report),
            args: section.get("args").and_then(|field| field.pairs(report)).unwrap_or_default(),
            arch: section.get("arch").map(|field| arch(&field, report)).unwrap_or_default(),
        }
    }
}

fn arch(field: &Field, report: &mut Report) -> Vec<String> {
    if field.is_list() {
        return field.strings(report).unwrap_or_default();
    }
    if field.scalar().is_none() {
        field.wrong_type("a string or an array", report);
        return Vec::new();
    }
    field.filled(report).into_iter().collect()
}
