//! The source of a build: a clean clone of the repository, or the directory in `builder: context:` as it is.
//!
//! Clones are kept for the next build. Simultaneous builds of a project (of two destinations, say) use separate clones,
//! because neither may change the other's files.

use std::path::PathBuf;

use bowline_config::Config;
use bowline_core::commands::clone::{
    CleanClone, Place, has_relative_address, project_directory, unsound_submodules,
};
use sha2::{Digest as _, Sha256};

use crate::error::{Result, RunError};
use crate::event::{Event, Phase};
use crate::git;
use crate::local::{Failed, ask_without, error_line};
use crate::ports::{Held, Output};
use crate::world::World;

/// The maximum number of builds of a project at the same time.
const AT_ONCE: usize = 100;
const NAMED: usize = 5;

/// Where a build runs.
pub(crate) struct Source {
    /// The directory in which the build runs. `None` is this process's own.
    pub directory: Option<PathBuf>,
    /// The build's context, relative to the directory.
    pub context: String,
    /// The lock that keeps other builds from using the clone.
    _held: Option<Held>,
}

impl Source {
    /// The directory of the `context`, or the current one, with its uncommitted files.
    pub(crate) fn as_it_is(config: &Config) -> Self {
        let context = config.builder.context.clone().unwrap_or_else(|| ".".into());
        Self { directory: None, context, _held: None }
    }
}

/// Prepares the source of a build, and reports uncommitted changes that are included or left out.
pub(crate) async fn source(world: &World, config: &Config) -> Result<Source> {
    let changes = git::uncommitted(world).await;
    if config.builder.context.is_some() {
        tell(world, "building with uncommitted changes", &changes);
        return Ok(Source::as_it_is(config));
    }
    let (revision, place) = (git::revision(world).await?, git::place(world).await);
    let (Some(revision), Some(place)) = (revision, place) else {
        let text =
            "this directory is not in a git repository that has a commit: building the directory as it is";
        world.events.emit(Event::Note { host: None, text: text.into() });
        return Ok(Source::as_it_is(config));
    };
    tell(world, "building the last commit, without these uncommitted changes", &changes);
    let cache = world.local.cache().map_err(|reason| {
        unprepared(reason, Some("XDG_CACHE_HOME is the directory for caches; you must own it".into()))
    })?;
    let hash: String = Sha256::digest(project_directory(&place.root, &place.prefix))
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let clone = |number| CleanClone::new(&cache, (&config.service, &hash), &place, &revision, number);
    let (clone, held) = free(world, clone)?;
    let variables = git::variables(world).await;
    Preparation { world, clone: &clone, revision: &revision, place: &place, variables }.carry_out().await?;
    Ok(Source { directory: Some(clone.project().into()), context: ".".into(), _held: Some(held) })
}

fn unprepared(reason: String, hint: Option<String>) -> RunError {
    RunError::local("preparing the build", reason, hint)
}

fn tell(world: &World, what: &str, changes: &[String]) {
    if !changes.is_empty() {
        let text = format!("{what}: {}", listed(changes, NAMED));
        world.events.emit(Event::Note { host: None, text });
    }
}

/// The first `most` files, and the number of the others.
pub(crate) fn listed(files: &[String], most: usize) -> String {
    let mut named: Vec<&str> = files.iter().take(most).map(|file| file.trim()).collect();
    let more = format!("and {} more", files.len().saturating_sub(most));
    if files.len() > most {
        named.push(&more);
    }
    named.join(", ")
}

/// The first clone that no other build is using.
fn free(world: &World, clone: impl Fn(usize) -> CleanClone) -> Result<(CleanClone, Held)> {
    for number in 1..=AT_ONCE {
        let clone = clone(number);
        let held = world.local.hold(&clone.lock()).map_err(|reason| unprepared(reason, None))?;
        if let Some(held) = held {
            return Ok((clone, held));
        }
    }
    Err(unprepared(format!("{AT_ONCE} other builds of this project are running"), None))
}

/// Updates a clone to a commit.
struct Preparation<'a> {
    world: &'a World,
    clone: &'a CleanClone,
    revision: &'a str,
    place: &'a Place,
    /// Variables that git commands must not inherit.
    variables: Vec<String>,
}

impl Preparation<'_> {
    /// If the update fails, recreates the clone once. Leaves directories alone that aren't Bowline's.
    async fn carry_out(&self) -> Result<()> {
        self.world.events.emit(Event::Phase(Phase::Clone(self.clone.directory())));
        let there = self.world.local.kind(&self.clone.directory()).is_some();
        let first = if there {
            self.is_ours().await?;
            self.update().await
        } else {
            self.make().await
        };
        let Err(failed) = first else { return Ok(()) };
        if let Failed::Because(reason) = &failed {
            let line = error_line(reason);
            let text = format!("the clone can't be used ({line}): creating a new one");
            self.world.events.emit(Event::Note { host: None, text });
        }
        self.again().await.map_err(|failed| {
            let hint = "`builder: {context: .}` builds the working directory without a clone";
            failed.at("cloning the repository", Some(hint.into()))
        })
    }

    /// Checks for our mark, so that we never reset, clean or remove a directory that isn't ours.
    async fn is_ours(&self) -> Result<()> {
        match self.ask(&self.clone.marked()).await {
            Ok(_) => Ok(()),
            Err(Failed::Stopped) => Err(RunError::interrupted()),
            Err(Failed::Because(_)) => Err(unprepared(
                format!("{} is not a clone that Bowline created", self.clone.directory()),
                Some("Bowline changed nothing in it: move it away if you don't need it".into()),
            )),
        }
    }

    async fn again(&self) -> Result<(), Failed> {
        self.ask(&self.clone.discard()).await?;
        self.make().await
    }

    async fn make(&self) -> Result<(), Failed> {
        for words in self.clone.make() {
            self.ask(&words).await?;
        }
        self.update().await
    }

    async fn update(&self) -> Result<(), Failed> {
        for words in self.clone.reset() {
            self.ask(&words).await?;
        }
        let list = self.world.local.read(&self.clone.submodule_list()).map_err(Failed::Because)?;
        if let Some(list) = &list {
            let relative = has_relative_address(list);
            let remote = if relative { git::remote(self.world, &self.place.root).await } else { None };
            for words in self.clone.submodules(remote.as_deref()) {
                self.ask(&words).await?;
            }
        }
        // A failed cleanup doesn't matter.
        if let Err(Failed::Stopped) = self.ask(&self.clone.tidy()).await {
            return Err(Failed::Stopped);
        }
        self.validate(list.is_some()).await
    }

    async fn validate(&self, submodules: bool) -> Result<(), Failed> {
        let head = self.ask(&self.clone.head()).await?.stdout;
        if head.trim() != self.revision {
            return Err(Failed::Because(format!("it is at {} instead of {}", head.trim(), self.revision)));
        }
        let changes = self.ask(&self.clone.status()).await?.stdout;
        if !changes.trim().is_empty() {
            return Err(Failed::Because(format!("it has changes: {}", changes.trim())));
        }
        if submodules {
            let listed = self.ask(&self.clone.submodule_status()).await?.stdout;
            if let [first, ..] = unsound_submodules(&listed)[..] {
                return Err(Failed::Because(format!("a submodule is at another commit: {first}")));
            }
        }
        Ok(())
    }

    async fn ask(&self, words: &[String]) -> Result<Output, Failed> {
        ask_without(self.world, words, &self.variables).await
    }
}
