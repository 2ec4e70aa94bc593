//! Problems with a secret, in text that is safe to show: it never contains a value, whatever a program printed.

use bowline_config::secret::{REDACTED, Secret};

use crate::error::RunError;
use crate::ports::{Exit, Output};

/// How many lines of a program's error output to show.
const LINES: usize = 5;
/// The shortest text that is redacted, in bytes. Shorter values would match everywhere.
const SHORT: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    sort: Sort,
    pub message: String,
    pub said: Option<String>,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Usage,
    Failed,
    Unset,
}

impl Trouble {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { sort: Sort::Usage, message: message.into(), said: None, hint: None }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self { sort: Sort::Failed, ..Self::usage(message) }
    }

    pub(super) fn unset(message: impl Into<String>) -> Self {
        Self { sort: Sort::Unset, ..Self::usage(message) }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the last lines of a program's error output, with these values redacted.
    pub(super) fn said<'s>(mut self, words: &str, values: impl IntoIterator<Item = &'s Secret>) -> Self {
        let mut words = words.trim().to_owned();
        for value in values {
            for line in value.expose().lines().map(str::trim).filter(|line| line.len() >= SHORT) {
                words = words.replace(line, REDACTED);
            }
        }
        let lines: Vec<&str> = words.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
        self.said = (!last.is_empty()).then(|| last.join("\n"));
        self
    }

    pub(super) fn is_usage(&self) -> bool {
        self.sort == Sort::Usage
    }

    pub(super) fn is_unset(&self) -> bool {
        self.sort == Sort::Unset
    }
}

pub(super) fn ending(output: &Output) -> String {
    match &output.exit {
        Exit::Status(status) => format!("ended with exit code {status}"),
        Exit::Signal(signal) => format!("was killed by SIG{signal}"),
    }
}

impl From<Trouble> for RunError {
    fn from(trouble: Trouble) -> Self {
        let Trouble { message, said, hint, .. } = trouble;
        if trouble.sort == Sort::Usage {
            return RunError::Usage { message, hint };
        }
        let reason = [Some(message), said].into_iter().flatten().collect::<Vec<_>>().join("\n");
        RunError::local("getting the secrets", reason, hint)
    }
}
