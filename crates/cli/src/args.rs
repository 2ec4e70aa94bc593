//! What may be typed, as clap reads it. Nothing is decided here: [`crate::settings`] resolves it.
//!
//! Names and flags are Kamal's wherever it has them, `-h` for `--hosts` among them; so help is `--help` only.

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

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
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = EVERYWHERE)]
pub struct Globals {
    /// The configuration file.
    #[arg(short, long, global = true, value_name = "FILE", default_value = CONFIG_FILE)]
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
    /// Show every command, what it prints, and how long it takes.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Show only results and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Run no hooks.
    #[arg(short = 'H', long, global = true)]
    pub skip_hooks: bool,
    /// Tell everything as JSON, one object a line, on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// No colours (the variable NO_COLOR says the same).
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Show this help.
    #[arg(long, global = true, action = ArgAction::Help)]
    pub help: Option<bool>,
}

/// `--skip-push`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Push {
    /// Neither build nor push: the version's image is in the registry already.
    #[arg(short = 'P', long)]
    pub skip_push: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a project: write config/deploy.yml, .kamal/secrets and sample hooks.
    Init {
        /// Accepted without effect: with Kamal it adds a Ruby gem.
        #[arg(long, hide = true)]
        bundle: bool,
    },
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
    /// Look after Traefik, which all apps of a server share.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Traefik(Traefik),
    /// Look at the deploy lock, take it, give it back.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Lock(Lock),
    /// Remove what is no longer needed from the servers.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Prune(Prune),
    /// Remove the app from its servers, and Traefik where no other app needs it.
    #[command(
        after_help = "What stays: the audit log in .kamal, the network, accessories' data, and Docker itself.

Examples:
  bowline remove
  bowline remove -d staging -y"
    )]
    Remove(Confirm),
    /// Show Traefik and the running containers on each server.
    Details,
    /// Show who did what on each server.
    #[command(after_help = "Examples:
  bowline audit
  bowline audit -n 200 -h 10.0.0.1")]
    Audit {
        /// So many lines of each server.
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
        lines: usize,
    },
    /// Show the configuration with everything filled in, secrets hidden.
    #[command(after_help = "Examples:
  bowline config
  bowline config -d staging")]
    Config,
    /// Show what can stand in the configuration.
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
    #[command(flatten)]
    pub push: Push,
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
  bowline app logs -f                  follow them
  bowline app logs -s 30m -g ERROR     the errors of the last half hour")]
    Logs(LogsArgs),
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

/// `app exec`.
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    /// Give it this terminal or, if standard input is none, what is read there.
    #[arg(short, long)]
    pub interactive: bool,
    /// Run it in the container that serves, not in a new one.
    #[arg(long)]
    pub reuse: bool,
    /// Pass its output on byte for byte; it must run in one container only.
    #[arg(long, conflicts_with = "interactive")]
    pub raw: bool,
    /// Start it in new containers, show their ids, and leave it alone. The containers stay.
    #[arg(long, conflicts_with_all = ["interactive", "reuse", "raw"])]
    pub detach: bool,
    /// Set a variable for it; may be given several times (KEY:VALUE also works).
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    pub env: Vec<(String, String)>,
    /// The command and its own arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub words: Vec<String>,
}

/// `app logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// Only lines since then: a time (2026-01-31T12:00:00) or how long ago (30m).
    #[arg(short, long, value_name = "TIME")]
    pub since: Option<String>,
    /// The last N lines; 100, or 10 with -f, unless -s or -g is given.
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Only lines that match this pattern of grep.
    #[arg(short, long, value_name = "PATTERN")]
    pub grep: Option<String>,
    /// Go on showing what comes.
    #[arg(short, long)]
    pub follow: bool,
    /// Leave Docker's time stamps out.
    #[arg(short = 'T', long)]
    pub skip_timestamps: bool,
}

/// `--confirmed`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Confirm {
    /// Ask nothing.
    #[arg(short = 'y', long)]
    pub confirmed: bool,
}

