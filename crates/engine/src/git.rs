//! What git says of the project's repository.

use crate::local::{Limit, within};
use crate::ports::LocalCommand;
use crate::world::World;

/// The standard output of a program here that may fail; `None` if it did.
async fn said(world: &World, words: &[&str]) -> Option<String> {
    let words = words.iter().map(|word| (*word).to_string()).collect();
    let command = LocalCommand { words, ..Default::default() };
    let output = within(world.local.as_ref(), &command, Limit::command(world), &|_| {}).await.ok()?;
    output.success().then_some(output.stdout)
}

/// Its answer without white space around it, if there is one.
pub(crate) async fn ask(world: &World, words: &[&str]) -> Option<String> {
    let said = said(world, words).await?;
    Some(said.trim().to_string()).filter(|said| !said.is_empty())
}

/// The last commit; `None` where there is no repository, or nothing in it.
pub(crate) async fn revision(world: &World) -> Option<String> {
    ask(world, &["git", "rev-parse", "HEAD"]).await
}

/// The repository's root, and the project's place in it: empty, or a path that ends with `/`.
pub(crate) async fn place(world: &World) -> Option<(String, String)> {
    let said = said(world, &["git", "rev-parse", "--show-toplevel", "--show-prefix"]).await?;
    let mut lines = said.lines();
    Some((lines.next()?.to_string(), lines.next().unwrap_or_default().to_string()))
}

/// What isn't as committed, a file a line, as `git status --porcelain` has it.
pub(crate) async fn uncommitted(world: &World) -> Vec<String> {
    let said = said(world, &["git", "status", "--porcelain"]).await.unwrap_or_default();
    said.lines().map(str::to_owned).collect()
}

/// Files of the project, as `git ls-files` lists them with this flag.
pub(crate) async fn files(world: &World, flag: &str) -> Vec<String> {
    let listed = said(world, &["git", "ls-files", "-z", flag]).await.unwrap_or_default();
    listed.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect()
}
