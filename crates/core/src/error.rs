//! Errors of planning.

use crate::commands::env::Unfit;

/// Why a plan can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("secret `{0}` is missing")]
    MissingSecret(String),
    /// The value of a secret can't be passed to a container.
    #[error(transparent)]
    UnfitSecret(#[from] Unfit),
    /// The value of a secret has the wrong form.
    #[error("{message}")]
    WrongSecret { name: String, message: String, hint: String },
    #[error(transparent)]
    Proxy(#[from] Refusal),
    /// `missing` lists servers as `HOST (ROLE)`. `choices` are the versions that every server has, newest first.
    #[error("version {version} is not on {}", .missing.join(", "))]
    NoSuchVersion { version: String, missing: Vec<String>, choices: Vec<String> },
    /// `choices` are the other versions that every server has, newest first.
    #[error("no version on the servers served before the current one")]
    NoneBefore { choices: Vec<String> },
}

/// Something that the configuration asks for and the proxy wouldn't do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub message: String,
    pub hint: String,
}
