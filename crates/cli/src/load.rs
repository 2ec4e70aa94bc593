//! Loads a project, and connects this crate's `remote` to the engine.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bowline_config::secret::Secret;
use bowline_config::{Diagnostics, Pairs};
use bowline_engine::ports::{Local, Network};
use bowline_engine::project;
use bowline_engine::project::Project;
use bowline_engine::template::Templates;
use bowline_remote::{LocalMachine, NewHosts, Prompt, SshNetwork};

use crate::args;
use crate::settings::Settings;
use crate::ui::paint::Paint;
use crate::ui::prompt::{Asker, Lent};
use crate::ui::report;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct LoadError {
    /// What is wrong and what to do, ready for display.
    pub text: String,
}

/// Reads the configuration and the secrets files, without resolving secrets. Also returns the warnings.
pub async fn load(settings: &Settings) -> Result<(Project, Diagnostics), LoadError> {
    read(settings).await.map_err(|error| render(error, settings.err.0))
}

/// Like [`load`], with the original error.
pub async fn read(settings: &Settings) -> Result<(Project, Diagnostics), project::LoadError> {
    let Settings { config_file, destination, templates, .. } = settings;
    let commands = args::command_names();
    project::load(&LocalMachine::default(), templates, config_file, destination.as_deref(), &commands).await
}

/// Reads the aliases. Without a configuration there are none.
pub async fn aliases(
    config_file: &str,
    destination: Option<&str>,
    templates: &Templates,
    colour: bool,
) -> Result<Pairs, LoadError> {
    match project::aliases(&LocalMachine::default(), templates, config_file, destination).await {
        Ok(aliases) => Ok(aliases),
        Err(project::LoadError::Missing { path, .. }) if path == config_file => Ok(Pairs::new()),
        Err(error) => Err(render(error, colour)),
    }
}

fn render(error: project::LoadError, colour: bool) -> LoadError {
    if let project::LoadError::Invalid(errors) = error {
        return LoadError { text: errors.render(colour) };
    }
    let lines = report::mistake(&error.to_string(), error.hint(), Paint(colour));
    LoadError { text: lines.join("\n") }
}

/// This machine, with a screen that stands still while a program uses the terminal.
pub fn local_beside(asker: Asker) -> Arc<dyn Local> {
    // Programs that run at the same time share one loan.
    let lent = Mutex::new(Weak::<Lent>::new());
    Arc::new(LocalMachine::lending(move || {
        let mut lent = lent.lock().unwrap_or_else(PoisonError::into_inner);
        Box::new(lent.upgrade().unwrap_or_else(|| {
            let new = Arc::new(asker.lend());
            *lent = Arc::downgrade(&new);
            new
        }))
    }))
}

/// Connects as the project's `ssh` section says, and asks for passphrases on the terminal.
pub fn network(project: &Project, asker: Asker, new_hosts: NewHosts) -> Arc<dyn Network> {
    let options = bowline_remote::Options::from_env().with(project.config.timeouts);
    let options = bowline_remote::Options { new_hosts, ..options };
    Arc::new(SshNetwork::new(project.config.ssh.clone(), options, Arc::new(Person(asker))))
}

struct Person(Asker);

impl Prompt for Person {
    fn passphrase(&self, key: &Path) -> Option<Secret> {
        self.0.passphrase(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::{Follow, Renderer, Screen};
    use bowline_engine::event::Event;

    struct Dark;

    impl Renderer for Dark {
        fn event(&mut self, _: &Event) {}
    }

    #[test]
    fn the_machine_beside_a_screen_knows_its_companions() {
        let screen = Screen::with(Box::new(Dark), Follow::No, || {});
        let own = std::env::current_exe().unwrap();
        let name = own.file_name().unwrap().to_str().unwrap();
        let found = local_beside(Asker::new(&screen.handle())).companion(name);
        assert_eq!(found, own.display().to_string());
    }
}
