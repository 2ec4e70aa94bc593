//! Asks git about the project's repository: the one that contains the project's directory.
//!
//! If git itself started us, in a hook or an alias, its variables point to a repository. Usually it is the
//! project's own. We then unset the variables, because they may be relative to another directory or name the wrong
//! root. If they point to another repository, as in a deploy from a bare repository with files checked out
//! elsewhere, we keep them.

use bowline_config::secret::Secret;
use bowline_core::commands::clone::{Place, REPOSITORY_VARIABLES, repository_variables};

use crate::error::{Result, RunError};
use crate::local::{Limit, last, within};
use crate::ports::{LocalCommand, Output};
use crate::world::World;

async fn run(world: &World, words: &[&str], without: &[String]) -> Result<Output, String> {
    let command = LocalCommand {
        words: words.iter().map(|word| (*word).to_string()).collect(),
        env: vec![("LC_ALL".into(), Secret::new("C"))],
        without: without.to_vec(),
        ..Default::default()
    };
    within(world.local.as_ref(), &command, Limit::command(world), &|_| {}).await
}

/// The variables that point git to a repository. Our git commands in other repositories must not get them.
pub(crate) async fn variables(world: &World) -> Vec<String> {
    let listed = run(world, &["git", "rev-parse", "--local-env-vars"], &[]).await;
    repository_variables(&listed.map(|output| output.stdout).unwrap_or_default())
}

/// The variables to unset, because they keep git from finding the project's own repository.
async fn in_the_way(world: &World) -> Vec<String> {
    if !REPOSITORY_VARIABLES.iter().any(|name| world.local.variable(name).is_some()) {
        return Vec::new();
    }
    let all = variables(world).await;
    let words = ["git", "rev-parse", "--absolute-git-dir"];
    let (given, found) = (run(world, &words, &[]).await, run(world, &words, &all).await);
    let path =
        |answer: Result<Output, String>| answer.ok().filter(Output::success).map(|output| output.stdout);
    match (path(given), path(found)) {
        (Some(given), found) if found.as_ref() != Some(&given) => Vec::new(),
        _ => all,
    }
}

/// The standard output of a program on this machine; `None` if it failed.
async fn said(world: &World, words: &[&str]) -> Option<String> {
    let output = run(world, words, &in_the_way(world).await).await.ok()?;
    output.success().then_some(output.stdout)
}

/// The trimmed standard output of a program on this machine; `None` if it failed or printed nothing.
pub(crate) async fn ask(world: &World, words: &[&str]) -> Option<String> {
    let said = said(world, words).await?;
    Some(said.trim().to_string()).filter(|said| !said.is_empty())
}

/// The last commit; `None` if there is no repository or no commit.
///
/// # Errors
/// Git's message if it can't read the repository, for example because it belongs to another user.
pub(crate) async fn revision(world: &World) -> Result<Option<String>> {
    let without = in_the_way(world).await;
    let Ok(output) = run(world, &["git", "rev-parse", "HEAD"], &without).await else { return Ok(None) };
    if output.success() {
        return Ok(Some(output.stdout.trim().to_owned()).filter(|commit| !commit.is_empty()));
    }
    const ABSENT: [&str; 2] = ["not a git repository", "unknown revision"];
    if ABSENT.iter().any(|words| output.stderr.contains(words)) {
        return Ok(None);
    }
    let hint = "with `--version V` and `builder: {context: .}` Bowline doesn't need git";
    Err(RunError::local("`git rev-parse HEAD`", last(&output.stderr), Some(hint.into())))
}

pub(crate) async fn place(world: &World) -> Option<Place> {
    let words = ["git", "rev-parse", "--show-toplevel", "--show-prefix", "--absolute-git-dir"];
    let without = in_the_way(world).await;
    let said = run(world, &words, &without).await.ok().filter(Output::success)?.stdout;
    let mut lines = said.lines().map(str::to_owned);
    let (root, prefix) = (lines.next()?, lines.next().unwrap_or_default());
    let elsewhere = without.is_empty() && world.local.variable("GIT_DIR").is_some();
    let repository = lines.next().filter(|_| elsewhere).unwrap_or_else(|| root.clone());
    Some(Place { root, prefix, repository })
}

/// The address of the remote that this repository came from.
pub(crate) async fn remote(world: &World, root: &str) -> Option<String> {
    let branch = ask(world, &["git", "symbolic-ref", "--quiet", "--short", "HEAD"]).await;
    let name = match branch {
        Some(branch) => ask(world, &["git", "config", "--get", &format!("branch.{branch}.remote")]).await,
        None => None,
    };
    let name = name.filter(|name| name != ".").unwrap_or_else(|| "origin".into());
    let address = ask(world, &["git", "config", "--get", &format!("remote.{name}.url")]).await?;
    let relative = address.starts_with("./") || address.starts_with("../");
    Some(if relative { format!("{root}/{address}") } else { address })
}

/// The uncommitted changes, one file per line, as `git status --porcelain` prints them.
pub(crate) async fn uncommitted(world: &World) -> Vec<String> {
    let said = said(world, &["git", "status", "--porcelain"]).await.unwrap_or_default();
    said.lines().map(str::to_owned).collect()
}

pub(crate) async fn files(world: &World, flag: &str) -> Vec<String> {
    let listed = said(world, &["git", "ls-files", "-z", flag]).await.unwrap_or_default();
    listed.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect()
}
