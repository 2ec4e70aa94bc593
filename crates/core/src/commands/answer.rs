//! The answers of scripts: lines on standard output that begin with `@` and a word. All other lines are human-readable
//! output of programs.
//!
//! Each command has a type for its answer next to its script. `FromStr` parses what a server printed. `Display` writes what
//! the script would print, for the simulated servers in tests. Servers aren't trusted: a line that can't be parsed is an
//! error that quotes the line.

use std::fmt::Display;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The last line is missing.
    #[error("the server's answer was cut short")]
    CutShort,
    /// A required line is missing.
    #[error("the server's answer has no line `{0}`")]
    Missing(&'static str),
    /// A line that can't be parsed, cut to 200 characters.
    #[error("the server's answer has a line that can't be read ({problem}): {line}")]
    Line { line: String, problem: String },
}

impl Unreadable {
    pub(crate) fn line(line: &str, problem: impl Display) -> Self {
        Unreadable::Line { line: line.chars().take(200).collect(), problem: problem.to_string() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub reason: String,
    pub hint: Option<String>,
}

impl Explanation {
    pub(crate) fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: Some(hint.into()) }
    }

    /// Appends the output of the server's programs, if there is any.
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
    /// The text after the word.
    pub(crate) rest: &'a str,
    whole: &'a str,
}

impl<'a> Line<'a> {
    /// Returns `None` if the line is not part of an answer.
    pub(super) fn read(whole: &'a str) -> Option<Self> {
        let line = whole.strip_prefix('@')?.trim_end();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(Self { word, rest, whole })
    }

    pub(crate) fn value<T: FromStr<Err: Display>>(self) -> Result<T, Unreadable> {
        self.rest.parse().map_err(|problem| Unreadable::line(self.whole, problem))
    }

    /// The text after the word. Empty text is an error.
    pub(crate) fn some(self) -> Result<&'a str, Unreadable> {
        match self.rest.trim() {
            "" => Err(Unreadable::line(self.whole, "nothing follows")),
            rest => Ok(rest),
        }
    }

    /// The error for a line whose text is not one of the known words.
    pub(crate) fn unknown(self) -> Unreadable {
        Unreadable::line(self.whole, "unknown")
    }
}

pub(crate) fn lines(answer: &str) -> impl DoubleEndedIterator<Item = Line<'_>> {
    answer.lines().filter_map(Line::read)
}

/// Reads and writes an enum as words.
macro_rules! words {
    ($kind:ident: $($word:literal $variant:ident),+) => {
        impl $kind {
            const ALL: &[(&'static str, Self)] = &[$(($word, Self::$variant)),+];
        }

        impl std::str::FromStr for $kind {
            type Err = &'static str;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind).ok_or("unknown")
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}
pub(crate) use words;

/// Strips indentation and whole-line comments from a shell file, to send it.
pub(crate) fn sent(file: &str) -> String {
    let lines = file.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}
