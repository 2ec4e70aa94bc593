//! What may be typed, as clap reads it. Nothing is decided here: [`crate::settings`] resolves it.
//!
//! Names and flags are Kamal's wherever it has them, `-h` for `--hosts` among them; so help is `--help` only.

mod accessory;
mod app;
mod build;
mod env;
mod lock;
mod logs;
mod manual;
mod prune;
mod registry;
mod secrets;
mod server;
mod traefik;

#[cfg(test)]
mod tests;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint};

pub use accessory::{Accessory, Name};
pub use app::{App, ExecArgs, MaintenanceArgs};
pub use build::{Build, Cache};
pub use env::Env;
pub use lock::Lock;
pub use logs::{AppLogsArgs, LogsArgs};
pub use manual::{CompletionArgs, ManArgs, Shell};
pub use prune::{Prune, Retain};
pub use registry::Registry;
pub use secrets::{FetchArgs, Secrets};
pub use server::{Server, ServerExecArgs};
pub use traefik::Traefik;

/// The heading of the flags that every command takes.
const EVERYWHERE: &str = "Flags of every command";

/// The configuration file, unless `-c` names another.
pub const CONFIG_FILE: &str = "config/deploy.yml";

/// Deploys containerised apps to your own servers over SSH, without dropping a request.
#[derive(Debug, Parser)]
#[command(
    name = "bowline",
    disable_help_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  bowline setup                install Docker on new servers, and deploy
  bowline plan                 see what a deploy would do, changing nothing
  bowline deploy               build, push and deploy the version in git
  bowline rollback             go back to the version before
  bowline app logs -f          follow the app's logs
  bowline help app exec        help on one command

It reads config/deploy.yml in Kamal's format. Words under `aliases:` there are commands too.
Exit status: 0 done, 1 failed, 2 usage or configuration, 3 locked, 4 a server could not be reached,
130 interrupted."
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Its first word.
    #[arg(skip)]
    pub name: String,
    /// Its second, if that is a command's too.
    #[arg(skip)]
    pub subname: Option<String>,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = EVERYWHERE)]
pub struct Globals {
    /// The configuration file.
    #[arg(short, long, global = true, value_name = "FILE", default_value = CONFIG_FILE, value_hint = ValueHint::FilePath)]
    pub config_file: String,
    /// The destination: `-d staging` lays config/deploy.staging.yml over the configuration.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub destination: Option<String>,
    /// Only these servers, comma-separated; `*`, `?` and `[ab]` match.
    #[arg(short = 'h', long, global = true, value_name = "LIST", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// Only these roles, comma-separated; `*`, `?` and `[ab]` match.
    #[arg(short, long, global = true, value_name = "LIST", value_delimiter = ',')]
    pub roles: Vec<String>,
    /// Only the primary server.
    #[arg(short, long, global = true)]
    pub primary: bool,
    /// Act on this version of the app.
    #[arg(long, global = true, value_name = "VERSION")]
    pub version: Option<String>,
    /// Wait up to this many seconds for a deploy lock that another run holds.
    #[arg(long, global = true, value_name = "SECONDS")]
    pub lock_wait: Option<u64>,
    /// Show every command, what it prints, and how long it takes.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Show only results and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Run no hooks.
    #[arg(short = 'H', long, global = true)]
    pub skip_hooks: bool,
    /// Print everything as JSON on standard output, one object per line.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print without colours, as with the variable NO_COLOR.
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Show this help.
    #[arg(long, global = true, action = ArgAction::Help)]
    pub help: Option<bool>,
}

/// `--skip-push`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Push {
    /// Skip building and pushing: the version's image is already in the registry.
    #[arg(short = 'P', long)]
    pub skip_push: bool,
    /// `--no-cache`.
    #[command(flatten)]
    pub cache: Cache,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a project: write config/deploy.yml, .kamal/secrets and sample hooks.
    Init {
        /// Has no effect. In Kamal it adds a Ruby gem.
        #[arg(long, hide = true)]
        bundle: bool,
    },
    /// Set up new servers, Docker and all, and deploy to them.
    #[command(
        after_help = "What `server bootstrap` does, `accessory boot all`, then what `deploy` does, under one lock. What is there already stays
as it is: on servers that are set up it is a deploy.

