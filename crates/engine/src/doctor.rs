//! `doctor`: checks everything that a deploy depends on, on this machine and on the servers. Changes nothing on the servers.
//!
//! A check that can't run becomes a finding, and the other checks continue. [`bowline_core::doctor`] evaluates the servers.

mod here;
mod names;
mod servers;

use bowline_config::Diagnostics;
use bowline_core::doctor::{Finding, Topic};
use bowline_core::secrets::Secrets;
use bowline_core::selection::servers as hosts_of;

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::ports::Local;
use crate::project::LoadError;
use crate::project::Project;

/// The checks that need no project, and why the project can't be loaded.
pub async fn without_project(local: &dyn Local, error: &LoadError) -> Vec<Finding> {
    let mut found = here::tools(local, None).await;
    found.extend(match error {
        LoadError::Missing { path, hint } => vec![Finding::problem(
            Topic::Configuration,
            format!("there is no configuration at {path}"),
            format!("{hint}; `bowline init` starts a new project"),
        )],
        LoadError::Unreadable { reason, .. } => {
            vec![Finding::problem(Topic::Configuration, reason.clone(), "check the file's permissions")]
        }
        LoadError::Invalid(errors) => said(Topic::Configuration, errors, Finding::problem),
    });
    found
}

/// Runs all checks. `warnings` are those of the configuration.
///
/// # Errors
/// Filters that match nothing, or an interruption.
pub async fn examine(call: Call<'_>, warnings: Option<&Diagnostics>) -> Result<Vec<Finding>> {
    let hosts = hosts_of(call.config(), &call.options.filters)?;
    let mut found = here::tools(call.world.local.as_ref(), Some(call.config())).await;
    found.extend(here::project(call, warnings).await);
    let (secrets, of_secrets) = here::secrets(call).await?;
    found.extend(of_secrets);
    found.extend(here::login(call, secrets.as_ref()).await);
    found.extend(here::certificates(call, secrets.as_ref()));
    found.extend(names::findings(call).await);
    found.extend(servers::findings(call, &hosts, secrets.as_ref()).await?);
    found.sort_by_key(|finding| (finding.host.is_some(), finding.topic));
    Ok(found)
}

/// Converts each diagnostic to a finding with its place.
fn said(topic: Topic, all: &Diagnostics, level: impl Fn(Topic, String, String) -> Finding) -> Vec<Finding> {
    let of = |one| {
        let place = all.locate(one);
        let text = format!("{}:{}:{}: {}", place.path, place.line, place.column, one.message);
        let hint = one.help.clone().or_else(|| one.note.clone());
        let finding = level(topic, text, hint.clone().unwrap_or_default());
        Finding { hint, ..finding }
    };
    all.iter().map(of).collect()
}

/// Converts an error to findings. An interruption stays an error.
fn problem(topic: Topic, error: RunError) -> Result<Vec<Finding>> {
    let of = |text: String, hint: Option<String>| {
        let finding = Finding::problem(topic, text, "");
        vec![Finding { hint, ..finding }]
    };
    Ok(match error {
        RunError::Interrupted { .. } => return Err(error),
        RunError::Invalid(errors) | RunError::Secrets(errors) => said(topic, &errors, Finding::problem),
        RunError::Usage { message, hint } => of(message, hint),
        RunError::Local { what, reason, hint, .. } => of(format!("{what} failed: {reason}"), hint),
        RunError::Locked { .. } | RunError::Servers { .. } => of(error.to_string(), None),
    })
}

/// Empty values for secrets that can't be resolved. Planning doesn't need the values.
fn stand_ins(project: &Project) -> Secrets {
    project.secret_uses.names().into_iter().map(|name| (name.to_owned(), Default::default())).collect()
}
