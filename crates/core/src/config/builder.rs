//! `builder`: how the image is built, on the machine that deploys.

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
