use bowline_core::commands::prune::Parts;
use bowline_core::plan::change::Intent;
use clap::{Args, Subcommand};

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
    /// Stopped containers of each role to keep [default: `retain_containers` in the configuration].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    retain: Option<u16>,
}

impl Prune {
    pub(super) fn intent(&self) -> Intent {
        let (parts, retain) = match self {
            Prune::All(retain) => (Parts::All, retain.retain),
            Prune::Containers(retain) => (Parts::Containers, retain.retain),
            Prune::Images => (Parts::Images, None),
        };
        Intent::Prune(parts, retain.map(usize::from))
    }
}
