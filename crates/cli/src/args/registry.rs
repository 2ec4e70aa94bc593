//! `registry …`.

use clap::{Args, Subcommand};

/// `registry …`.
#[derive(Debug, Clone, Subcommand)]
pub enum Registry {
    /// Log in to the registry, here and on all servers.
    #[command(after_help = "Examples:
  bowline registry login
  bowline registry login -L     on the servers only")]
    Login(Skip),
    /// Log out of it.
    Logout(Skip),
    /// The same as `login`; a registry on this machine (`server: localhost:PORT`) is run.
    Setup(Skip),
    /// The same as `logout`; a registry on this machine is removed, with the images in it.
    Remove(Skip),
}

/// Where not.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Skip {
    /// Not on this machine.
    #[arg(short = 'L', long)]
    pub skip_local: bool,
    /// Not on the servers.
    #[arg(short = 'R', long)]
    pub skip_remote: bool,
}
