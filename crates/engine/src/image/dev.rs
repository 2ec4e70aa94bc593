//! `build dev`: builds an image of the working directory for trying out. First lists the uncommitted files in it. The image
//! is tagged as dirty and stays on this machine.

use bowline_core::commands::builder::BuildOutput;
use bowline_core::dockerignore::Dockerignore;
use tokio::time::Instant;

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::event::Event;
use crate::git;
use crate::image::build::Build;
use crate::image::clone::{Source, listed};

const DIRTY: &str = "-dirty";

pub async fn dev(call: Call<'_>, output: BuildOutput) -> Result<String> {
    let started = Instant::now();
    let config = call.config();
    let version = call.version().await?;
    let secrets = call.project.secrets(call.world, &config.builder.secrets).await?;
    let build = Build::without_registry(call, &secrets, output).await?;
    let source = Source::as_it_is(config);
    warn(call, &source.context).await?;
    let images: Vec<String> = [config.image_of(&version), config.latest_image()]
        .into_iter()
        .map(|image| format!("{image}{DIRTY}"))
        .collect();
    let image = images.first().cloned().unwrap_or_default();
    build.build(&source, images).await?;
    call.world.events.emit(Event::Finished { elapsed: started.elapsed(), commands: Vec::new() });
    Ok(image)
}

/// Lists the uncommitted files that end up in the image.
async fn warn(call: Call<'_>, context: &str) -> Result<()> {
    let context = context.trim_start_matches("./").trim_end_matches('/');
    let inside = |path: &str| match context {
        "" | "." => format!("./{path}"),
        context => format!("{context}/{path}"),
    };
    let own = format!("{}.dockerignore", call.config().builder.dockerfile);
    let mut ignore = None;
    for path in [own, inside(".dockerignore")] {
        let read = call.world.local.read(&path).map_err(|message| RunError::Usage { message, hint: None })?;
        ignore = ignore.or(read);
    }
    let ignore = ignore.map(|text| Dockerignore::new(&text)).unwrap_or_default();
    for (what, files) in [
        ("files with uncommitted changes will be in the image", git::files(call.world, "--modified").await),
        ("untracked files will be in the image", git::files(call.world, "--others").await),
    ] {
        let below = |file: String| match context {
            "" | "." => Some(file),
            context => Some(file.strip_prefix(context)?.strip_prefix('/')?.to_string()),
        };
        let files: Vec<String> =
            files.into_iter().filter_map(below).filter(|file| !ignore.leaves_out(file)).collect();
        if !files.is_empty() {
            let text = format!("{what}: {}", listed(&files, 20));
            call.world.events.emit(Event::Note { host: None, text });
        }
    }
    Ok(())
}
