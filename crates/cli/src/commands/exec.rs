//! `app exec`, `accessory exec`: a command once for each role or on each server, or in one place with its bytes passed on.

use bowline_core::commands::exec::Mode;
use bowline_engine::error::RunError;
use bowline_engine::ports::{Console, Output};
use bowline_engine::world::{Gathered, HostOutput};

use crate::args::ExecArgs;
use crate::console::StandardStreams;
use crate::exit::{self, Ended};
use crate::session::Session;
use crate::settings::{Settings, View};
use crate::ui::Sort;
use crate::ui::results::{self, Heading};
use bowline_engine::{self as engine, exec::ExecRequest};

/// Whose containers it runs in.
#[derive(Clone, Copy)]
pub(super) enum In<'a> {
    /// The app's.
    App,
    /// Those of the accessory of this name.
    Accessory(&'a str),
}

/// Runs it in the app.
pub(super) async fn run(settings: &Settings, args: ExecArgs) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    carry_out(session, In::App, args).await
}

/// Runs it.
pub(super) async fn carry_out(session: Session<'_>, whose: In<'_>, args: ExecArgs) -> Result<u8, Ended> {
    let settings = session.settings;
    let attached = args.interactive || args.raw;
    check_json(settings, args.interactive, args.raw)?;
    let mode = match (args.raw, args.detach) {
        (true, _) => Mode::Raw,
        (_, true) => Mode::Detached,
        _ => Mode::Gathered,
    };
    let request = ExecRequest { words: split(args.words)?, env: args.env, reuse: args.reuse, mode };
    if attached { attach(session, whose, request).await } else { gather(session, whose, &request).await }
}

/// Everywhere; shows what it printed. The exit status is that of the first that failed.
async fn gather(session: Session<'_>, whose: In<'_>, request: &ExecRequest) -> Result<u8, Ended> {
    let settings = session.settings;
    let (world, project, options) = (&session.world, &session.project, &settings.options);
    let (heading, ended) = match whose {
        In::App => (Heading::App, engine::exec::exec(world, project, options, request).await),
        In::Accessory(name) => {
            (Heading::Accessory, engine::accessory::exec::exec(world, project, options, name, request).await)
        }
    };
    show(settings, heading, &session.close(ended)?)
}

/// Bytes as they are, and JSON, can't both be on standard output.
pub(super) fn check_json(settings: &Settings, interactive: bool, raw: bool) -> Result<(), RunError> {
    let flag = match (interactive, raw) {
        (_, true) => "--raw",
        (true, _) => "--interactive",
        _ => return Ok(()),
    };
    if settings.view == View::Json {
        return Err(usage(format!("`--json` can't go with `{flag}`: both want standard output")));
    }
    Ok(())
}

/// Shows what commands printed; the exit status is that of the first that failed.
pub(super) fn show(settings: &Settings, heading: Heading, gathered: &Gathered) -> Result<u8, Ended> {
    results::show(settings, heading, &gathered.outputs);
    match gathered.error() {
        Some(error) => Err(error.into()),
        None => Ok(status(&gathered.outputs)),
    }
}

/// In one place, on our own streams; the exit status is its own.
async fn attach(session: Session<'_>, whose: In<'_>, mut request: ExecRequest) -> Result<u8, Ended> {
    let console = StandardStreams::new(session.settings, session.screen());
    if request.mode != Mode::Raw {
        request.mode = if console.terminal().is_some() { Mode::Terminal } else { Mode::Piped };
    }
    let (world, project, options) = (&session.world, &session.project, &session.settings.options);
    let ended = match whose {
        In::App => engine::exec::attach(world, project, options, &request, &console).await,
        In::Accessory(name) => {
            engine::accessory::exec::attach(world, project, options, name, &request, &console).await
        }
    };
    let exit = session.close(ended)?;
    Ok(exit::of_output(&Output { exit, ..Output::default() }))
}

fn usage(message: String) -> RunError {
    RunError::Usage { message, hint: None }
}

fn status(outputs: &[HostOutput]) -> u8 {
    outputs
        .iter()
        .map(|output| exit::of_output(&output.output))
        .find(|status| *status != exit::DONE)
        .unwrap_or(exit::DONE)
}

/// A whole command in one quoted word is split as a shell would split it: Kamal's users write it so.
fn split(words: Vec<String>) -> Result<Vec<String>, RunError> {
    let words = match words.as_slice() {
        [only] => {
            shlex::split(only).ok_or_else(|| usage(format!("`{only}` has a quote that doesn't end")))?
        }
        _ => words,
    };
    if words.is_empty() { Err(usage("no command is given".into())) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use bowline_engine::ports::{Exit, Output};

    use super::*;

    fn words(words: &[&str]) -> Option<Vec<String>> {
        split(words.iter().map(|word| (*word).to_owned()).collect()).ok()
    }

    #[test]
    fn one_word_is_split_and_several_are_taken_as_they_are() {
        let owned = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(words(&["sh -c 'echo a  b'"]), owned(&["sh", "-c", "echo a  b"]));
        assert_eq!(words(&["echo", "a  b"]), owned(&["echo", "a  b"]));
        assert_eq!(words(&["echo 'a"]), None);
        assert_eq!(words(&[" "]), None);
    }

    #[test]
    fn the_status_is_the_first_that_is_not_0() {
        let output = |status| HostOutput {
            host: "a".into(),
            role: None,
            output: Output { exit: Exit::Status(status), ..Output::default() },
        };
        assert_eq!(status(&[]), 0);
        assert_eq!(status(&[output(0), output(3), output(4)]), 3);
        assert_eq!(status(&[output(0), output(300)]), 255);
    }
}
