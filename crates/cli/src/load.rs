//! Loading a project, and what reaches its servers: where this crate plugs `remote` into the engine.

use std::path::Path;
use std::sync::Arc;

use bowline_core::config::Pairs;
use bowline_core::secret::Secret;
use bowline_engine::ports::{Local, Network};
use bowline_engine::project;
use bowline_engine::template::Templates;
use bowline_engine::world::Project;
use bowline_remote::{LocalMachine, Options, Prompt, SshNetwork};

use crate::ui::prompt::Asker;

/// Why a project can't be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct LoadError {
    /// What is wrong and what to do, ready to be shown.
    pub text: String,
}

/// Reads the configuration and the secrets; with the warnings, rendered.
pub async fn load(
    config_file: &str,
    destination: Option<&str>,
    templates: &Templates,
    local: &dyn Local,
    colour: bool,
) -> Result<(Project, Vec<String>), LoadError> {
    match project::load(local, templates, config_file, destination).await {
        Ok((project, warnings)) if warnings.is_empty() => Ok((project, Vec::new())),
        Ok((project, warnings)) => Ok((project, vec![warnings.render(colour)])),
        Err(error) => Err(told(error, colour)),
    }
}

/// Reads the aliases; without a configuration there are none.
pub async fn aliases(
    config_file: &str,
    destination: Option<&str>,
    templates: &Templates,
    colour: bool,
) -> Result<Pairs, LoadError> {
    match project::aliases(&LocalMachine, templates, config_file, destination).await {
        Ok(aliases) => Ok(aliases),
        Err(project::LoadError::Missing { path, .. }) if path == config_file => Ok(Pairs::new()),
        Err(error) => Err(told(error, colour)),
    }
}

fn told(error: project::LoadError, colour: bool) -> LoadError {
    if let project::LoadError::Invalid(errors) = error {
        return LoadError { text: errors.render(colour) };
    }
    let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    LoadError { text: format!("error: {error}{hint}") }
}

/// This machine.
pub fn local() -> Arc<dyn Local> {
    Arc::new(LocalMachine)
}

/// Opens connections as the project's `ssh` section says; asks for passphrases on the terminal.
pub fn network(project: &Project, asker: Asker) -> Arc<dyn Network> {
    Arc::new(SshNetwork::new(project.config.ssh.clone(), Options::from_env(), Arc::new(Terminal(asker))))
}

/// The person at the keyboard.
struct Terminal(Asker);

impl Prompt for Terminal {
    fn passphrase(&self, key: &Path) -> Option<Secret> {
        self.0.passphrase(key)
    }
}
