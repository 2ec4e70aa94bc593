//! `server exec`, `server bootstrap`: the servers themselves.

use bowline_core::commands::exec::Mode;
use bowline_engine as engine;
use bowline_engine::error::RunError;
use bowline_engine::ports::{Console, Output};

use super::details::show_all;
use super::exec::show;
use crate::args::{Server, ServerExecArgs};
use crate::console::StandardStreams;
use crate::exit::{self, Ended};
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;
use crate::ui::results::Heading;

/// Runs one of them.
pub(super) async fn run(settings: &Settings, what: Server) -> Result<u8, Ended> {
    match what {
        Server::Bootstrap => bootstrap(settings).await,
        Server::Exec(args) => exec(settings, args).await,
    }
}

async fn bootstrap(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::bootstrap::bootstrap(&session.world, &session.project, &settings.options).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

async fn exec(settings: &Settings, args: ServerExecArgs) -> Result<u8, Ended> {
    let command = command(&args.words)?;
    let attached = args.interactive || args.raw;
    super::exec::check_json(settings, args.interactive, args.raw)?;
    let session = Session::open(settings, Sort::Query, false).await?;
    let (world, project, options) = (&session.world, &session.project, &settings.options);
    if !attached {
        let ended = engine::server::exec(world, project, options, &command).await;
        return show(settings, Heading::App, &session.close(ended)?);
    }
    let console = StandardStreams::new(settings, session.screen());
    let mode = match (args.raw, console.terminal()) {
        (true, _) => Mode::Raw,
        (false, Some(_)) => Mode::Terminal,
        (false, None) => Mode::Piped,
    };
    let ended = engine::server::attach(world, project, options, &command, mode, &console).await;
    let exit = session.close(ended)?;
    Ok(exit::of_output(&Output { exit, ..Output::default() }))
}

/// The words as one line for a shell, put together as ssh does.
fn command(words: &[String]) -> Result<String, RunError> {
    let words: Vec<&str> = words.iter().map(|word| word.trim()).collect();
    let command = words.join(" ");
    if command.trim().is_empty() {
        return Err(RunError::Usage { message: "no command is given".into(), hint: None });
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
