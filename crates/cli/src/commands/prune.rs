use bowline_core::commands::prune::Parts;
use bowline_engine as engine;
use clap::{Args, Subcommand};

use super::change;
use crate::exit::Ended;
use crate::settings::Settings;

/// Remove old containers and images from the servers.
#[derive(Debug, Subcommand)]
pub(crate) enum Prune {
    /// Remove old stopped containers, and images that no container needs.
    All(Retain),
    /// Remove old stopped containers.
    #[command(after_help = "Examples:
  bowline prune containers
  bowline prune containers --retain 2")]
    Containers(Retain),
    /// Remove images that no container needs.
    Images,
}

#[derive(Debug, Args)]
pub(crate) struct Retain {
    /// Stopped containers of each role to keep (default: `retain_containers` in the configuration).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    retain: Option<u16>,
}

impl Prune {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let (parts, retain) = match self {
            Prune::All(retain) => (Parts::All, retain.retain),
            Prune::Containers(retain) => (Parts::Containers, retain.retain),
            Prune::Images => (Parts::Images, None),
        };
        change(settings, async |call| engine::prune::prune(call, parts, retain.map(usize::from)).await).await
    }
}