/// `prune …`.
#[derive(Debug, Clone, Subcommand)]
pub enum Prune {
    /// Remove old stopped containers, and images that no container needs.
    All(Retain),
    /// Remove old stopped containers.
    #[command(after_help = "Examples:
  bowline prune containers
  bowline prune containers --retain 2")]
    Containers(Retain),
    /// Remove images that no container needs.
    Images,
}

/// `--retain`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Retain {
    /// Keep so many stopped containers of each role; `retain_containers` of the configuration unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub retain: Option<u16>,
}

/// `traefik …`.
#[derive(Debug, Clone, Subcommand)]
pub enum Traefik {
    /// Make sure Traefik runs on every server with a role behind it.
    Boot,
    /// Put a new Traefik with the configuration as it is now in the place of the one that runs.
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
    /// Stop it: no app of the servers is reached then.
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

/// `secrets …`.
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Fetch secrets from a vault, with its vendor's own command.
    #[command(
        after_help = "It prints a JSON object of names and values, for `secrets extract`. The vendor's command logs in if it has to.

Adapters: 1password, lastpass, bitwarden, bitwarden-sm, aws_secrets_manager, gcp, doppler, enpass, passbolt.

Examples:
  bowline secrets fetch -a 1password --account my-team --from Shop/production DATABASE_URL API_KEY
  bowline secrets fetch -a aws_secrets_manager --account my-profile shop/production
In a secrets file:
  SECRETS=$(bowline secrets fetch -a doppler --from shop/prd DATABASE_URL API_KEY)
  DATABASE_URL=$(bowline secrets extract DATABASE_URL $SECRETS)"
    )]
    Fetch(FetchArgs),
    /// Print one value of what `secrets fetch` printed.
    #[command(after_help = "Examples:
  bowline secrets extract API_KEY \"$(bowline secrets fetch -a bitwarden --account me@example.com API_KEY)\"
  bowline secrets fetch -a doppler --from shop/prd API_KEY | bowline secrets extract API_KEY -")]
    Extract {
        /// The name, or its last part: API_KEY finds shop/prd/API_KEY.
        name: String,
        /// The JSON; `-` reads it from standard input.
        #[arg(value_name = "JSON")]
        object: String,
    },
    /// Print all secrets of the project, in clear.
    #[command(after_help = "Examples:
  bowline secrets print
  bowline secrets print -d staging")]
    Print,
}

/// `secrets fetch`.
#[derive(Debug, Clone, Args)]
pub struct FetchArgs {
    /// The vault.
    #[arg(short, long, value_name = "NAME")]
    pub adapter: String,
    /// Whose vault it is: an account, a user name, a profile. Some adapters need none.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// The part of the vault that the names are in: a vault, a folder, a project.
    #[arg(long, value_name = "PATH")]
    pub from: Option<String>,
    /// What to fetch; some adapters take none for all.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// `lock …`.
#[derive(Debug, Subcommand)]
pub enum Lock {
    /// Show who holds the deploy lock, since when and why.
    Status,
    /// Take the deploy lock, so that nobody deploys until it is released.
    #[command(after_help = "Examples:
  bowline lock acquire -m 'database maintenance until noon'")]
    Acquire {
        /// Why, for whoever finds it held.
        #[arg(short, long, value_name = "TEXT")]
        message: String,
    },
    /// Give the deploy lock back, whoever holds it.
    Release,
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

/// The whole command line's description, with `_` accepted for `-` in the names of commands.
pub fn command() -> clap::Command {
    with_underscores(Cli::command())
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
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split(' ').map(Into::into))
    }

