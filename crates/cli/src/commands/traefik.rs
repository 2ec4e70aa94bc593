use bowline_core::commands::Action;
use bowline_engine::traefik as engine;
use clap::Subcommand;

use super::confirm::{Confirm, down};
use super::logs::LogsArgs;
use super::{change, look};
use crate::exit::Ended;
use crate::invocation::Subject;
use crate::settings::Settings;

/// Manage Traefik, which all apps of a server share.
#[derive(Debug, Subcommand)]
pub(crate) enum Traefik {
    /// Make sure that Traefik runs on every server with a role behind it.
    Boot,
    /// Replace the running Traefik with a new one that has the current configuration.
    #[command(
        after_help = "Creates the new Traefik before the old one stops. The old one finishes its open requests. If the new one doesn't \
come up, the old one comes back. Each server is down for a few tenths of a second in between.

Examples:
  bowline traefik reboot                 # all servers at the same time
  bowline traefik reboot --rolling -y    # one by one, each serving again before the next"
    )]
    Reboot {
        /// One server at a time.
        #[arg(long)]
        rolling: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Start the existing Traefik.
    Start,
    /// Stop Traefik. No app on its servers is reachable until it starts again.
    Stop,
    /// Stop and start Traefik.
    Restart,
    /// Show Traefik's container on each server.
    Details,
    /// Show Traefik's logs.
    #[command(after_help = "Examples:
  bowline traefik logs -f -h 10.0.0.1
  bowline traefik logs -s 1h -g ' 502 '")]
    Logs(LogsArgs),
    /// Remove Traefik where no app needs it.
    Remove(Confirm),
}

impl Traefik {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        match self {
            Traefik::Boot => change(settings, engine::boot).await,
            Traefik::Reboot { rolling, confirm } => {
                let reboot = change(settings, async |call| engine::reboot(call, rolling).await);
                confirm.before(async { Ok(down(rolling)) }, reboot).await
            }
            Traefik::Start => power(settings, Action::Start).await,
            Traefik::Stop => power(settings, Action::Stop).await,
            Traefik::Restart => power(settings, Action::Restart).await,
            Traefik::Details => look(settings, engine::details).await,
            Traefik::Logs(args) => args.show(settings, Subject::App, engine::logs).await,
            Traefik::Remove(confirm) => {
                let question = "This removes Traefik where no app is left for it to route to. Are you sure?";
                confirm.before(async { Ok(question.into()) }, change(settings, engine::remove)).await
            }
        }
    }
}

async fn power(settings: &Settings, action: Action) -> Result<u8, Ended> {
    change(settings, async |call| engine::power(call, action).await).await
}
