use bowline_core::commands::Action;
use bowline_core::plan::change::{Intent, Turns};
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::life::Act;
use bowline_engine::proxy::life;
use clap::Subcommand;

use super::confirm::{Confirm, confirmed, down};
use super::logs::LogsArgs;
use super::{look, turns};
use crate::exit::Ended;
use crate::invocation::Subject;
use crate::settings::Settings;

const KIND: ProxyKind = ProxyKind::Traefik;

/// Manage Traefik, which all apps of a server share.
#[derive(Debug, Subcommand)]
pub(crate) enum Traefik {
    #[command(flatten)]
    Change(TraefikChange),
    /// Show Traefik's container on each server.
    Details,
    /// Show Traefik's logs.
    #[command(after_help = "Examples:
  bowline traefik logs -f -h 10.0.0.1
  bowline traefik logs -s 1h -g ' 502 '")]
    Logs(LogsArgs),
}

/// What changes Traefik, and can be planned.
#[derive(Debug, Subcommand)]
pub(crate) enum TraefikChange {
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
    /// Remove Traefik where no app needs it.
    Remove(Confirm),
}

impl Traefik {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        match self {
            Traefik::Change(wanted) => confirmed(settings, &wanted.intent(), wanted.question()).await,
            Traefik::Details => look(settings, async |call| life::details(call, KIND).await).await,
            Traefik::Logs(args) => {
                args.show(settings, Subject::App, async |call, lines| life::logs(call, KIND, lines).await)
                    .await
            }
        }
    }
}

impl TraefikChange {
    pub(super) fn intent(&self) -> Intent {
        let of = |act, turns| Intent::Proxies(KIND, act, turns);
        match self {
            Self::Boot => of(Act::Boot, Turns::Together),
            Self::Reboot { rolling, .. } => of(Act::Reboot, turns(*rolling)),
            Self::Start => of(Act::Power(Action::Start), Turns::Together),
            Self::Stop => of(Act::Power(Action::Stop), Turns::Together),
            Self::Restart => of(Act::Power(Action::Restart), Turns::Together),
            Self::Remove(_) => of(Act::Remove, Turns::Together),
        }
    }

    fn question(&self) -> Option<(Confirm, String)> {
        match self {
            Self::Reboot { rolling, confirm } => Some((*confirm, down(*rolling))),
            Self::Remove(confirm) => {
                let question = "This removes Traefik from servers where no app uses it. Are you sure?";
                Some((*confirm, question.into()))
            }
            Self::Boot | Self::Start | Self::Stop | Self::Restart => None,
        }
    }
}
