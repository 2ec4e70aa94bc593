//! Secrets files, read but not evaluated: the names that they define, the parts of each value, and the position of each.
//!
//! The dialect is that of the dotenv library that Kamal uses: one `KEY=value` per line, unquoted, in single quotes (literal) or
//! in double quotes (with escapes). Quoted values can span several lines. `$NAME`, `${NAME}` and `$(command)` are expanded
//! outside single quotes. Commands that begin with `kamal secrets` are recognised here, because they need no `kamal`. Bowline
//! differs from the library on purpose:
//!
//! - The output of a command is the value; a `$` in it has no meaning.
//! - `$(…)` ends at its own parenthesis, whatever is quoted inside it, and a `#` in it doesn't begin a comment.
//! - A quote or a `$(` without an end is an error. The library takes it as text.
//!
//! Nothing runs here, and nothing that can be shown contains a value: texts are [`Secret`], and [`File::shown`] blackens the
//! lines of a report.

mod command;
mod lines;
mod parts;
mod scan;
mod show;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub use show::report;

use crate::SourceFile;
use crate::secret::Secret;

#[derive(Debug, Clone)]
pub struct File {
    /// Its path and text, line ends made uniform.
    pub source: SourceFile,
    /// Its entries in order. Of two with the same key, the later one is valid for everything after it.
    pub entries: Vec<Entry>,
    /// Its errors. A file with errors can't be used.
    pub errors: Vec<Problem>,
    /// Texts whose meaning probably differs from what the author expects.
    pub warnings: Vec<Problem>,
}

/// One name and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    /// The position of the name.
    pub key_at: Range<usize>,
    /// The parts of the value.
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone)]
pub enum Part {
    Text(Secret),
    /// The value of another name.
    Variable(Variable),
    /// The output of a command.
    Command(Command),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub at: Range<usize>,
    /// Whether the name may be shown, because it looks like a variable's. `$1wor` in `pa$1wor` is part of an unquoted
    /// password.
    pub telling: bool,
}

#[derive(Clone)]
pub struct Command {
    pub at: Range<usize>,
    /// What the command does.
    pub kind: CommandKind,
}

impl fmt::Debug for Command {
    /// What people write into a command may be a value: it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("at", &self.at).finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub enum CommandKind {
    /// A text for a shell.
    Shell(Vec<Piece>),
    /// A command of our own.
    Secrets(Call),
}

/// `kamal secrets …`, perhaps with variables before it and a pipe behind it.
#[derive(Clone)]
pub struct Call {
    /// `NAME=value` before the command.
    pub env: Vec<(String, Word)>,
    /// The words after `secrets`.
    pub words: Vec<Word>,
    /// What its output goes through (`| base64 -d`).
    pub pipe: Option<Vec<Piece>>,
}

/// A word of a command of our own.
pub type Word = Vec<WordPart>;

#[derive(Clone)]
pub enum WordPart {
    /// Text as it is.
    Text(String),
    /// The value of a name; outside of quotes its blanks separate words.
    Variable { variable: Variable, quoted: bool },
    /// What a command prints; outside of quotes its blanks separate words.
    Command { command: Box<Command>, quoted: bool },
}

/// A piece of a text for a shell.
#[derive(Clone)]
pub enum Piece {
    /// Text for the shell as it is.
    Text(String),
    /// A reference that the shell resolves, if it has the name. `raw` is what stands there: `$NAME`, `${NAME}`, or the
    /// beginning of something longer (`${NAME` of `${NAME:-x}`).
    Variable { name: String, raw: String, quotes: Quotes },
    /// A command of our own inside of the shell's.
    Call { call: Box<Call>, at: Range<usize>, quotes: Quotes },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    None,
    /// `'…'`
    Single,
    /// `"…"`
    Double,
}

/// Something to tell about a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub at: Range<usize>,
    pub message: String,
    pub label: Option<String>,
    pub note: Option<String>,
    pub help: Option<String>,
}

impl Problem {
    pub fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), label: None, note: None, help: None }
    }

    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The variable that makes `\n` and `\r` in double quotes a line break, if its value is [`LEGACY`]; a line of the
/// file above, or of the environment.
pub const LINEBREAK_MODE: &str = "DOTENV_LINEBREAK_MODE";
/// The value of [`LINEBREAK_MODE`] that counts.
pub const LEGACY: &str = "legacy";

/// Reads a file. `legacy`: whether [`LINEBREAK_MODE`] is [`LEGACY`] in the environment.
pub fn parse(path: impl Into<String>, text: &str, legacy: bool) -> File {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let lines = lines::read(&text);
    let (mut entries, mut errors) = (Vec::<Entry>::new(), lines.errors);
    for line in lines.entries {
        let key = text.get(line.key.clone()).unwrap_or_default().to_owned();
        let legacy = entries.iter().rfind(|entry| entry.key == LINEBREAK_MODE).map_or(
            legacy,
            |entry| matches!(entry.parts.as_slice(), [Part::Text(value)] if value.expose() == LEGACY),
        );
        let parts = match &line.value {
            Some(raw) => parts::parts(&text, raw, legacy, &mut errors),
            None if line.export => {
                if entries.iter().any(|entry| entry.key == key) {
                    continue;
                }
                let message = format!("`export {key}` has no value, and no line above gives one");
                let help = format!("write `{key}=…`, or `{key}=${key}` to take it from the environment");
                errors.push(Problem::new(line.key.clone(), message).help(help));
                Vec::new()
            }
            None => Vec::new(),
        };
        entries.push(Entry { key, key_at: line.key, parts });
    }
    errors.sort_by_key(|problem| problem.at.start);
    File { source: SourceFile::new(path, text), entries, errors, warnings: lines.warnings }
}

impl Entry {
    /// Whether a command has to run for it, those of the names it refers to aside.
    pub fn has_command(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Command(_)))
    }
}
