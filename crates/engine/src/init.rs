//! Starts a project: writes its files, and never overwrites one.

use bowline_config::init::{HOOKS, NewProject, NewProxy, SECRETS};

use crate::error::{Result, RunError};
use crate::ports::{Files, Local};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    New(String),
    Kept(String),
}

/// Writes the configuration, the secrets file and, if there is no hooks directory, sample hooks. The project's name
/// comes from `directory`.
pub fn init<M: Local + Files>(
    machine: &M,
    config_file: &str,
    directory: &str,
    behind: NewProxy,
) -> Result<Vec<Written>> {
    let dockerfile = machine.read("Dockerfile").unwrap_or_default();
    let project = NewProject::new(directory, dockerfile.as_deref());
    let samples = !machine.exists(HOOKS);
    let mut written = vec![
        write(machine, config_file, &project.config(behind), false)?,
        write(machine, SECRETS, &project.secrets(), false)?,
    ];
    if samples {
        for (path, text) in behind.hooks() {
            written.push(write(machine, &path, text, true)?);
        }
    } else {
        written.push(Written::Kept(HOOKS.into()));
    }
    Ok(written)
}

fn write(files: &impl Files, path: &str, text: &str, executable: bool) -> Result<Written> {
    match files.create(path, text, executable) {
        Ok(true) => Ok(Written::New(path.into())),
        Ok(false) => Ok(Written::Kept(path.into())),
        Err(reason) => Err(RunError::local(format!("writing {path}"), reason, None)),
    }
}
