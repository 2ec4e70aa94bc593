use bowline_core::commands::builder;
use bowline_engine as engine;
use clap::{Args, Subcommand};

use super::{change, show};
use crate::args;
use crate::exit::{self, Ended};
use crate::invocation::{Invocation, Subject, Work};
use crate::settings::Settings;
use crate::ui::Focus;
use crate::ui::results::say;

/// Build the app's image, push it, pull it; manage the builder.
#[derive(Debug, Subcommand)]
pub(crate) enum Build {
    /// Build the app, push its image to the registry, and pull it on all servers.
    #[command(after_help = "Examples:
  bowline build deliver
  bowline build deliver --version VERSION")]
    Deliver {
        #[command(flatten)]
        cache: Cache,
        #[command(flatten)]
        archive: Archive,
    },
    /// Build the app, and push its image to the registry.
    #[command(after_help = "Without `builder: context:`, Bowline builds a clean clone of the last commit.

Examples:
  bowline build push
  bowline build push --no-cache -v
  bowline build push --image-archive shop.tar    # store an image that another program built
  bowline build push --output docker     # into this machine's Docker instead of the registry")]
    Push {
        #[command(flatten)]
        cache: Cache,
        #[command(flatten)]
        archive: Archive,
        /// Where the image goes: `registry`, `docker`, or any output of `docker buildx build --output` (`oci,dest=FILE`).
        #[arg(long, value_name = "TYPE", default_value = "registry", conflicts_with = "image_archive")]
        output: String,
    },
    /// Pull the version's image on all servers.
    #[command(after_help = "Examples:
  bowline build pull
  bowline build pull --version VERSION -h 10.0.0.3")]
    Pull,
    /// Create the builder that the configuration describes, if it is missing.
    Create,
    /// Remove the builder and its cache.
    Remove,
    /// Show the builder in use, and Docker's contexts and builders.
    Details,
    /// Build the working directory into a local image tagged `VERSION-dirty`, to try it out.
    #[command(after_help = "The image includes uncommitted files, and Bowline lists them.

Examples:
  bowline build dev
  bowline build dev --no-cache")]
    Dev {
        #[command(flatten)]
        cache: Cache,
        /// Where the image goes: `docker`, or any output of `docker buildx build --output` (`oci,dest=FILE`).
        #[arg(long, value_name = "TYPE", default_value = "docker")]
        output: String,
    },
}

/// An image that is there already.
#[derive(Debug, Args)]
pub(crate) struct Archive {
    /// Use the image in FILE (from `docker save`, or an OCI layout) instead of building; only without a registry.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath, value_parser = args::existing, conflicts_with = "no_cache")]
    image_archive: Option<String>,
}

impl Archive {
    pub(super) fn on(&self, settings: &Settings) -> Settings {
        settings.with(|options| options.image_archive.clone_from(&self.image_archive))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Cache {
    /// Build without the cached layers of earlier builds.
    #[arg(long)]
    no_cache: bool,
}

impl Cache {
    pub(super) fn on(&self, settings: &Settings) -> Settings {
        settings.with(|options| options.no_cache = self.no_cache)
    }
}

impl Build {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        match self {
            Build::Deliver { cache, archive } => {
                let settings = archive.on(&cache.on(settings));
                let invocation = Invocation::open(&settings, Focus::Progress).await?;
                show(&settings, Subject::App, &invocation.run(engine::image::pull::deliver).await?)
            }
            Build::Push { cache, archive, output } => {
                let output = destination(&output);
                tell(&archive.on(&cache.on(settings)), Focus::Progress, async |call| {
                    engine::image::build::push(call, output).await
                })
                .await
            }
            Build::Pull => change(settings, engine::image::pull::pull).await,
            Build::Create => tell(settings, Focus::Result, engine::image::builder::create).await,
            Build::Remove => tell(settings, Focus::Result, engine::image::builder::remove).await,
            Build::Details => tell(settings, Focus::Result, engine::image::builder::details).await,
            Build::Dev { cache, output } => {
                let output = destination(&output);
                tell(&cache.on(settings), Focus::Progress, async |call| {
                    engine::image::dev::dev(call, output).await
                })
                .await
            }
        }
    }
}

/// Does the work, and shows the text that it returns.
async fn tell(settings: &Settings, focus: Focus, work: impl Work<String>) -> Result<u8, Ended> {
    let text = Invocation::open(settings, focus).await?.run(work).await?;
    say(settings, &text);
    Ok(exit::DONE)
}

/// Relative paths in the output are relative to the current directory, wherever the build runs.
fn destination(output: &str) -> builder::BuildOutput {
    let here = std::env::current_dir().unwrap_or_default();
    builder::BuildOutput::new(output, &here.to_string_lossy())
}