Examples:
  bowline setup
  bowline setup -h 10.0.0.5                      a server that was added
  bowline setup -P --version 1f3a9c2             an image that is in the registry already"
    )]
    Setup(Push),
    /// Build the app, push its image, and deploy it to all servers.
    #[command(after_help = "Examples:
  bowline deploy                         the version in git
  bowline deploy -d staging              to another destination
  bowline deploy -P --version 1f3a9c2    an image that is in the registry already
  bowline deploy -h 10.0.0.3 -v          to one server, showing every command")]
    Deploy(Push),
    /// Deploy again without pruning: a little faster.
    #[command(after_help = "Examples:
  bowline redeploy
  bowline redeploy -P --version 1f3a9c2")]
    Redeploy(Push),
    /// Go back to a version that is still on the servers.
    #[command(after_help = "Examples:
  bowline rollback             to the version before the one that serves
  bowline rollback 1f3a9c2     to this version")]
    Rollback {
        /// The version; the one before, if none is given.
        version: Option<String>,
    },
    /// Show what a deploy would do on each server, changing nothing.
    #[command(after_help = "Examples:
  bowline plan
  bowline plan redeploy -r worker
  bowline plan rollback 1f3a9c2")]
    Plan(PlanArgs),
    /// Look after the app: boot it, run commands in it, read its logs.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    App(App),
    /// Build the app's image, push it, pull it; look after what builds it.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Build(Build),
    /// Log in to the image registry, or log out of it.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Registry(Registry),
    /// Look after Traefik, which all apps of a server share.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Traefik(Traefik),
    /// Look after accessories, the containers beside the app: boot them, run commands in them, read their logs.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Accessory(Accessory),
    /// Look after the servers themselves: get them ready, run commands on them.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Server(Server),
    /// Show, take or release the deploy lock.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Lock(Lock),
    /// Remove what is no longer needed from the servers.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Prune(Prune),
    /// Remove the app and its accessories from their servers, and Traefik where no other app needs it.
    #[command(
        after_help = "What stays: the audit log in .kamal, the network, accessories' volumes, and Docker itself.

Examples:
  bowline remove
  bowline remove -d staging -y"
    )]
    Remove(Confirm),
    /// Show Traefik, the running containers and the accessories on each server.
    Details,
    /// Show who did what on each server.
    #[command(after_help = "Examples:
  bowline audit
  bowline audit -n 200 -h 10.0.0.1")]
    Audit {
        /// How many lines to show of each server.
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
        lines: usize,
    },
    /// Write the app's env files on the servers apart from a deploy, or remove them.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Env(Env),
    /// Show the configuration with everything filled in, secrets hidden.
    #[command(after_help = "Examples:
  bowline config
  bowline config -d staging")]
    Config,
    /// Show the keys that a configuration can have.
    #[command(after_help = "Examples:
  bowline docs                 the keys at the root, and a list of the sections
  bowline docs proxy           a section
  bowline docs boot/limit      a key
  bowline docs hooks           hooks; also: secrets, destinations")]
    Docs {
        /// A section, or a key by its path.
        section: Option<String>,
        /// The whole documentation as a page of Markdown.
        #[arg(long, conflicts_with = "section")]
        markdown: bool,
    },
    /// Print a JSON Schema of the configuration, for editors.
    #[command(after_help = "Examples:
  bowline schema > deploy.schema.json
and as the first line of config/deploy.yml, for the YAML language server:
  # yaml-language-server: $schema=../deploy.schema.json")]
    Schema,
    /// Get secrets from vaults; show those of the project.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Secrets(Secrets),
    /// Print what a shell reads to complete command lines of Bowline.
    #[command(after_help = "Examples:
  bowline completion bash > /etc/bash_completion.d/bowline
  bowline completion zsh > ~/.zfunc/_bowline      with ~/.zfunc in fpath, before compinit
  bowline completion fish > ~/.config/fish/completions/bowline.fish")]
    Completion(CompletionArgs),
    /// Print the manual page of a command.
    #[command(after_help = "Examples:
  bowline man app exec | man -l -
  bowline man --dir /usr/local/share/man/man1     those of all commands
  bowline man --markdown > commands.md            all of them on one page")]
    Man(ManArgs),
    /// Show the version of Bowline.
    Version,
}

/// What `plan` is about.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// What to plan.
    #[arg(value_enum, value_name = "RUN", default_value = "deploy")]
    pub run: Run,
    /// The version to roll back to.
    #[arg(value_name = "VERSION")]
    pub to: Option<String>,
    /// Nothing would be built or pushed.
    #[arg(short = 'P', long)]
    pub skip_push: bool,
}

/// A run that can be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Run {
    /// A deploy.
    Deploy,
    /// A redeploy.
    Redeploy,
    /// A rollback.
    Rollback,
}

/// `--confirmed`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Confirm {
    /// Don't ask for confirmation.
    #[arg(short = 'y', long)]
    pub confirmed: bool,
}

/// The whole command line's description, with `_` accepted for `-` in the names of commands.
pub fn command() -> clap::Command {
    with_underscores(Cli::command())
}

/// Whether a command is one that help lists, and not clap's own `help`.
pub fn is_shown(command: &clap::Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn with_underscores(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|sub| {
        let sub = with_underscores(sub);
        match sub.get_name() {
            name if name.contains('-') => {
                let other = name.replace('-', "_");
                sub.alias(other)
            }
            _ => sub,
        }
    })
}

/// Reads a command line; the first word is the program's.
pub fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let mut words: Vec<std::ffi::OsString> = words.into_iter().collect();
    // `--version` takes a version of the app, but alone it can only mean ours.
    if let [_, only] = words.as_mut_slice()
        && (*only == *"--version" || *only == *"-V")
    {
        *only = "version".into();
    }
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    let name = matches.subcommand_name().unwrap_or_default().to_owned();
    let subname = matches.subcommand().and_then(|(_, sub)| sub.subcommand_name()).map(str::to_owned);
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok(Cli { name, subname, ..cli })
}
