//! Settings that Bowline doesn't implement yet.
//!
//! Bowline reads, checks and shows them like all others. A command that needs one of them names it and stops before
//! it changes anything.

use super::{Config, SshConfig};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unbuilt {
    pub message: String,
    pub hint: String,
}

impl Unbuilt {
    fn key(key: &str, hint: &str) -> Self {
        Self { message: format!("{key} is not supported yet"), hint: hint.into() }
    }
}

/// Fails if the configuration connects to servers in a way that isn't implemented yet.
pub fn connection(config: &Config) -> Result<(), Unbuilt> {
    match &config.ssh.config {
        SshConfig::Files(files) if files.len() > 1 => Err(Unbuilt::key(
            "ssh/config with several files",
            "name one that includes the others (`Include`)",
        )),
        _ => Ok(()),
    }
}
