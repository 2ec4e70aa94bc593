//! `build dev`: an image of the working directory for trying out. It is tagged as dirty, goes to no server, and whatever
//! in it isn't committed is named first.

use bowline_core::commands::builder::Output;
use bowline_core::dockerignore::Dockerignore;
use tokio::time::Instant;

use crate::error::{Result, RunError};
use crate::event::Event;
use crate::git;
use crate::image::build::Build;
use crate::image::clone::{Source, listed};
use crate::version;
use crate::world::{Options, Project, World};

/// What is added to the tags.
const DIRTY: &str = "-dirty";

/// Builds it; gives its name.
pub async fn dev(world: &World, project: &Project, options: &Options, output: Output) -> Result<String> {
    let started = Instant::now();
    let config = &project.config;
    let version = version::resolve(world, config, options).await?;
    let secrets = project.secrets(world, &config.builder.secrets).await?;
    let build = Build::without_registry(world, project, &secrets, options, output).await?;
    let source = Source::as_it_is(config);
    warn(world, project, &source.context).await?;
    let images: Vec<String> = [config.image_of(&version), config.latest_image()]
        .into_iter()
        .map(|image| format!("{image}{DIRTY}"))
        .collect();
    let image = images.first().cloned().unwrap_or_default();
    build.build(&source, images).await?;
    world.events.emit(Event::Finished { elapsed: started.elapsed(), commands: Vec::new() });
    Ok(image)
}

/// Names the files in the build that are in no commit.
async fn warn(world: &World, project: &Project, context: &str) -> Result<()> {
    let context = context.trim_start_matches("./").trim_end_matches('/');
    let inside = |path: &str| match context {
        "" | "." => format!("./{path}"),
        context => format!("{context}/{path}"),
    };
    let own = format!("{}.dockerignore", project.config.builder.dockerfile);
    let mut ignore = None;
    for path in [own, inside(".dockerignore")] {
        let read = world.local.read(&path).map_err(|message| RunError::Usage { message, hint: None })?;
        ignore = ignore.or(read);
    }
    let ignore = ignore.map(|text| Dockerignore::new(&text)).unwrap_or_default();
    for (what, files) in [
        ("files with uncommitted changes will be in the image", git::files(world, "--modified").await),
        ("untracked files will be in the image", git::files(world, "--others").await),
    ] {
        let below = |file: String| match context {
            "" | "." => Some(file),
            context => Some(file.strip_prefix(context)?.strip_prefix('/')?.to_string()),
        };
        let files: Vec<String> =
            files.into_iter().filter_map(below).filter(|file| !ignore.leaves_out(file)).collect();
        if !files.is_empty() {
            let text = format!("{what}: {}", listed(&files, 20));
            world.events.emit(Event::Note { host: None, text });
        }
    }
    Ok(())
}
