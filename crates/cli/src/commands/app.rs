use bowline_core::plan::change::{Intent, Removal};
use bowline_core::request::{DeployKind, Page};
use bowline_engine as engine;
use bowline_engine::listing::Listing;
use clap::{Args, Subcommand};

use super::confirm::Confirm;
use super::details::list;
use super::exec::ExecArgs;
use super::logs::AppLogsArgs;
use super::{change_to, deploy, look, remove};
use crate::exit::Ended;
use crate::invocation::Subject;
use crate::settings::Settings;

/// Manage the app: boot it, run commands in it, read its logs.
#[derive(Debug, Subcommand)]
pub(crate) enum App {
    /// Replace the running containers with new ones of the latest version.
    #[command(
        after_help = "The latest version is the one that was last deployed successfully on that server, so it can differ between servers. The server \
must have the image.

Examples:
  bowline app boot                       # the latest version of each server
  bowline app boot --version VERSION     # this version
  bowline app boot -h 10.0.0.4           # on one server"
    )]
    Boot,
    /// Run a command in the app, once for each role on each server.
    #[command(
        after_help = "Without --reuse, the command runs in new containers of the latest version, or of --version, with the role's env, \
volumes and options. Bowline removes the containers afterwards. With -i, the command runs once: on the first server, in \
the primary role or in the first role that -r selects.

Put Bowline's flags before the command; flags after it belong to the command. Bowline exits with the command's \
status: the first that is not 0.

Examples:
  bowline app exec -p -r web bin/rails db:migrate   # on the primary server only
  bowline app exec -i bash                       # a shell
  bowline app exec -i --reuse sh < migrate.sh    # with your standard input
  bowline app exec --raw -p -r web tar c . > app.tar   # byte for byte
  bowline app exec --reuse ls -la                # in the containers that serve
  bowline app exec -e DEBUG=1 -r worker bin/check
  bowline app exec 'sh -c \"echo $HOME\"'          # one quoted argument is split into words; $HOME is the container's"
    )]
    Exec(ExecArgs),
    /// Show the app's logs.
    #[command(after_help = "Examples:
  bowline app logs                     # the last 100 lines of each server
  bowline app logs -f                  # follow the logs of all servers, across deploys
  bowline app logs -s 30m -g ERROR     # the errors of the last half hour
  bowline app logs -g panic -o '-i -A 5'
  bowline app logs --container-id 3f2a9c    # the logs of a stopped container")]
    Logs(AppLogsArgs),
    /// Show the app's running containers.
    Details,
    /// Show which version serves on each server.
    Version,
    /// Show all containers of the app, including stopped ones.
    Containers,
    /// Show the app's images.
    Images,
    /// List (or stop) running containers of the app other than the one that serves.
    #[command(after_help = "Examples:
  bowline app stale-containers
  bowline app stale-containers --stop")]
    StaleContainers {
        /// Stop them.
        #[arg(short, long)]
        stop: bool,
    },
    #[command(flatten)]
    Change(AppChange),
}

/// What changes the app outside of a deploy, and can be planned.
#[derive(Debug, Subcommand)]
pub(crate) enum AppChange {
    /// Start the stopped containers of the app, and wait until they are ready.
    #[command(after_help = "Examples:
  bowline app start                       # the container of the last successful deploy
  bowline app start --version VERSION     # the container of this version")]
    Start,
    /// Stop the app after its open requests have finished.
    #[command(after_help = "Examples:
  bowline app stop
  bowline app stop -r worker")]
    Stop,
    /// Put the app into maintenance mode: every request gets a 503 page, until `app live`.
    #[command(
        after_help = "The app keeps running, but the proxy sends the page instead of passing requests on. The command returns when the app has \
finished its open requests, so no request runs during what you do next. A deploy doesn't end maintenance mode.

The page is 503.html in `error_pages_path`, with the message in place of {{ .Message }}, or else Bowline's own.

Examples:
  bowline app maintenance
  bowline app maintenance -m 'Back at noon.' --retry-after 3600
  bowline app maintenance -m 'Back at one.'        # change the message
  bowline app live"
    )]
    Maintenance(MaintenanceArgs),
    /// End maintenance mode: requests go to the app again.
    Live,
    /// Stop the app and remove its containers, images and files from the servers.
    #[command(after_help = "Examples:
  bowline app remove
  bowline app remove -h 10.0.0.4 -y")]
    Remove(Confirm),
    /// Remove the stopped containers of one version.
    RemoveContainer {
        /// The version.
        version: String,
    },
    /// Remove the app's stopped containers. After that, `rollback` has no version to go back to.
    RemoveContainers(Confirm),
    /// Remove the app's images that no container needs.
    RemoveImages(Confirm),
}

#[derive(Debug, Args)]
pub(crate) struct MaintenanceArgs {
    /// The message on the page.
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Seconds after which clients should retry (the `Retry-After` header). Kamal's own kamal-proxy can't send it.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    retry_after: u32,
    /// Seconds that open requests may take [default: `drain_timeout` in the configuration].
    #[arg(long, value_name = "SECONDS")]
    drain_timeout: Option<u64>,
}

impl App {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        match self {
            App::Boot => deploy::deploy(settings, DeployKind::Boot).await,
            App::Exec(args) => args.run(settings, Subject::App).await,
            App::Logs(args) => args.run(settings).await,
            App::Details => list(settings, Listing::Running).await,
            App::Version => look(settings, engine::listing::versions).await,
            App::Change(wanted) => wanted.run(settings).await,
            App::Containers => list(settings, Listing::Containers).await,
            App::Images => list(settings, Listing::Images).await,
            App::StaleContainers { stop: false } => look(settings, engine::app::stale).await,
            App::StaleContainers { stop: true } => change_to(settings, &Intent::StopStale).await,
        }
    }
}

impl AppChange {
    async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let confirm = match &self {
            Self::Remove(confirm) | Self::RemoveContainers(confirm) | Self::RemoveImages(confirm) => {
                Some(*confirm)
            }
            _ => None,
        };
        match (self.intent(settings), confirm) {
            (Intent::Remove(removal), Some(confirm)) => remove::asked(settings, removal, confirm).await,
            (intent, _) => change_to(settings, &intent).await,
        }
    }

    pub(super) fn intent(self, settings: &Settings) -> Intent {
        match self {
            AppChange::Start => Intent::Start(settings.options.version.clone()),
            AppChange::Stop => Intent::Stop,
            AppChange::Maintenance(MaintenanceArgs { message, retry_after, drain_timeout }) => {
                Intent::Pause(Page { message, retry_after, drain_timeout })
            }
            AppChange::Live => Intent::Resume,
            AppChange::Remove(_) => Intent::Remove(Removal::App),
            AppChange::RemoveContainer { version } => Intent::Remove(Removal::Container(version)),
            AppChange::RemoveContainers(_) => Intent::Remove(Removal::Containers),
            AppChange::RemoveImages(_) => Intent::Remove(Removal::Images),
        }
    }
}
