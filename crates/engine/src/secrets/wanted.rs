//! Checks that the secrets that a run needs exist, and resolves their values.

use std::collections::BTreeSet;

use bowline_config::diagnostic::Severity;
use bowline_config::secret::Secret;
use bowline_config::{Diagnostics, MissingSecret};
use bowline_core::error::PlanError;
use bowline_core::secrets::Secrets;

use super::{Store, Unavailable};
use crate::error::{Result, RunError};
use crate::event::{Event, Phase};
use crate::project::Project;
use crate::world::World;

impl Project {
    /// The values of these secrets.
    ///
    /// # Errors
    /// All of them that no file defines or that can't be resolved, in one report.
    pub async fn secrets(&self, world: &World, names: &[String]) -> Result<Secrets> {
        let missing = self.undefined(names)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.tell(world, &names);
        let values = world.unless_stopped(self.secrets.values(world.local.as_ref(), &names)).await?;
        match (missing, values) {
            (None, values) => Ok(values?),
            (Some(missing), Ok(_)) => Err(invalid(missing)),
            (Some(missing), Err(Unavailable::Invalid(others) | Unavailable::Failed(others))) => {
                Err(invalid(missing.and(*others)))
            }
            (Some(_), Err(unreadable)) => Err(unreadable.into()),
        }
    }

    /// Empty values for these secrets, so that a plan that isn't applied runs no commands.
    pub fn stand_ins(&self, names: &[String]) -> Result<Secrets> {
        match self.undefined(names)? {
            Some(missing) => Err(invalid(missing)),
            None => Ok(names.iter().map(|name| (name.clone(), Secret::default())).collect()),
        }
    }

    /// The values of all secrets for hooks, without those that refer to an unset variable.
    pub async fn hook_secrets(&self, world: &World) -> Result<Secrets> {
        self.tell(world, &self.secrets.names());
        Ok(world.unless_stopped(self.secrets.all_set(world.local.as_ref())).await??)
    }

    /// The names that no file defines. The files must be valid.
    fn undefined(&self, names: &[String]) -> Result<Option<Diagnostics>> {
        if names.is_empty() {
            return Ok(None);
        }
        self.secrets.check()?;
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        Ok(self.missing_secrets(names.into_iter().collect(), Severity::Error))
    }

    /// Problems with the secrets that the configuration names: undefined ones, and errors in the files. Resolves nothing.
    pub fn doubtful_secrets(&self) -> Vec<Diagnostics> {
        let files = match self.secrets.check() {
            Ok(()) => self.secrets.warnings(),
            Err(Unavailable::Invalid(errors) | Unavailable::Failed(errors)) => Some(*errors),
            Err(Unavailable::Unreadable(_)) => None,
        };
        // A project without any secrets file was just cloned, unless it still has Kamal 1's `.env`.
        let cloned = self.secrets.files().is_empty() && self.secrets.passed_over.is_none();
        let names = if cloned { Vec::new() } else { self.secret_uses.names() };
        let missing = self.missing_secrets(names, Severity::Warning);
        files.into_iter().chain(missing).collect()
    }

    fn missing_secrets(&self, names: Vec<&str>, severity: Severity) -> Option<Diagnostics> {
        let known = self.secrets.names();
        let help = |name: &str| self.secrets.where_to_write(name);
        let missing: Vec<(&str, String)> =
            names.into_iter().filter(|name| !known.contains(name)).map(|name| (name, help(name))).collect();
        if missing.is_empty() {
            return None;
        }
        let missing: Vec<MissingSecret<'_>> =
            missing.iter().map(|(name, help)| MissingSecret { name, known: &known, help }).collect();
        Some(self.secret_uses.missing(&missing, severity))
    }

    /// The error of a plan. If the value of a secret is wrong, the error has the places that name the secret.
    pub fn unplanned(&self, error: PlanError) -> RunError {
        match &error {
            PlanError::WrongSecret { name, message, hint } => {
                RunError::Invalid(Box::new(self.secret_uses.wrong(name, message, hint)))
            }
            _ => error.into(),
        }
    }

    /// Reports the warnings of the files, and that resolving may take a while.
    fn tell(&self, world: &World, names: &[&str]) {
        for text in self.secrets.warnings().iter().flat_map(notes) {
            world.events.emit(Event::Note { host: None, text });
        }
        if self.secrets.runs_commands(names) {
            world.events.emit(Event::Phase(Phase::Secrets));
        }
    }
}

fn invalid(errors: Diagnostics) -> RunError {
    RunError::Invalid(Box::new(errors))
}

fn notes(warnings: &Diagnostics) -> Vec<String> {
    warnings
        .iter()
        .map(|warning| {
            let place = warnings.locate(warning);
            let help = warning.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{}:{}:{}: {}{help}", place.path, place.line, place.column, warning.message)
        })
        .collect()
}

impl Store {
    /// The help for a secret that no file defines.
    fn where_to_write(&self, name: &str) -> String {
        let [common, own] = self.paths();
        let read = match self.files().as_slice() {
            [] => {
                let kamal1 = self.passed_over.as_ref().map_or(String::new(), |path| {
                    format!("{path} is not read, unlike in Kamal 1: move its secrets to {own}; ")
                });
                return format!(
                    "{kamal1}there is neither {common} nor {own}: write `{name}=…` into one of them"
                );
            }
            [only] => format!("{only} is the only file that was read"),
            files => format!("{} were read", files.join(" and ")),
        };
        let passed_over = self.destination.as_ref().map_or(String::new(), |destination| {
            format!(", and {} is not with the destination {destination}", self.path)
        });
        format!("add `{name}=…` to {own}; {read}{passed_over}")
    }
}

impl From<Unavailable> for RunError {
    fn from(error: Unavailable) -> Self {
        match error {
            Unavailable::Unreadable(message) => RunError::Usage { message, hint: None },
            Unavailable::Invalid(errors) => RunError::Invalid(errors),
            Unavailable::Failed(errors) => RunError::Secrets(errors),
        }
    }
}
