//! Settings that Bowline doesn't implement yet.
//!
//! Bowline reads, checks and shows them like all others. Commands that would need them name the setting and stop before they
//! change anything.

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

/// Whether servers can be reached as the configuration says.
pub fn connection(config: &Config) -> Result<(), Unbuilt> {
    match &config.ssh.config {
        SshConfig::Files(files) if files.len() > 1 => Err(Unbuilt::key(
            "ssh/config with several files",
            "name one that includes the others (`Include`)",
        )),
        _ => Ok(()),
    }
}
