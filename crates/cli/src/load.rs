//! Loading a project, and what reaches its servers: where this crate plugs `remote` into the engine.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use bowline_config::secret::Secret;
use bowline_config::{Diagnostics, Pairs};
use bowline_engine::ports::{Held, Loan, Local, LocalCommand, Network, OnLine, Output};
use bowline_engine::project;
use bowline_engine::template::Templates;
use bowline_engine::world::Project;
use bowline_remote::{LocalMachine, Prompt, SshNetwork};

use crate::args;
use crate::settings::Settings;
use crate::ui::prompt::{Asker, Lent};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct LoadError {
    /// What is wrong and what to do, ready to be shown.
    pub text: String,
}

/// Reads the configuration, and the secrets files as they stand; with the warnings.
pub async fn load(settings: &Settings) -> Result<(Project, Diagnostics), LoadError> {
    let Settings { config_file, destination, templates, .. } = settings;
    let commands = args::command_names();
    let loaded =
        project::load(&LocalMachine, templates, config_file, destination.as_deref(), &commands).await;
    loaded.map_err(|error| told(error, settings.err.0))
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

/// This machine, where programs that may ask have the terminal to themselves.
pub fn local_beside(asker: Asker) -> Arc<dyn Local> {
    Arc::new(Beside { asker, lent: Mutex::default() })
}

/// The machine beside a screen: the screen is still as long as a program may ask.
struct Beside {
    asker: Asker,
    /// One loan for all programs that run at the same time.
    lent: Mutex<Weak<Lent>>,
}

impl Beside {
    fn lend(&self) -> Arc<Lent> {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.upgrade().unwrap_or_else(|| {
            let new = Arc::new(self.asker.lend());
            *lent = Arc::downgrade(&new);
            new
        })
    }
}

#[async_trait]
impl Local for Beside {
    async fn run(&self, command: &LocalCommand, on_line: OnLine<'_>) -> Result<Output, String> {
        let _lent = (command.terminal != Loan::None && self.has_terminal()).then(|| self.lend());
        LocalMachine.run(command, on_line).await
    }

    fn read(&self, path: &str) -> Result<Option<String>, String> {
        LocalMachine.read(path)
    }

    fn read_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        LocalMachine.read_bytes(path)
    }

    fn list(&self, directory: &str) -> Vec<String> {
        LocalMachine.list(directory)
    }

    fn executable(&self, path: &str) -> Option<bool> {
        LocalMachine.executable(path)
    }

    fn hold(&self, path: &str) -> Result<Option<Held>, String> {
        LocalMachine.hold(path)
    }

    fn cache(&self) -> Result<String, String> {
        LocalMachine.cache()
    }

    fn has_terminal(&self) -> bool {
        LocalMachine.has_terminal()
    }

    fn variable(&self, name: &str) -> Option<String> {
        LocalMachine.variable(name)
    }

    fn now(&self) -> i64 {
        LocalMachine.now()
    }

    fn random_hex(&self, bytes: usize) -> String {
        LocalMachine.random_hex(bytes)
    }
}

/// Opens connections as the project's `ssh` section says; asks for passphrases on the terminal.
pub fn network(project: &Project, asker: Asker) -> Arc<dyn Network> {
    let options = bowline_remote::Options::from_env().with(project.config.timeouts);
    Arc::new(SshNetwork::new(project.config.ssh.clone(), options, Arc::new(Person(asker))))
}

struct Person(Asker);

impl Prompt for Person {
    fn passphrase(&self, key: &Path) -> Option<Secret> {
        self.0.passphrase(key)
    }
}
