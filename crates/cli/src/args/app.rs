//! `app …`.

use clap::{Args, Subcommand};

use super::{AppLogsArgs, Confirm};

/// `app …`.
#[derive(Debug, Subcommand)]
pub enum App {
    /// Boot the latest version on all servers, or replace what runs with it.
    #[command(after_help = "Examples:
  bowline app boot                       the latest version
  bowline app boot --version 1f3a9c2     this one
  bowline app boot -h 10.0.0.4           on one server")]
    Boot,
    /// Run a command in the app, once for each role on each server.
    #[command(
        after_help = "Without --reuse it runs in new containers of the latest version, or of --version's, with the role's env, volumes \
and options; they are gone afterwards. With -i it runs once: for the primary role, on the first server.

Bowline's own flags come before the command; what follows is the command's.
The exit status is the command's (the first that is not 0).

Examples:
  bowline app exec -p bin/rails db:migrate       on the primary server only
  bowline app exec -i bash                       a shell; Ctrl-C, Ctrl-Z and the like go to it
  bowline app exec -i --reuse psql < dump.sql    what is read here is read there
  bowline app exec --raw -p tar c . > app.tar    byte for byte
  bowline app exec --reuse ls -la                in the containers that serve
  bowline app exec -e DEBUG=1 -r worker bin/check
  bowline app exec 'sh -c \"echo $HOME\"'          one quoted word is split as a shell would split it"
    )]
    Exec(ExecArgs),
    /// Show the app's logs.
    #[command(after_help = "Examples:
  bowline app logs                     the last 100 lines of each server
  bowline app logs -f                  follow them, on all servers, through deploys
  bowline app logs -s 30m -g ERROR     the errors of the last half hour
  bowline app logs -g panic -o '-i -A 5'
  bowline app logs --container-id 3f2a9c    a container that has stopped")]
    Logs(AppLogsArgs),
    /// Show the app's running containers.
    Details,
    /// Show which version serves on each server.
    Version,
    /// Start the app again where it was stopped, and wait until it is ready.
    #[command(after_help = "Examples:
  bowline app start                       the container that served last
  bowline app start --version 1f3a9c2     the container of this version")]
    Start,
    /// Stop the app: Traefik lets it go and its open requests are answered first.
    #[command(after_help = "Examples:
  bowline app stop
  bowline app stop -r worker")]
    Stop,
    /// Answer every request with 503 and a page, until `app live`.
    #[command(
        after_help = "The app goes on running and nothing of it is changed: Traefik sends its requests to a page meanwhile. The command \
ends when the requests that the app had are answered, so what comes next has the app for itself. A deploy leaves \
the page where it is.

The page is 503.html in `error_pages_path`, with the message in the place of {{ .Message }}, or one of Bowline's.

Examples:
  bowline app maintenance
  bowline app maintenance -m 'Back at noon.' --retry-after 3600
  bowline app maintenance -m 'Back at one.'        another message, without a gap
  bowline app live"
    )]
    Maintenance(MaintenanceArgs),
    /// End `app maintenance`: the app answers again.
    Live,
    /// Show all containers of the app, stopped ones too.
    Containers,
    /// Show the app's images.
    Images,
    /// Show running containers beside the one that serves.
    #[command(after_help = "Examples:
  bowline app stale-containers
  bowline app stale-containers --stop")]
    StaleContainers {
        /// Stop them.
        #[arg(short, long)]
        stop: bool,
    },
    /// Stop the app and remove its containers, images and files from the servers.
    #[command(after_help = "Examples:
  bowline app remove
  bowline app remove -h 10.0.0.4 -y")]
    Remove(Confirm),
    /// Remove the stopped container of a version.
    RemoveContainer {
        /// The version.
        version: String,
    },
    /// Remove the app's stopped containers.
    RemoveContainers(Confirm),
    /// Remove the app's images that no container needs.
    RemoveImages(Confirm),
}

/// `app maintenance`.
#[derive(Debug, Clone, Args)]
pub struct MaintenanceArgs {
    /// What the page says.
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// When clients should come back (the `Retry-After` header), in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub retry_after: u32,
    /// How long the requests that the app has may take, in seconds; `drain_timeout` of the configuration unless given.
    #[arg(long, value_name = "SECONDS")]
    pub drain_timeout: Option<u64>,
}

/// `app exec`.
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    /// Connect it to this terminal, or to standard input where that is not a terminal.
    #[arg(short, long)]
    pub interactive: bool,
    /// Kamal's way to say that it is not.
    #[arg(long, hide = true, overrides_with = "interactive")]
    pub no_interactive: bool,
    /// Run it in the container that serves, not in a new one.
    #[arg(long)]
    pub reuse: bool,
    /// Kamal's way to say that it runs in a new one.
    #[arg(long, hide = true, overrides_with = "reuse")]
    pub no_reuse: bool,
    /// Pass its output on byte for byte; it must run in one container only.
    #[arg(long, conflicts_with = "interactive")]
    pub raw: bool,
    /// Start it in new containers, show their ids, and leave it alone. The containers stay.
    #[arg(long, conflicts_with_all = ["interactive", "reuse", "raw"])]
    pub detach: bool,
    /// Kamal's way to say that its output is waited for.
    #[arg(long, hide = true, overrides_with = "detach")]
    pub no_detach: bool,
    /// Set a variable for it; may be given several times (KEY:VALUE also works).
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    pub env: Vec<(String, String)>,
    /// The command and its own arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub words: Vec<String>,
}

/// Reads `KEY=VALUE` or, as Kamal writes it, `KEY:VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once(['=', ':']) {
        Some((key, value)) if !key.is_empty() && !key.contains(char::is_whitespace) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
