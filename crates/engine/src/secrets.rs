//! Secrets: `.kamal/secrets-common` and `.kamal/secrets`, or `.kamal/secrets.DESTINATION`. Later files override earlier ones.
//!
//! Loading a project reads the files, but a value is resolved only when a run needs it, and only once. Most commands need
//! none, and a vendor's command takes seconds and may ask for a password. Values that don't depend on each other are
//! resolved in parallel.

pub mod adapters;
mod base64;
mod call;
mod evaluate;
pub mod extract;
pub mod fetch;
mod json;
mod tool;
mod trouble;
mod wanted;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};

use bowline_config::dotenv::{self, File, Part};
use bowline_config::{Config, Diagnostic, Diagnostics, unique};
use bowline_core::secrets::Secrets;
use futures_util::future::join_all;
use tokio::sync::OnceCell;

use crate::ports::Local;
use evaluate::{Evaluation, Failure, Value};
use fetch::Fetcher;
pub use trouble::Trouble;

/// The secrets files of a project, and the values resolved so far.
pub struct Store {
    path: String,
    destination: Option<String>,
    files: Vec<Evaluated>,
    /// Why an existing file can't be read.
    unreadable: Option<String>,
    /// Kamal 1's `.env`, if it exists and there is no secrets file. Bowline doesn't read it.
    passed_over: Option<String>,
    fetcher: Fetcher,
    warned: AtomicBool,
}

/// A file, and the values of its entries that were resolved so far.
struct Evaluated {
    file: File,
    values: Vec<OnceCell<Result<Value, Failure>>>,
}

/// The indexes of a file and of an entry in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    file: usize,
    entry: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// A file exists and can't be read.
    Unreadable(String),
    Invalid(Box<Diagnostics>),
    /// A command failed, or a variable is not set.
    Failed(Box<Diagnostics>),
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("files", &self.files()).finish_non_exhaustive()
    }
}

impl Store {
    /// Reads the files that exist. With a destination, ignores the plain file.
    pub fn load(local: &dyn Local, config: &Config) -> Self {
        let mut store = Self {
            path: config.secrets_path.clone(),
            destination: config.destination.clone(),
            files: Vec::new(),
            unreadable: None,
            passed_over: None,
            fetcher: Fetcher::new(config.destination.as_deref(), config.timeouts.secrets),
            warned: AtomicBool::new(false),
        };
        let legacy = local.variable(dotenv::LINEBREAK_MODE).is_some_and(|mode| mode == dotenv::LEGACY);
        for path in store.paths() {
            match local.read(&path) {
                Ok(Some(text)) => {
                    let file = dotenv::parse(path, &text, legacy);
                    let values = file.entries.iter().map(|_| OnceCell::new()).collect();
                    store.files.push(Evaluated { file, values });
                }
                Ok(None) => {}
                Err(reason) => store.unreadable = Some(reason),
            }
        }
        if store.files.is_empty() {
            let own = store.destination.as_ref().map(|destination| format!(".env.{destination}"));
            let kamal1 = own.into_iter().chain([".env".to_owned()]);
            store.passed_over = kamal1.into_iter().find(|path| local.kind(path).is_some());
        }
        store
    }

    /// The files to read. Later ones override earlier ones.
    fn paths(&self) -> [String; 2] {
        let own = match &self.destination {
            Some(destination) => format!("{}.{destination}", self.path),
            None => self.path.clone(),
        };
        [format!("{}-common", self.path), own]
    }

    pub fn files(&self) -> Vec<&str> {
        self.files.iter().map(|file| file.file.source.path.as_str()).collect()
    }

    /// Each name once, in the order of the files.
    pub fn names(&self) -> Vec<&str> {
        unique(self.files.iter().flat_map(|file| &file.file.entries).map(|entry| entry.key.as_str()))
    }

    /// The entry that defines a name.
    fn place(&self, name: &str) -> Option<Place> {
        self.files.iter().enumerate().rev().find_map(|(file, found)| {
            let entry = found.file.entries.iter().rposition(|entry| entry.key == name)?;
            Some(Place { file, entry })
        })
    }

    /// The entry that a name refers to on the line of another entry: the last definition above it in the same file.
    fn above(&self, place: Place, name: &str) -> Option<Place> {
        let above = self.files.get(place.file)?.file.entries.get(..place.entry)?;
        let entry = above.iter().rposition(|entry| entry.key == name)?;
        Some(Place { file: place.file, entry })
    }

