//! What is built: a clean clone of the repository, or the directory that `builder: context:` names, as it is.
//!
//! A clone is kept for the next time. Two builds of a project at once (two destinations, say) each get their own:
//! one must not change the files under the other.

use std::path::PathBuf;

use bowline_core::commands::clone::{CleanClone, project_directory};
use bowline_core::config::Config;
use hmac_sha256::Hash;

use crate::error::RunError;
use crate::event::{Event, Phase};
use crate::git;
use crate::local::{Failed, ask};
use crate::ports::Held;
use crate::world::World;

/// So many builds of a project at once.
const AT_ONCE: usize = 100;
/// So many files are named where people are told of them.
const NAMED: usize = 5;

/// Where a build runs.
pub(crate) struct Source {
    /// The directory; this process's own if none.
    pub directory: Option<PathBuf>,
    /// The build's context, as seen from there.
    pub context: String,
    /// As long as it is held, nobody else touches the clone.
    _held: Option<Held>,
}

impl Source {
    /// The directory of the `context`, or this one, with whatever is in it.
    pub(crate) fn as_it_is(config: &Config) -> Self {
        let context = config.builder.context.clone().unwrap_or_else(|| ".".into());
        Self { directory: None, context, _held: None }
    }
}

/// Makes ready what is built, and says which changes are in it or left out of it.
pub(crate) async fn source(world: &World, config: &Config) -> Result<Source, RunError> {
    let changes = git::uncommitted(world).await;
    if config.builder.context.is_some() {
        tell(world, "building with uncommitted changes", &changes);
        return Ok(Source::as_it_is(config));
    }
    let (revision, place) = (git::revision(world).await, git::place(world).await);
    let (Some(revision), Some((root, prefix))) = (revision, place) else {
        let text = "this is no git repository with a commit: building the directory as it is";
        world.events.emit(Event::Note { host: None, text: text.into() });
        return Ok(Source::as_it_is(config));
    };
    tell(world, "building what is committed, without these uncommitted changes", &changes);
    let temporary = world.local.variable("TMPDIR").filter(|directory| !directory.is_empty());
    let temporary = temporary.unwrap_or_else(|| "/tmp".into());
    let hash: String = Hash::hash(project_directory(&root, &prefix).as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let clone =
        |number| CleanClone::new(&temporary, (&config.service, &hash), (&root, &prefix), &revision, number);
    let (clone, held) = free(world, clone)?;
    prepare(world, &clone, &revision).await?;
    Ok(Source { directory: Some(clone.project().into()), context: ".".into(), _held: Some(held) })
}

fn tell(world: &World, what: &str, changes: &[String]) {
    if !changes.is_empty() {
        let text = format!("{what}: {}", listed(changes, NAMED));
        world.events.emit(Event::Note { host: None, text });
    }
}

/// So many of them, and how many more there are.
pub(crate) fn listed(files: &[String], most: usize) -> String {
    let mut named: Vec<&str> = files.iter().take(most).map(|file| file.trim()).collect();
    let more = format!("and {} more", files.len().saturating_sub(most));
    if files.len() > most {
        named.push(&more);
    }
    named.join(", ")
}

/// The first clone that no other build is using.
fn free(world: &World, clone: impl Fn(usize) -> CleanClone) -> Result<(CleanClone, Held), RunError> {
    for number in 1..=AT_ONCE {
        let clone = clone(number);
        let held = world.local.hold(&clone.lock()).map_err(|reason| RunError::Local {
            what: "preparing the build".into(),
            reason,
            hint: Some("TMPDIR names the directory for clones; it has to be yours to write to".into()),
            standing: Vec::new(),
        })?;
        if let Some(held) = held {
            return Ok((clone, held));
        }
    }
    Err(RunError::Local {
        what: "preparing the build".into(),
        reason: format!("{AT_ONCE} other builds of this project are running"),
        hint: None,
        standing: Vec::new(),
    })
}

/// Brings it to the commit; one that can't be is made anew, once.
async fn prepare(world: &World, clone: &CleanClone, revision: &str) -> Result<(), RunError> {
    world.events.emit(Event::Phase(Phase::Clone(clone.directory())));
    let there = world.local.executable(&clone.git_directory()).is_some();
    let first = if there { reset(world, clone, revision).await } else { make(world, clone, revision).await };
    let Err(failed) = first else { return Ok(()) };
    if let Failed::Because(reason) = &failed {
        let line = reason.lines().next().unwrap_or_default();
        let text = format!("the clone is not as it should be ({line}): making it anew");
        world.events.emit(Event::Note { host: None, text });
    }
    make(world, clone, revision).await.map_err(|failed| {
        let hint = "`builder: {context: .}` builds the working directory without a clone";
        failed.at("cloning the repository", Some(hint.into()))
    })
}

async fn make(world: &World, clone: &CleanClone, revision: &str) -> Result<(), Failed> {
    ask(world, &clone.discard()).await?;
    for words in clone.make() {
        ask(world, &words).await?;
    }
    validate(world, clone, revision).await
}

async fn reset(world: &World, clone: &CleanClone, revision: &str) -> Result<(), Failed> {
    for words in clone.reset() {
        ask(world, &words).await?;
    }
    // It goes as well untidied.
    if let Err(Failed::Stopped) = ask(world, &clone.tidy()).await {
        return Err(Failed::Stopped);
    }
    validate(world, clone, revision).await
}

async fn validate(world: &World, clone: &CleanClone, revision: &str) -> Result<(), Failed> {
    let head = ask(world, &clone.head()).await?.stdout;
    if head.trim() != revision {
        return Err(Failed::Because(format!("it is at {} and not at {revision}", head.trim())));
    }
    let changes = ask(world, &clone.status()).await?.stdout;
    match changes.trim() {
        "" => Ok(()),
        changes => Err(Failed::Because(format!("it has changes: {changes}"))),
    }
}
