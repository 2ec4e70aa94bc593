//! `app exec`, `accessory exec`: run a command once per role or server, or in one container with attached streams.

use bowline_core::commands::exec::Mode;
use bowline_engine as engine;
use bowline_engine::error::RunError;
use bowline_engine::exec::ExecRequest;
use bowline_engine::world::{Gathered, HostOutput};
use clap::Args;

use crate::exit::{self, Ended};
use crate::invocation::{Invocation, Subject};
use crate::settings::{Settings, View};
use crate::ui::Focus;
use crate::ui::results;

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Connect the command to this terminal, or to standard input if that is not a terminal.
    #[arg(short, long)]
    interactive: bool,
    /// Kamal's form of the default.
    #[arg(long, hide = true, overrides_with = "interactive")]
    no_interactive: bool,
    /// Run the command in the running container instead of a new one.
    #[arg(long)]
    reuse: bool,
    /// Kamal's form of the default.
    #[arg(long, hide = true, overrides_with = "reuse")]
    no_reuse: bool,
    /// Pass the command's output through byte for byte; needs exactly one container.
    #[arg(long, conflicts_with = "interactive")]
    raw: bool,
    /// Start the command in new containers, print their ids, and return. The containers stay until you remove them with `docker rm`.
    #[arg(long, conflicts_with_all = ["interactive", "reuse", "raw"])]
    detach: bool,
    /// Kamal's form of the default.
    #[arg(long, hide = true, overrides_with = "detach")]
    no_detach: bool,
    /// Set an environment variable for the command; repeat the flag for several (KEY:VALUE also works).
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// The command and its own arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    words: Vec<String>,
}

/// Parses `KEY=VALUE` or, as in Kamal, `KEY:VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once(['=', ':']) {
        Some((key, value)) if !key.is_empty() && !key.contains(char::is_whitespace) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

impl ExecArgs {
    pub(super) async fn run(self, settings: &Settings, subject: Subject<'_>) -> Result<u8, Ended> {
        let invocation = Invocation::open_for(settings, Focus::Result, subject).await?;
        let attached = self.raw.then_some("--raw").or(self.interactive.then_some("--interactive"));
        check_json(settings, attached)?;
        let mode = match (self.raw, self.detach) {
            (true, _) => Mode::Raw,
            (_, true) => Mode::Detached,
            _ => Mode::Gathered,
        };
        let request = ExecRequest { words: split(self.words)?, env: self.env, reuse: self.reuse, mode };
        if attached.is_some() {
            return attach(invocation, subject, request).await;
        }
        show_with_status(settings, subject, &gather(invocation, subject, &request).await?)
    }
}

async fn gather(
    invocation: Invocation<'_>,
    subject: Subject<'_>,
    request: &ExecRequest,
) -> Result<Gathered, Ended> {
    invocation
        .run(async |call| match subject {
            Subject::App => engine::exec::exec(call, request).await,
            Subject::Accessory(name) => engine::accessory::exec::exec(call, name, request).await,
        })
        .await
}

/// Runs the command in one container, on our own streams. Returns the command's exit status.
async fn attach(
    invocation: Invocation<'_>,
    subject: Subject<'_>,
    mut request: ExecRequest,
) -> Result<u8, Ended> {
    let console = invocation.console();
    if request.mode != Mode::Raw {
        request.mode = console.mode();
    }
    let exit = invocation
        .run(async |call| match subject {
            Subject::App => engine::exec::attach(call, &request, &console).await,
            Subject::Accessory(name) => engine::accessory::exec::attach(call, name, &request, &console).await,
        })
        .await?;
    Ok(exit::of_program(&exit))
}

/// Rejects `--json` together with the flag `attached`, which writes raw bytes to standard output.
pub(super) fn check_json(settings: &Settings, attached: Option<&str>) -> Result<(), RunError> {
    match attached {
        Some(flag) if settings.view == View::Json => {
            Err(exit::usage(format!("`--json` can't be used with `{flag}`: both need standard output"), None))
        }
        _ => Ok(()),
    }
}

/// Shows the output of commands. The exit status is that of the first one that failed.
pub(super) fn show_with_status(
    settings: &Settings,
    subject: Subject<'_>,
    gathered: &Gathered,
) -> Result<u8, Ended> {
    results::show(settings, subject.heading(), &gathered.outputs);
    match gathered.error() {
        Some(error) => Err(error.into()),
        None => Ok(status(&gathered.outputs)),
    }
}

fn status(outputs: &[HostOutput]) -> u8 {
    let statuses = outputs.iter().map(|output| exit::of_program(&output.output.exit));
    statuses.into_iter().find(|status| *status != exit::DONE).unwrap_or(exit::DONE)
}

/// Splits a single quoted argument as a shell would, because Kamal's users write commands this way.
fn split(words: Vec<String>) -> Result<Vec<String>, RunError> {
    let words = match words.as_slice() {
        [only] => shlex::split(only)
            .ok_or_else(|| exit::usage(format!("`{only}` has a quote that isn't closed"), None))?,
        _ => words,
    };
    if words.is_empty() { Err(exit::usage("no command is given", None)) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use bowline_engine::ports::{Exit, Output};

    use super::super::{Command, app::App};
    use super::*;
    use crate::args;

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

    fn parsed(line: &str) -> Result<Command, clap::Error> {
        args::parse(line.split(' ').map(Into::into)).map(|cli| cli.command)
    }

    #[test]
    fn what_follows_the_command_of_exec_is_its_own() {
        let exec = |line: &str| match parsed(line).unwrap() {
            Command::App(App::Exec(exec)) => exec,
            other => panic!("{other:?}"),
        };
        let words = |line: &str| {
            let exec = exec(line);
            (exec.reuse, exec.env, exec.words)
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
        let exec = exec("bowline app exec -i --no-interactive --reuse --no-reuse --no-detach ls");
        assert!(!exec.interactive && !exec.reuse && exec.words == ["ls"], "as Kamal takes them: {exec:?}");
        assert!(parsed("bowline server exec --no-interactive ls").is_ok());
        assert!(parsed("bowline app exec --raw --reuse ls").is_ok());
        assert!(parsed("bowline app exec -e A ls").is_err());
    }
}
