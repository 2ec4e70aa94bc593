//! Where the other crates are plugged in: the one file that names what loads a project, what reaches servers
//! and what carries out a command. Everything else here speaks to these functions.

use std::sync::Arc;

use bowline_core::commands::logs::Lines;
use bowline_core::plan::{Kind, Plan};
use bowline_engine::error::RunError;
use bowline_engine::ports::{Local, Network};
use bowline_engine::world::{HostOutput, Options, Project, World};

use crate::ui::prompt::Asker;

/// Why a project can't be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct LoadError {
    /// The diagnostics, rendered (with colours, if they were asked for).
    pub text: String,
}

/// A command to run in the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// Its words.
    pub words: Vec<String>,
    /// Further variables.
    pub env: Vec<(String, String)>,
    /// In the container that serves, not in a new one.
    pub reuse: bool,
}

fn not_wired<T>() -> Result<T, RunError> {
    Err(RunError::Usage { message: "not wired".into(), hint: None })
}

/// This machine.
pub fn local() -> Result<Arc<dyn Local>, RunError> {
    not_wired()
}

/// Opens connections as the project's `ssh` section says. `asker` becomes the `Prompt`.
pub fn network(_project: &Project, _asker: Asker) -> Result<Arc<dyn Network>, RunError> {
    not_wired()
}

/// Reads the configuration and the secrets; with the warnings, rendered.
pub async fn load_project(
    _config_file: &str,
    _destination: Option<&str>,
    _local: &dyn Local,
    _colour: bool,
) -> Result<(Project, Vec<String>), LoadError> {
    Err(LoadError { text: "not wired".into() })
}

/// The project's configuration as YAML, secrets hidden.
pub fn show_config(_project: &Project) -> String {
    String::new()
}

/// Deploys, redeploys or boots.
pub async fn deploy(_: &World, _: &Project, _: &Options, _: Kind) -> Result<(), RunError> {
    not_wired()
}

/// Goes back to a version, or to the one before.
pub async fn rollback(_: &World, _: &Project, _: &Options, _version: Option<String>) -> Result<(), RunError> {
    not_wired()
}

/// Decides what a run would do; changes nothing. For [`Kind::Rollback`] the version is `options.version`.
pub async fn plan(_: &World, _: &Project, _: &Options, _: Kind) -> Result<Plan, RunError> {
    not_wired()
}

/// Runs a command in the app.
pub async fn exec(_: &World, _: &Project, _: &Options, _: &ExecRequest) -> Result<Vec<HostOutput>, RunError> {
    not_wired()
}

/// The app's logs. Those that are followed come as events.
pub async fn logs(_: &World, _: &Project, _: &Options, _: &Lines) -> Result<Vec<HostOutput>, RunError> {
    not_wired()
}

/// The app's running containers.
pub async fn details(_: &World, _: &Project, _: &Options) -> Result<Vec<HostOutput>, RunError> {
    not_wired()
}

/// The version that serves.
pub async fn versions(_: &World, _: &Project, _: &Options) -> Result<Vec<HostOutput>, RunError> {
    not_wired()
}

/// The audit log's last lines.
pub async fn audit(_: &World, _: &Project, _: &Options, _lines: usize) -> Result<Vec<HostOutput>, RunError> {
    not_wired()
}

/// The deploy lock's details, if it is held.
pub async fn lock_status(_: &World, _: &Project, _: &Options) -> Result<Option<String>, RunError> {
    not_wired()
}

/// Takes the deploy lock.
pub async fn lock_acquire(_: &World, _: &Project, _: &Options, _message: &str) -> Result<(), RunError> {
    not_wired()
}

/// Gives the deploy lock back; `false` if there was none.
pub async fn lock_release(_: &World, _: &Project, _: &Options) -> Result<bool, RunError> {
    not_wired()
}