    fn help(path: &[&str]) -> String {
        let words = ["bowline"].iter().chain(path).chain(&["--help"]);
        // Not as wide as the terminal that the tests happen to run in.
        let shown = command().term_width(100).try_get_matches_from(words);
        shown.map(|_| String::new()).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn the_description_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_help() {
        let all: &[&[&str]] = &[
            &[],
            &["init"],
            &["deploy"],
            &["redeploy"],
            &["rollback"],
            &["plan"],
            &["app"],
            &["app", "boot"],
            &["app", "exec"],
            &["app", "logs"],
            &["app", "details"],
            &["app", "version"],
            &["app", "start"],
            &["app", "stop"],
            &["app", "containers"],
            &["app", "images"],
            &["app", "stale-containers"],
            &["app", "remove"],
            &["app", "remove-container"],
            &["app", "remove-containers"],
            &["app", "remove-images"],
            &["traefik"],
            &["traefik", "boot"],
            &["traefik", "reboot"],
            &["traefik", "start"],
            &["traefik", "stop"],
            &["traefik", "restart"],
            &["traefik", "details"],
            &["traefik", "logs"],
            &["traefik", "remove"],
            &["prune"],
            &["prune", "all"],
            &["prune", "containers"],
            &["prune", "images"],
            &["remove"],
            &["details"],
            &["lock"],
            &["lock", "status"],
            &["lock", "acquire"],
            &["lock", "release"],
            &["audit"],
            &["config"],
            &["docs"],
            &["schema"],
            &["secrets"],
            &["secrets", "fetch"],
            &["secrets", "extract"],
            &["secrets", "print"],
            &["version"],
        ];
        for path in all {
            insta::assert_snapshot!(format!("help {}", path.join(" ")).trim().replace(' ', "_"), help(path));
        }
    }

    #[test]
    fn flags_are_taken_before_and_after_the_command() {
        let cli = parsed("bowline -d staging deploy -h a,b -h c -r web,worker -pP --version 1").unwrap();
        assert_eq!(cli.globals.destination.as_deref(), Some("staging"));
        assert_eq!(cli.globals.hosts, ["a", "b", "c"]);
        assert_eq!(cli.globals.roles, ["web", "worker"]);
        assert!(cli.globals.primary);
        assert_eq!(cli.globals.version.as_deref(), Some("1"));
        assert!(matches!(cli.command, Command::Deploy(Push { skip_push: true })));
    }

    #[test]
    fn what_follows_the_command_of_exec_is_its_own() {
        let words = |line: &str| match parsed(line).unwrap().command {
            Command::App(App::Exec(exec)) => (exec.reuse, exec.env, exec.words),
            other => panic!("{other:?}"),
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            words("bowline app exec --reuse -e A=b:c -e D:e=f ls -la --reuse -v"),
            (
                true,
                vec![pair("A", "b:c"), pair("D", "e=f")],
                vec!["ls".into(), "-la".into(), "--reuse".into(), "-v".into()]
            )
        );
        assert_eq!(words("bowline app exec -- -x -- y").2, ["-x", "--", "y"]);
        assert!(parsed("bowline app exec -x bash").is_err(), "an unknown flag is no command");
        assert!(parsed("bowline app exec").is_err());
        for clash in ["-i --raw", "-i --detach", "--raw --detach", "--detach --reuse"] {
            assert!(parsed(&format!("bowline app exec {clash} ls")).is_err(), "{clash}");
        }
        assert!(parsed("bowline app exec -i --reuse sh").is_ok());
        assert!(parsed("bowline app exec --raw --reuse ls").is_ok());
        assert!(parsed("bowline app exec -e A ls").is_err());
    }

    #[test]
    fn version_alone_is_ours() {
        assert!(matches!(parsed("bowline --version").unwrap().command, Command::Version));
        assert!(matches!(parsed("bowline version").unwrap().command, Command::Version));
    }

    #[test]
    fn underscores_stand_for_hyphens_in_commands() {
        let command = clap::Command::new("x").subcommand(clap::Command::new("stale-containers"));
        let matches = with_underscores(command).try_get_matches_from(["x", "stale_containers"]).unwrap();
        assert_eq!(matches.subcommand_name(), Some("stale-containers"));
    }
}
