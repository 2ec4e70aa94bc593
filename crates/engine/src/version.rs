//! The version of a run and the person who runs it, from the options, the environment and git.

use jiff::Timestamp;

use bowline_config::Config;

use crate::error::{Result, RunError};
use crate::git::{self, ask};
use crate::world::{Options, World};

/// The value of `--version`, else of the variable `VERSION`, else git's commit. `_uncommitted_…` is appended if the
/// build includes uncommitted changes, which it does with a `builder: context:` and doesn't from a clone.
pub async fn resolve(world: &World, config: &Config, options: &Options) -> Result<String> {
    let given = options.version.clone().filter(|version| !version.is_empty());
    let version =
        match given.or_else(|| world.local.variable("VERSION").filter(|version| !version.is_empty())) {
            Some(version) => version,
            None => from_git(world, config).await?,
        };
    check(&version)?;
    Ok(version)
}

/// Checks that a version is a valid image tag.
pub fn check(version: &str) -> Result<()> {
    let tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let first = version.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    if first && version.len() <= 128 && version.chars().all(tag) {
        return Ok(());
    }
    Err(RunError::Usage {
        message: format!("`{version}` can't be a version: it becomes an image tag"),
        hint: Some("letters, digits, `_`, `.` and `-`, at most 128, not beginning with `.` or `-`".into()),
    })
}

async fn from_git(world: &World, config: &Config) -> Result<String> {
    let Some(commit) = git::revision(world).await? else {
        return Err(RunError::Usage {
            message: "no version: this directory is not in a git repository that has a commit".into(),
            hint: Some("give one with `--version` or the variable VERSION, or commit your work".into()),
        });
    };
    if config.builder.context.is_some() && !git::uncommitted(world).await.is_empty() {
        return Ok(format!("{commit}_uncommitted_{}", world.local.random_hex(8)));
    }
    Ok(commit)
}

/// The person who runs this, for the audit log and hooks: git's `user.email`, else the login name.
pub async fn performer(world: &World) -> String {
    if let Some(email) = ask(world, &["git", "config", "user.email"]).await {
        return email;
    }
    ask(world, &["whoami"]).await.unwrap_or_else(|| "unknown".into())
}

/// The current time, as `2026-01-02T03:04:05Z`.
pub fn now(world: &World) -> String {
    Timestamp::from_second(world.local.now()).unwrap_or_default().to_string()
}

pub async fn lock_details(world: &World, version: &str, message: &str) -> String {
    let who = ask(world, &["git", "config", "user.name"]).await;
    let who = who.unwrap_or_else(|| "Unknown".into());
    bowline_core::commands::lock::details(&who, &now(world), version, message)
}

pub const AUTOMATIC: &str = "Automatic deploy lock";
