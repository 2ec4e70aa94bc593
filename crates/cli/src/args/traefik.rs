//! `traefik …`.

use clap::Subcommand;

use super::{Confirm, LogsArgs};

/// `traefik …`.
#[derive(Debug, Clone, Subcommand)]
pub enum Traefik {
    /// Make sure Traefik runs on every server with a role behind it.
    Boot,
    /// Replace the running Traefik with a new one that has the current configuration.
    #[command(
        after_help = "The new one is made before the old one stops, open requests are answered, and if the new one doesn't
come up, the old one is put back. In between a server takes no requests for some tenths of a second.

Examples:
  bowline traefik reboot                 all servers at once
  bowline traefik reboot --rolling -y    one after the other, each serving again before the next"
    )]
    Reboot {
        /// One server after the other.
        #[arg(long)]
        rolling: bool,
        /// Ask first, or not.
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Start the Traefik that is there.
    Start,
    /// Stop it. No app on its servers can be reached until it is started again.
    Stop,
    /// Stop and start it.
    Restart,
    /// Show its container on each server.
    Details,
    /// Show its logs.
    #[command(after_help = "Examples:
  bowline traefik logs -f -h 10.0.0.1
  bowline traefik logs -s 1h -g ' 502 '")]
    Logs(LogsArgs),
    /// Remove it where no app is left for it to route to.
    Remove(Confirm),
}
