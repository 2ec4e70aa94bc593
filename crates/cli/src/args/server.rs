//! `server …`.

use clap::{Args, Subcommand};

/// `server …`.
#[derive(Debug, Clone, Subcommand)]
pub enum Server {
    /// Get servers ready for a first deploy: install Docker where it is missing, make the network.
    #[command(
        after_help = "On each server of the configuration, accessories' included, it makes sure that Docker runs and that this user
may use it, and that the directory .kamal and the network exist. What is there stays as it is, so it is safe to
repeat. Where Docker is missing, the installer from https://get.docker.com is run; that needs root, or sudo without
a password, and curl or wget. A user who isn't root is added to the group `docker`. Then the hook docker-setup runs.

Examples:
  bowline server bootstrap
  bowline server bootstrap -h 10.0.0.5     a new one"
    )]
    Bootstrap,
    /// Run a command on the servers themselves.
    #[command(
        after_help = "It runs in the login shell, as with ssh: several words are put together with blanks, and what the server's shell
is to read as one word needs quotes that reach it. Bowline's own flags come before the command.
The exit status is the command's (the first that is not 0).

Examples:
  bowline server exec uptime                      on every server, accessories' included
  bowline server exec -r web 'df -h / | tail -1'
  bowline server exec -i -h 10.0.0.3 bash         a shell on one of them
  bowline server exec -i -p 'cat > motd' < motd   what is read here is read there
  bowline server exec --raw -p 'tar c logs' > logs.tar"
    )]
    Exec(ServerExecArgs),
}

/// `server exec`.
#[derive(Debug, Clone, Args)]
pub struct ServerExecArgs {
    /// Run it on the first server, connected to this terminal, or to standard input where that is not a terminal.
    #[arg(short, long)]
    pub interactive: bool,
    /// Kamal's way to say that it is not.
    #[arg(long, hide = true, overrides_with = "interactive")]
    pub no_interactive: bool,
    /// Pass its output on byte for byte; it must run on one server only.
    #[arg(long, conflicts_with = "interactive")]
    pub raw: bool,
    /// The command, for the server's shell.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub words: Vec<String>,
}