    /// Checks that the files can be read and parsed.
    pub fn check(&self) -> Result<(), Unavailable> {
        if let Some(reason) = &self.unreadable {
            return Err(Unavailable::Unreadable(reason.clone()));
        }
        let errors = self.problems(|file| &file.errors);
        if errors.is_empty() {
            return Ok(());
        }
        Err(Unavailable::Invalid(Box::new(self.report(errors))))
    }

    /// Warnings about lines that probably don't mean what they say. Returned only once.
    pub fn warnings(&self) -> Option<Diagnostics> {
        let warnings = self.problems(|file| &file.warnings);
        if warnings.is_empty() || self.warned.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(self.report(warnings))
    }

    fn problems(&self, of: impl Fn(&File) -> &Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        for (number, file) in self.files.iter().enumerate() {
            problems.extend(of(&file.file).iter().map(|problem| problem.clone().in_file(number)));
        }
        problems
    }

    fn report(&self, problems: Vec<Diagnostic>) -> Diagnostics {
        dotenv::report(self.files.iter().map(|file| &file.file), problems)
    }

    /// Whether resolving these names still has to run a command.
    pub fn runs_commands(&self, names: &[&str]) -> bool {
        names.iter().filter_map(|name| self.place(name)).any(|place| self.needs_command(place))
    }

    fn needs_command(&self, place: Place) -> bool {
        let Some(file) = self.files.get(place.file) else { return false };
        let (Some(entry), Some(value)) = (file.file.entries.get(place.entry), file.values.get(place.entry))
        else {
            return false;
        };
        let refers = |part: &Part| match part {
            Part::Variable(variable) => {
                self.above(place, &variable.name).is_some_and(|above| self.needs_command(above))
            }
            _ => false,
        };
        !value.initialized() && (entry.has_command() || entry.parts.iter().any(refers))
    }

    /// The values of these names, resolved if necessary. Omits names that no file defines.
    pub async fn values(&self, local: &dyn Local, names: &[&str]) -> Result<Secrets, Unavailable> {
        self.check()?;
        let (secrets, failures) = self.work_out(local, names).await;
        if failures.is_empty() { Ok(secrets) } else { Err(self.unavailable(&failures)) }
    }

    /// The values of all names, except those that need an unset variable. This is for programs that get all secrets and may
    /// not need each of them.
    pub async fn all_set(&self, local: &dyn Local) -> Result<Secrets, Unavailable> {
        self.check()?;
        let (secrets, mut failures) = self.work_out(local, &self.names()).await;
        failures.retain(|failure| !failure.trouble.is_unset());
        if failures.is_empty() { Ok(secrets) } else { Err(self.unavailable(&failures)) }
    }

    /// The values of all names that can be resolved, and the errors of the others.
    pub async fn all(&self, local: &dyn Local) -> (Secrets, Option<Unavailable>) {
        if let Err(error) = self.check() {
            return (Secrets::new(), Some(error));
        }
        let (secrets, failures) = self.work_out(local, &self.names()).await;
        let error = (!failures.is_empty()).then(|| self.unavailable(&failures));
        (secrets, error)
    }

    async fn work_out(&self, local: &dyn Local, names: &[&str]) -> (Secrets, Vec<Failure>) {
        let evaluation = Evaluation { store: self, local };
        let wanted: Vec<(&str, Place)> =
            names.iter().filter_map(|name| Some((*name, self.place(name)?))).collect();
        let values = join_all(wanted.iter().map(|(_, place)| evaluation.entry(*place))).await;
        let (mut secrets, mut failures) = (Secrets::new(), Vec::new());
        for ((name, _), value) in wanted.into_iter().zip(values) {
            match value {
                Ok(value) => drop(secrets.insert(name.to_owned(), value.text)),
                // Several names may depend on the same failed line.
                Err(failure) if failures.contains(&failure) => {}
                Err(failure) => failures.push(failure),
            }
        }
        (secrets, failures)
    }

    fn unavailable(&self, failures: &[Failure]) -> Unavailable {
        let problems = failures.iter().map(Failure::problem).collect();
        let report = Box::new(self.report(problems));
        if failures.iter().all(|failure| failure.trouble.is_usage()) {
            Unavailable::Invalid(report)
        } else {
            Unavailable::Failed(report)
        }
    }
}
