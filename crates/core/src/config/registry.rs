//! `registry`: where the image is pushed to and pulled from.

/// `registry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// `server`; Docker Hub if absent.
    pub server: Option<String>,
    /// `username`.
    pub username: Credential,
    /// `password`.
    pub password: Credential,
}

/// A text, or the name of a secret that holds it (a list of one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The value itself.
    Plain(crate::secret::Secret),
    /// A key of the secrets file.
    Secret(String),
}
