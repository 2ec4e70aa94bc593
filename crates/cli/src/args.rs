//! The command line as clap parses it. [`crate::settings`] interprets it.
//!
//! Names and flags are the same as in Kamal. That includes `-h` for `--hosts`, so help is only `--help`.

pub(crate) mod mistyped;
#[cfg(test)]
mod tests;

use std::ffi::OsString;

use bowline_engine::error::RunError;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, ValueHint};

use crate::commands::Command;
use crate::exit;

const EVERYWHERE: &str = "Global flags";

/// The configuration file, unless `-c` selects another.
pub const CONFIG_FILE: &str = "config/deploy.yml";

/// Deploys containerised apps to your own servers over SSH, without dropping a request.
#[derive(Debug, Parser)]
#[command(
    name = "bowline",
    disable_help_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  bowline setup                # install Docker on new servers, and deploy
  bowline plan                 # show what a deploy would do, without changing anything
  bowline deploy               # build, push and deploy the version in git
  bowline rollback             # go back to the previous version
  bowline app logs -f          # follow the app's logs
  bowline help app exec        # help on one command

Bowline reads config/deploy.yml in Kamal's format. Its `aliases:` are commands too.
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 locked, 4 a server could not be reached,
130 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
    /// The command's names: `app`, `exec`.
    #[arg(skip)]
    pub(crate) path: Vec<String>,
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = EVERYWHERE)]
pub struct Globals {
    /// The configuration file.
    #[arg(short, long, global = true, value_name = "FILE", default_value = CONFIG_FILE, value_hint = ValueHint::FilePath)]
    pub config_file: String,
    /// The destination: `-d staging` merges config/deploy.staging.yml into the configuration.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub destination: Option<String>,
    /// Only these servers, comma-separated, with wildcards (`*`, `?`, `[ab]`).
    #[arg(short = 'h', long, global = true, value_name = "LIST", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// Only these roles, comma-separated, with wildcards (`*`, `?`, `[ab]`).
    #[arg(short, long, global = true, value_name = "LIST", value_delimiter = ',')]
    pub roles: Vec<String>,
    /// Only the primary server.
    #[arg(short, long, global = true)]
    pub primary: bool,
    /// Act on this version of the app: a full commit hash of git, or another image tag.
    #[arg(long, global = true, value_name = "VERSION")]
    pub version: Option<String>,
    /// Wait up to this many seconds for a deploy lock that another run holds.
    #[arg(long, global = true, value_name = "SECONDS")]
    pub lock_wait: Option<u64>,
    /// Show every command with its output and its time.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Show only results and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Run no hooks.
    #[arg(short = 'H', long, global = true)]
    pub skip_hooks: bool,
    /// Print events and results as JSON on standard output, one object per line.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print without colours; the environment variable NO_COLOR does the same.
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Show this help.
    #[arg(long, global = true, action = ArgAction::Help)]
    pub help: Option<bool>,
}

impl Globals {
    /// Rejects a filter without a value, as `-h "$HOST"` is while `HOST` is not set: it would otherwise mean all servers.
    pub(crate) fn check(&self) -> Result<(), RunError> {
        let blank =
            |values: &[String]| !values.is_empty() && values.iter().all(|value| value.trim().is_empty());
        let version = self.version.as_deref().is_some_and(|version| version.trim().is_empty());
        for (flag, empty) in
            [("--hosts", blank(&self.hosts)), ("--roles", blank(&self.roles)), ("--version", version)]
        {
            if empty {
                let hint =
                    format!("leave out {flag}, or give it a value: is a variable in your command not set?");
                return Err(exit::usage(format!("{flag} is empty"), hint));
            }
        }
        Ok(())
    }
}

/// Reads a flag's path to something that exists.
pub(crate) fn existing(path: &str) -> Result<String, String> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("there is no such file".to_owned()),
        _ => Ok(path.to_owned()),
    }
}

/// The description of the whole command line. Names of commands can be typed with `_` for `-`.
pub(crate) fn command() -> clap::Command {
    with_underscores(planned(Cli::command()))
}

/// Changes the help of the commands below `plan`: these exist elsewhere too, and here only show what they would do. They
/// ask for no confirmation, but accept `-y`, so that `plan` can be put before any command line.
fn planned(command: clap::Command) -> clap::Command {
    let unasked = |command: clap::Command| {
        let hidden = |arg: clap::Arg| if arg.get_id() == "confirmed" { arg.hide(true) } else { arg };
        command.mut_args(hidden).after_help(None)
    };
    let below = |above: String, command: clap::Command| {
        let about = format!("Show what `{above} {}` would do", command.get_name());
        unasked(command).about(about)
    };
    let group = |group: clap::Command| {
        let name = group.get_name().to_owned();
        unasked(group).mut_subcommands(|command| below(name.clone(), command))
    };
    command.mut_subcommand("plan", |plan| plan.mut_subcommands(group))
}

pub(crate) fn command_names() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// Whether help lists a command. Excludes clap's own `help`.
pub(crate) fn is_shown(command: &clap::Command) -> bool {
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

/// Parses a command line, whose first word is the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    // `--version` takes an app version, but alone it can only mean Bowline's version.
    if let [_, only] = words.as_mut_slice()
        && (*only == *"--version" || *only == *"-V")
    {
        *only = "version".into();
    }
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    let path = std::iter::successors(matches.subcommand(), |(_, below)| below.subcommand());
    let path = path.map(|(name, _)| name.to_owned()).collect();
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok(Cli { path, ..cli })
}
