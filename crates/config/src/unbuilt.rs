//! What a configuration may ask for and nobody can do yet.
//!
//! It is read, checked and shown like everything else; the commands that would need it refuse it, by name, before they
//! change anything. Nothing of it is passed over in silence.

use super::{Accessory, Config, Role, SshConfig, Tls};

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

/// Whether these roles can be deployed.
pub fn roles<'r>(mut roles: impl Iterator<Item = &'r Role>) -> Result<(), Unbuilt> {
    let custom =
        |role: &&Role| role.kamal_proxy().is_some_and(|proxy| matches!(proxy.tls, Tls::Custom { .. }));
    match roles.find(custom) {
        Some(role) => Err(Unbuilt {
            message: format!(
                "a certificate of one's own (`proxy: ssl`) is not supported yet, and {} has one",
                role.name
            ),
            hint: "`ssl: true` gets one from Let's Encrypt".into(),
        }),
        None => Ok(()),
    }
}

/// Whether these accessories can be booted: kamal-proxy, which one with `proxy` wants, isn't booted yet.
pub fn accessories<'a>(mut accessories: impl Iterator<Item = &'a Accessory>) -> Result<(), Unbuilt> {
    match accessories.find(|accessory| accessory.proxy.is_some()) {
        Some(accessory) => Err(Unbuilt {
            message: format!(
                "kamal-proxy is not supported yet, and should serve the accessory {}",
                accessory.name
            ),
            hint: format!(
                "without `accessories: {}: proxy:` it is booted; `port` publishes it",
                accessory.name
            ),
        }),
        None => Ok(()),
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
