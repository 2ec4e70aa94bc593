//! `accessory …`.

use clap::{Args, Subcommand};

use super::{Confirm, ExecArgs, LogsArgs};

/// `accessory …`.
#[derive(Debug, Clone, Subcommand)]
pub enum Accessory {
    /// Boot it where it doesn't run: directories, files, then the container.
    #[command(after_help = "One that runs is left as it is; one that was stopped is started.

Examples:
  bowline accessory boot db
  bowline accessory boot all               every accessory, in the order of the file
  bowline accessory boot all -h 10.0.0.3   those on one server")]
    Boot(Name),
    /// Replace its running container with a new one that has the current configuration.
    #[command(
        after_help = "The image is pulled and the container made before the old one stops. If the new one doesn't come up, the old
one is put back. In between it doesn't answer.

Examples:
  bowline accessory reboot db"
    )]
    Reboot(Name),
    /// Reboot it, on all its servers or on one after the other.
    #[command(after_help = "Examples:
  bowline accessory upgrade all --rolling -y")]
    Upgrade {
        /// Which one.
        #[command(flatten)]
        name: Name,
        /// One server after the other.
        #[arg(long)]
        rolling: bool,
        /// Ask first, or not.
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Start its container.
    Start(Name),
    /// Stop its container.
    Stop(Name),
    /// Stop and start its container: it sees files that were uploaded meanwhile.
    Restart(Name),
    /// Run a command in it.
    #[command(
        after_help = "Without --reuse it runs in a new container with the accessory's env, volumes, options and network, which is gone
afterwards. With -i it runs on the accessory's first server only.

Bowline's own flags come before the command; what follows is the command's.
The exit status is the command's (the first that is not 0).

Examples:
  bowline accessory exec db -i --reuse psql
  bowline accessory exec db --reuse 'pg_isready -q'
  bowline accessory exec db --raw --reuse pg_dump shop > shop.sql"
    )]
    Exec {
        /// Its name in the configuration.
        name: String,
        /// The command, and how it runs.
        #[command(flatten)]
        exec: ExecArgs,
    },
    /// Show its logs.
    #[command(after_help = "Examples:
  bowline accessory logs db -f
  bowline accessory logs db -s 1h -g ERROR")]
    Logs {
        /// Which one.
        #[command(flatten)]
        name: Name,
        /// Which lines.
        #[command(flatten)]
        logs: LogsArgs,
    },
    /// Show its container on each server.
    Details(Name),
    /// Pull its image.
    PullImage(Name),
    /// Stop it, and remove its container, its image and its directory with all data in it.
    #[command(
        after_help = "What stays: volumes, and directories that the configuration names by an absolute path.

Examples:
  bowline accessory remove db
  bowline accessory remove all -y"
    )]
    Remove {
        /// Which one.
        #[command(flatten)]
        name: Name,
        /// Ask first, or not.
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// An accessory.
#[derive(Debug, Clone, Args)]
pub struct Name {
    /// Its name in the configuration; `all` for all of them.
    pub name: String,
}
