//! `env …`.

use clap::Subcommand;

/// `env …`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Env {
    /// Write the env files with the secrets of roles, and of accessories beside them.
    #[command(
        after_help = "No deploy needs it: each boot writes its role's own file, and what runs keeps the variables it was started with.
It is for scripts on the servers that read .kamal/apps/APP/env/roles/ROLE.env (`docker run --env-file`), or to
have a changed secret there before the next deploy.

Examples:
  bowline env push
  bowline env push -r worker -d staging"
    )]
    Push,
    /// Remove them. Running containers stay as they are, and the next boot writes its file again.
    #[command(after_help = "Examples:
  bowline env delete
  bowline env delete -h 10.0.0.4")]
    Delete,
}
