//! `server`: prepares servers, and runs commands on them.

use bowline_core::commands::exec::Mode;
use bowline_engine as engine;
use bowline_engine::error::RunError;
use clap::{Args, Subcommand};

use super::{change, exec};
use crate::exit::{self, Ended};
use crate::invocation::{Invocation, Subject};
use crate::settings::Settings;
use crate::ui::Focus;

/// Manage the servers themselves: prepare them, run commands on them.
#[derive(Debug, Subcommand)]
pub(crate) enum Server {
    /// Prepare servers for a first deploy: install Docker where it is missing, create the network.
    #[command(
        after_help = "On each server in the configuration, including those of accessories, Bowline makes sure that Docker runs, that \
the SSH user can use it, and that the directory .kamal and the network exist. If Docker is missing, Bowline runs the \
installer from https://get.docker.com, which needs root (or sudo without a password) and curl or wget, and adds an SSH user \
other than root to the group `docker`. Then it runs the hook docker-setup. Bowline doesn't change an existing \
installation, so you can repeat the command.

Examples:
  bowline server bootstrap
  bowline server bootstrap -h 10.0.0.5     # a new server"
    )]
    Bootstrap,
    /// Run a command on the servers themselves.
    #[command(
        after_help = "The command runs in the SSH user's login shell, as with ssh: Bowline joins its words with spaces, so quote a command \
with pipes or quotes as a whole. Put Bowline's own flags before the command. Bowline exits with the command's status: the \
first that is not 0.

Examples:
  bowline server exec uptime                      # on every server, including those of accessories
  bowline server exec -r web 'df -h / | tail -1'
  bowline server exec -i -h 10.0.0.3 bash         # a shell on one of them
  bowline server exec -i -p 'cat > motd' < motd   # with your standard input
  bowline server exec --raw -p 'tar c logs' > logs.tar"
    )]
    Exec(ServerExecArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServerExecArgs {
    /// Run the command on the first server, connected to this terminal, or to standard input if that is not a terminal.
    #[arg(short, long)]
    interactive: bool,
    /// Kamal's form of the default.
    #[arg(long, hide = true, overrides_with = "interactive")]
    no_interactive: bool,
    /// Pass the command's output through byte for byte; needs exactly one server.
    #[arg(long, conflicts_with = "interactive")]
    raw: bool,
    /// The command, for the server's shell.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    words: Vec<String>,
}

impl Server {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        match self {
            Server::Bootstrap => change(settings, engine::bootstrap::bootstrap).await,
            Server::Exec(args) => args.run(settings).await,
        }
    }
}

impl ServerExecArgs {
    async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let command = command(&self.words)?;
        let attached = self.raw.then_some("--raw").or(self.interactive.then_some("--interactive"));
        exec::check_json(settings, attached)?;
        let invocation = Invocation::open(settings, Focus::Result).await?;
        if attached.is_none() {
            let gathered = invocation.run(async |call| engine::server::exec(call, &command).await).await?;
            return exec::show_with_status(settings, Subject::App, &gathered);
        }
        let console = invocation.console();
        let mode = if self.raw { Mode::Raw } else { console.mode() };
        let exit =
            invocation.run(async |call| engine::server::attach(call, &command, mode, &console).await).await?;
        Ok(exit::of_program(&exit))
    }
}

/// Joins the words into one line for a shell, as ssh does.
fn command(words: &[String]) -> Result<String, RunError> {
    let words: Vec<&str> = words.iter().map(|word| word.trim()).collect();
    let command = words.join(" ");
    if command.trim().is_empty() {
        return Err(exit::usage("no command is given", None));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_together_and_something_must_be_left() {
        let command = |words: &[&str]| command(&words.iter().map(|w| (*w).into()).collect::<Vec<_>>());
        assert_eq!(command(&[" df ", "-h", "| tail -1"]), Ok("df -h | tail -1".into()));
        assert!(command(&["", " "]).is_err());
    }
}
