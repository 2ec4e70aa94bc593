use bowline_core::commands::Action;
use bowline_core::plan::change::{Intent, Turns};
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::kamal::boot_config::BootConfig;
use bowline_core::proxy::life::Act;
use bowline_engine::proxy::life;
use clap::{ArgAction, Args, Subcommand};

use super::confirm::{Confirm, confirmed, down};
use super::logs::LogsArgs;
use super::{change_to, look, turns};
use crate::exit::Ended;
use crate::invocation::Subject;
use crate::settings::Settings;

const KIND: ProxyKind = ProxyKind::Kamal;

/// Manage the proxy (kamal-proxy or Bowline's own) that all apps of a server share.
#[derive(Debug, Subcommand)]
pub(crate) enum Proxy {
    #[command(flatten)]
    Change(ProxyChange),
    /// Show the proxy's container and services on each server.
    Details,
    /// Show the proxy's logs.
    #[command(after_help = "Examples:
  bowline proxy logs -f -h 10.0.0.1
  bowline proxy logs -s 1h -g '\"status\":502'")]
    Logs(LogsArgs),
    /// Manage the proxy settings that are stored on the servers (Kamal's `boot_config`). `proxy: run:` overrides them.
    #[command(subcommand)]
    BootConfig(OfFiles),
}

/// What changes the proxy, and can be planned.
#[derive(Debug, Subcommand)]
pub(crate) enum ProxyChange {
    /// Make sure that the proxy runs on every server with a role or an accessory behind it.
    #[command(
        after_help = "If a server already has a proxy container, Bowline starts it as it is. Otherwise, Bowline starts the image that \
`proxy: run:` or the files of `proxy boot-config` name, or else its own proxy, which it sends over the SSH connection."
    )]
    Boot,
    /// Replace the running proxy with a new one that has the current configuration.
    #[command(
        after_help = "Creates the new proxy before the old one stops. The old one finishes its open requests. If the new one doesn't \
come up with the same services, the old one comes back. Prints the downtime of each server.

Unless `proxy: run:` or the files of `proxy boot-config` name an image, the new proxy is Bowline's own, even if kamal-proxy runs now. \
To keep kamal-proxy, set `proxy: {run: {version: v0.9.2}}`.

Examples:
  bowline proxy reboot                 # all servers at the same time
  bowline proxy reboot --rolling -y    # one by one, each serving again before the next"
    )]
    Reboot {
        /// One server at a time.
        #[arg(long)]
        rolling: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Replace the running proxy with the version that comes with this Bowline.
    #[command(
        after_help = "If an older version of Bowline's own proxy runs, the new version takes over in the same container, without downtime. The old \
version finishes its open requests, and the container keeps the new version when it restarts. A newer version stays.

If another proxy runs, or if `proxy: run:` names an image, Bowline replaces the container, as `bowline proxy reboot` does, and \
prints the downtime of each server. If the new proxy doesn't come up, the old one serves again.

Examples:
  bowline proxy upgrade                 # all servers at the same time
  bowline proxy upgrade --rolling -y    # one by one"
    )]
    Upgrade {
        /// One server at a time.
        #[arg(long)]
        rolling: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Start the existing proxy.
    Start,
    /// Stop the proxy. No app on its servers is reachable until it starts again.
    Stop,
    /// Stop and start the proxy.
    Restart,
    /// Remove the proxy where no app needs it.
    Remove {
        /// Remove it even where other apps need it.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// What is done to the files.
#[derive(Debug, Subcommand)]
pub(crate) enum OfFiles {
    /// Write the files.
    Set(Box<Set>),
    /// Show the files.
    Get,
    /// Remove the files.
    Reset,
}

/// What the files say.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Whether to publish the proxy's ports.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    publish: bool,
    /// An address of the server on which to publish the ports; repeat the flag for several.
    #[arg(long = "publish-host-ip", value_name = "IP")]
    publish_host_ip: Vec<std::net::IpAddr>,
    /// The server's port for HTTP.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..), default_value_t = 80)]
    http_port: u16,
    /// The server's port for HTTPS.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..), default_value_t = 443)]
    https_port: u16,
    /// Docker's size limit for the proxy's log; empty for none.
    #[arg(long, value_name = "SIZE", default_value = "10m")]
    log_max_size: String,
    /// The registry of the proxy's image.
    #[arg(long, value_name = "SERVER")]
    registry: Option<String>,
    /// The proxy's image.
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// The tag of the proxy's image.
    #[arg(long, value_name = "TAG")]
    image_version: Option<String>,
    /// The port for Prometheus metrics.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    metrics_port: Option<u16>,
    /// Log debug messages too.
    #[arg(long)]
    debug: bool,
    /// More flags for `docker run`.
    #[arg(long, value_name = "NAME=VALUE", num_args = 1..)]
    docker_options: Vec<String>,
}

impl Set {
    fn config(self) -> BootConfig {
        BootConfig {
            publish: self.publish.then_some((self.http_port, self.https_port)),
            publish_ips: self.publish_host_ip.iter().map(ToString::to_string).collect(),
            log_max_size: Some(self.log_max_size).filter(|size| !size.is_empty()),
            registry: self.registry,
            repository: self.repository,
            version: self.image_version,
            metrics_port: self.metrics_port,
            debug: self.debug,
            docker_options: self.docker_options,
        }
    }
}

impl Proxy {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        match self {
            Proxy::Change(wanted) => confirmed(settings, &wanted.intent(), wanted.question()).await,
            Proxy::Details => look(settings, async |call| life::details(call, KIND).await).await,
            Proxy::Logs(args) => {
                args.show(settings, Subject::App, async |call, lines| life::logs(call, KIND, lines).await)
                    .await
            }
            Proxy::BootConfig(OfFiles::Set(set)) => {
                change_to(settings, &Intent::BootConfig(Some(set.config()))).await
            }
            Proxy::BootConfig(OfFiles::Get) => look(settings, life::boot_config).await,
            Proxy::BootConfig(OfFiles::Reset) => change_to(settings, &Intent::BootConfig(None)).await,
        }
    }
}

impl ProxyChange {
    pub(super) fn intent(&self) -> Intent {
        let of = |act, turns| Intent::Proxies(KIND, act, turns);
        match self {
            Self::Boot => of(Act::Boot, Turns::Together),
            Self::Reboot { rolling, .. } => of(Act::Reboot, turns(*rolling)),
            Self::Upgrade { rolling, .. } => of(Act::Upgrade, turns(*rolling)),
            Self::Start => of(Act::Power(Action::Start), Turns::Together),
            Self::Stop => of(Act::Power(Action::Stop), Turns::Together),
            Self::Restart => of(Act::Power(Action::Restart), Turns::Together),
            Self::Remove { force: false, .. } => of(Act::Remove, Turns::Together),
            Self::Remove { force: true, .. } => of(Act::ForceRemove, Turns::Together),
        }
    }

    fn question(&self) -> Option<(Confirm, String)> {
        let (confirm, question) = match self {
            Self::Reboot { rolling, confirm } => (confirm, down(*rolling)),
            Self::Upgrade { confirm, .. } => {
                let question = "A server whose proxy isn't Bowline's own is down for a moment. Are you sure?";
                (confirm, question.into())
            }
            Self::Remove { force, confirm } => {
                let question = match force {
                    true => {
                        "This removes the proxy, even from servers where apps can't be reached without it. Are you sure?"
                    }
                    false => "This removes the proxy from servers where no app uses it. Are you sure?",
                };
                (confirm, question.into())
            }
            Self::Boot | Self::Start | Self::Stop | Self::Restart => return None,
        };
        Some((*confirm, question))
    }
}
