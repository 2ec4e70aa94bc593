use bowline_core::plan::change::Intent;
use clap::Subcommand;

/// Write or remove env files on the servers without a deploy.
#[derive(Debug, Subcommand)]
pub(crate) enum Env {
    /// Write the env files with the secrets of roles and accessories.
    #[command(
        after_help = "You rarely need this: each boot writes the env file of its role, and running containers keep the variables that they \
started with. Use it for scripts on the servers that read .kamal/apps/APP/env/roles/ROLE.env (`docker run \
--env-file`), or to put a changed secret there before the next deploy.

Examples:
  bowline env push
  bowline env push -r worker -d staging"
    )]
    Push,
    /// Remove the env files. Running containers don't change, and the next boot writes the files again.
    #[command(after_help = "Examples:
  bowline env delete
  bowline env delete -h 10.0.0.4")]
    Delete,
}

impl Env {
    pub(super) fn intent(&self) -> Intent {
        match self {
            Env::Push => Intent::PushEnv,
            Env::Delete => Intent::DeleteEnv,
        }
    }
}
