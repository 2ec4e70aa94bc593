//! The answers of scripts: lines on standard output that begin with `@` and a word.
//!
//! Each command has a type for its answer next to its script. `FromStr` reads what a server printed, and `Display` writes what
//! the script would print, for the scripted servers in tests. Output of a server is outside data: a line that can't be read is
//! an error with that line, never a guess. All other lines are output of programs for people.

use std::fmt::Display;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The last line is missing.
    #[error("the server's answer was cut short")]
    CutShort,
    /// A line that has to be there is missing.
    #[error("the server's answer has no line `{0}`")]
    Missing(&'static str),
    /// A line, shortened, that isn't what it should be.
    #[error("the server's answer has a line that can't be read ({problem}): {line}")]
    Line { line: String, problem: String },
}

impl Unreadable {
    pub(crate) fn line(line: &str, problem: impl Display) -> Self {
        Unreadable::Line { line: line.chars().take(200).collect(), problem: problem.to_string() }
    }
}

/// Why a script ended as it did, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub reason: String,
    pub hint: Option<String>,
}

impl Explanation {
    pub(crate) fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: Some(hint.into()) }
    }

    /// With what the server's programs said, if they said anything.
    pub(crate) fn saying(mut self, said: &str) -> Self {
        if !said.trim().is_empty() {
            self.reason = format!("{}: {}", self.reason, said.trim());
        }
        self
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// The word after the `@`.
    pub(crate) word: &'a str,
    /// What follows it.
    pub(crate) rest: &'a str,
    whole: &'a str,
}

impl<'a> Line<'a> {
    /// None if it isn't a line of an answer.
    pub(super) fn read(whole: &'a str) -> Option<Self> {
        let line = whole.strip_prefix('@')?.trim_end();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(Self { word, rest, whole })
    }

    /// What follows the word, as a value.
    pub(crate) fn value<T: FromStr<Err: Display>>(self) -> Result<T, Unreadable> {
        self.rest.parse().map_err(|problem| Unreadable::line(self.whole, problem))
    }

    /// What follows the word, which may not be nothing.
    pub(crate) fn some(self) -> Result<&'a str, Unreadable> {
        match self.rest.trim() {
            "" => Err(Unreadable::line(self.whole, "nothing follows")),
            rest => Ok(rest),
        }
    }

    /// The error of a line with something else than one of the words that may follow.
    pub(crate) fn unknown(self) -> Unreadable {
        Unreadable::line(self.whole, "unknown")
    }
}

pub(crate) fn lines(answer: &str) -> impl DoubleEndedIterator<Item = Line<'_>> {
    answer.lines().filter_map(Line::read)
}

/// A file of shell lines as it is sent: without indentation and comments.
pub(crate) fn sent(file: &str) -> String {
    let lines = file.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}
