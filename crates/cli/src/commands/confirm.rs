//! Asks for confirmation before something is removed or interrupted.

use std::io::{BufRead, IsTerminal};

use bowline_core::plan::change::Intent;
use bowline_engine as engine;
use bowline_engine::error::RunError;
use clap::Args;

use super::change_to;
use crate::exit::{self, Ended};
use crate::hints;
use crate::invocation;
use crate::settings::Settings;
use crate::ui::{clean, out};

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Confirm {
    /// Don't ask for confirmation.
    #[arg(short = 'y', long)]
    confirmed: bool,
}

impl Confirm {
    /// Does the work if the user answers yes, or has confirmed in advance.
    pub(super) async fn before(
        self,
        question: impl Future<Output = Result<String, Ended>>,
        work: impl Future<Output = Result<u8, Ended>>,
    ) -> Result<u8, Ended> {
        if !self.confirmed && !ask(&question.await?)? {
            return Ok(exit::FAILED);
        }
        work.await
    }
}

/// Makes a change, after the user has confirmed it if there is a question. Asks only if there is something to change.
pub(super) async fn confirmed(
    settings: &Settings,
    intent: &Intent,
    question: Option<(Confirm, String)>,
) -> Result<u8, Ended> {
    let change = change_to(settings, intent);
    let asked = async |question| {
        let project = invocation::load_project(settings).await?;
        engine::change::check(&project.config, &settings.options.filters, intent)?;
        Ok(question)
    };
    match question {
        Some((confirm, question)) => confirm.before(asked(question), change).await,
        None => change.await,
    }
}

/// The question before a proxy changes on servers.
pub(super) fn down(rolling: bool) -> String {
    let until = "until the new proxy has the ports";
    match rolling {
        true => format!("Each server in turn is down {until}. Are you sure?"),
        false => format!(
            "All servers are down at the same time {until}. With `--rolling`, one after the other. Are you sure?"
        ),
    }
}

/// Asks the user at the terminal. Any answer but `y` or `yes` means no, and so does the end of the input. Without a
/// terminal it is an error, because piped input may be meant for another program.
fn ask(question: &str) -> Result<bool, RunError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let question = question.trim_end_matches("Are you sure?").trim_end();
        return Err(exit::usage(
            format!("this needs confirmation, but standard input is not a terminal\n{question}"),
            hints::CONFIRM.to_owned(),
        ));
    }
    out::stderr([format!("{} [y/N]", clean::lines(question))]);
    let yes = answered(&mut stdin.lock());
    if !yes {
        out::stderr(["Nothing was changed"]);
    }
    Ok(yes)
}

fn answered(input: &mut impl BufRead) -> bool {
    let mut line = String::new();
    let read = input.read_line(&mut line);
    read.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (text, answer) in
            [("y\n", true), ("Yes\n", true), ("\n", false), ("n\n", false), ("yep\n", false), ("", false)]
        {
            assert_eq!(answered(&mut text.as_bytes()), answer, "{text:?}");
        }
    }
}
