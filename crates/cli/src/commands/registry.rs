use bowline_engine::image::registry::{Where, check_login, log_in, log_out};
use clap::{Args, Subcommand};

use super::change;
use crate::exit::Ended;
use crate::settings::Settings;

/// Log in to the image registry, or out of it.
#[derive(Debug, Subcommand)]
pub(crate) enum Registry {
    /// Log in to the registry, here and on all servers.
    #[command(after_help = "Examples:
  bowline registry login
  bowline registry login -L     # on the servers only")]
    Login(Skip),
    /// Log out of the registry, here and on all servers.
    Logout(Skip),
    /// Log in, as `registry login` does, or do nothing if there is no registry.
    Setup(Skip),
    /// Log out, or remove Kamal's local registry (with `server: localhost:PORT`).
    Remove(Skip),
}

#[derive(Debug, Args)]
pub(crate) struct Skip {
    /// Skip this machine.
    #[arg(short = 'L', long)]
    skip_local: bool,
    /// Skip the servers.
    #[arg(short = 'R', long)]
    skip_remote: bool,
}

impl Skip {
    fn place(&self) -> Where {
        Where { here: !self.skip_local, servers: !self.skip_remote }
    }
}

impl Registry {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        change(settings, async |call| match self {
            Registry::Login(skip) => {
                check_login(call.project, "log in to")?;
                log_in(call, skip.place()).await
            }
            Registry::Logout(skip) => {
                check_login(call.project, "log out of")?;
                log_out(call, skip.place()).await
            }
            Registry::Setup(skip) => log_in(call, skip.place()).await,
            Registry::Remove(skip) => log_out(call, skip.place()).await,
        })
        .await
    }
}
