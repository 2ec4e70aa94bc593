//! `prune …`.

use clap::{Args, Subcommand};

/// `prune …`.
#[derive(Debug, Clone, Subcommand)]
pub enum Prune {
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

/// `--retain`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Retain {
    /// How many stopped containers of each role to keep; `retain_containers` of the configuration by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub retain: Option<u16>,
}
