//! `build …`.

use clap::{Args, Subcommand};

/// `build …`.
#[derive(Debug, Clone, Subcommand)]
pub enum Build {
    /// Build the app, push its image to the registry, and pull it on all servers.
    #[command(after_help = "Examples:
  bowline build deliver
  bowline build deliver --version 1f3a9c2")]
    Deliver(Cache),
    /// Build the app, and push its image to the registry.
    #[command(after_help = "Without `builder: context:` a clean clone of the last commit is built.

Examples:
  bowline build push
  bowline build push --no-cache -v
  bowline build push --output docker     into this machine's Docker, not to the registry")]
    Push(PushArgs),
    /// Pull the version's image on all servers.
    #[command(after_help = "Examples:
  bowline build pull
  bowline build pull --version 1f3a9c2 -h 10.0.0.3")]
    Pull,
    /// Make the builder that the configuration asks for, unless it is there.
    Create,
    /// Remove that builder, and its cache with it.
    Remove,
    /// Show what builds the image, and Docker's contexts and builders.
    Details,
    /// Build the working directory for trying out: tagged as dirty, kept on this machine.
    #[command(after_help = "Files that aren't committed are in it, and are named.

Examples:
  bowline build dev
  bowline build dev --no-cache")]
    Dev(DevArgs),
}

/// `build dev …`.
#[derive(Debug, Clone, Args)]
pub struct DevArgs {
    /// `--no-cache`.
    #[command(flatten)]
    pub cache: Cache,
    /// Where the image goes: `docker`, or what else `docker buildx build --output` knows (`oci,dest=FILE`).
    #[arg(long, value_name = "TYPE", default_value = "docker")]
    pub output: String,
}

/// `--no-cache`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Cache {
    /// Build without layers of earlier builds.
    #[arg(long)]
    pub no_cache: bool,
}

/// `build push …`.
#[derive(Debug, Clone, Args)]
pub struct PushArgs {
    /// `--no-cache`.
    #[command(flatten)]
    pub cache: Cache,
    /// Where the image goes: `registry`, `docker`, or what else `docker buildx build --output` knows (`oci,dest=FILE`).
    #[arg(long, value_name = "TYPE", default_value = "registry")]
    pub output: String,
}
