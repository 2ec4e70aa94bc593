//! Parses secrets files without evaluating them: the names that they define, the parts of each value, and their
//! positions.
//!
//! The dialect is that of the dotenv library that Kamal uses: one `KEY=value` per line, unquoted, in single quotes (literal) or
//! in double quotes (with escapes). Quoted values can span several lines. `$NAME`, `${NAME}` and `$(command)` are expanded
//! outside single quotes. Commands that begin with `kamal secrets` are recognised here, because Bowline answers them
//! itself. Bowline deliberately differs from the library:
//!
//! - The output of a command is the value; a `$` in it has no meaning.
//! - `$(…)` ends at its own parenthesis, whatever is quoted inside it, and a `#` in it doesn't begin a comment.
//! - An unclosed quote or `$(` is an error. The library takes it as text.
//!
//! Nothing runs here, and no value can be shown: texts are [`Secret`], and [`report`] hides them in the lines that it
//! shows.

mod command;
mod lines;
mod parts;
mod scan;
mod show;
mod unescaped;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub use show::report;

use crate::diagnostic::{Diagnostic, SourceFile};
use crate::secret::Secret;

#[derive(Debug, Clone)]
pub struct File {
    /// Its path, and its text with uniform line ends.
    pub source: SourceFile,
    /// In the order of the file. Of two entries with the same key, the later one applies to everything after it.
    pub entries: Vec<Entry>,
    /// A file with errors can't be used.
    pub errors: Vec<Diagnostic>,
    /// Texts whose meaning probably differs from what the author expects.
    pub warnings: Vec<Diagnostic>,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub key_at: Range<usize>,
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone)]
pub enum Part {
    Text(Secret),
    /// The value of another name.
    Variable(Variable),
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
    pub kind: CommandKind,
}

impl fmt::Debug for Command {
    /// Leaves out the text of the command, which may contain a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("at", &self.at).finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub enum CommandKind {
    Shell(Vec<Piece>),
    /// One of Bowline's own commands.
    Secrets(Call),
}

/// A call of `kamal secrets …`, possibly with variables before it and a pipe after it.
#[derive(Clone)]
pub struct Call {
    /// `NAME=value` before the command.
    pub env: Vec<(String, Word)>,
    /// The words after `secrets`.
    pub words: Vec<Word>,
    /// The rest of a pipe that its output goes through (`| base64 -d`).
    pub pipe: Option<Vec<Piece>>,
}

/// A word of one of Bowline's own commands.
pub type Word = Vec<WordPart>;

#[derive(Clone)]
pub enum WordPart {
    /// Literal text.
    Text(String),
    /// The value of a name. Outside quotes, its blanks separate words.
    Variable { variable: Variable, quoted: bool },
    /// The output of a command. Outside quotes, its blanks separate words.
    Command { command: Box<Command>, quoted: bool },
}

/// A piece of a shell program.
#[derive(Clone)]
pub enum Piece {
    /// Text that the shell gets unchanged.
    Text(String),
    /// A reference that the shell resolves, if it has the name. `raw` is the original text: `$NAME`, `${NAME}`, or the
    /// beginning of a longer form (`${NAME` of `${NAME:-x}`).
    Variable { name: String, raw: String, quotes: Quotes },
    /// One of Bowline's own commands inside a shell program.
    Call { call: Box<Call>, at: Range<usize>, quotes: Quotes },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    None,
    Single,
    Double,
}

/// An error, boxed because many results can contain one.
type Wrong = Box<Diagnostic>;

/// If this variable is [`LEGACY`], `\n` and `\r` in double quotes are line breaks. An earlier line of the file sets
/// it, or the environment.
pub const LINEBREAK_MODE: &str = "DOTENV_LINEBREAK_MODE";
pub const LEGACY: &str = "legacy";

/// Parses a file. `legacy` says whether [`LINEBREAK_MODE`] is [`LEGACY`] in the environment.
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
                errors.push(Diagnostic::error(line.key.clone(), message).help(help));
                Vec::new()
            }
            None => Vec::new(),
        };
        entries.push(Entry { key, key_at: line.key, parts });
    }
    errors.sort_by_key(|problem| problem.span.start);
    File { source: SourceFile::new(path, text), entries, errors, warnings: lines.warnings }
}

impl Entry {
    /// Whether its own value needs a command, apart from the names that it refers to.
    pub fn has_command(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Command(_)))
    }
}
