//! Asking before something is removed.

use std::io::{BufRead, IsTerminal};

use bowline_engine::error::RunError;

use super::{clean, out};

/// Whether the answer on standard input is yes. Anything but `y` or `yes` is no. Nobody there to answer is an
/// error, with what to do.
pub fn ask(question: &str) -> Result<bool, RunError> {
    out::stderr([format!("{} [y/N]", clean::lines(question))]);
    let stdin = std::io::stdin();
    let answer = answered(&mut stdin.lock());
    match answer {
        Some(true) => Ok(true),
        Some(false) => {
            out::stderr(["Nothing was removed"]);
            Ok(false)
        }
        None if stdin.is_terminal() => Ok(false),
        None => Err(RunError::Usage {
            message: "nobody is there to confirm it: standard input is at its end".into(),
            hint: Some("`-y` says yes beforehand".into()),
        }),
    }
}

/// The answer; `None` if the input ended before one.
fn answered(input: &mut impl BufRead) -> Option<bool> {
    let mut line = String::new();
    match input.read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (text, answer) in [
            ("y\n", Some(true)),
            ("Yes\n", Some(true)),
            ("\n", Some(false)),
            ("n\n", Some(false)),
            ("yep\n", Some(false)),
            ("", None),
        ] {
            assert_eq!(answered(&mut text.as_bytes()), answer, "{text:?}");
        }
    }
}
