//! Splits a value into parts: resolves escapes, and finds references and commands, each with its position.

use super::command::command;
use super::lines::Raw;
use super::{Part, Quotes, Variable, scan};
use crate::diagnostic::Diagnostic;
use crate::secret::Secret;
use std::ops::Range;

/// A text with its escapes resolved, and the position in the file of each of its bytes.
pub(super) struct Cooked {
    pub(super) text: String,
    origins: Vec<usize>,
    end: usize,
}

impl Cooked {
    /// Resolves the escapes of an unquoted or double-quoted value: `\x` is `x`. `\$` stays until references are
    /// found. In double quotes, `\n` and `\r` stay too, unless `legacy` makes them line breaks.
    fn new(text: &str, raw: &Raw, legacy: bool) -> Self {
        let source = text.get(raw.inner.clone()).unwrap_or_default();
        let mut cooked =
            Self { text: String::with_capacity(source.len()), origins: vec![], end: raw.inner.end };
        let mut chars = source.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let at = raw.inner.start + at;
            let escaped = if c == '\\' { chars.peek().copied() } else { None };
            match (escaped.map(|(_, c)| c), raw.quotes) {
                (None, _) => cooked.push(c, at),
                (Some('$'), _) => cooked.push('\\', at),
                (Some(c @ ('n' | 'r')), Quotes::Double) => {
                    chars.next();
                    if legacy {
                        cooked.push(if c == 'n' { '\n' } else { '\r' }, at);
                    } else {
                        cooked.push('\\', at);
                        cooked.push(c, at + 1);
                    }
                }
                (Some(c), _) => {
                    chars.next();
                    cooked.push(c, at);
                }
            }
        }
        cooked
    }

    fn push(&mut self, c: char, at: usize) {
        self.origins.extend(std::iter::repeat_n(at, c.len_utf8()));
        self.text.push(c);
    }

    /// Maps a range to the file.
    pub(super) fn place(&self, range: Range<usize>) -> Range<usize> {
        let origin = |at: usize| self.origins.get(at).copied().unwrap_or(self.end);
        origin(range.start)..origin(range.end).max(origin(range.start))
    }
}

pub(super) fn parts(text: &str, raw: &Raw, legacy: bool, errors: &mut Vec<Diagnostic>) -> Vec<Part> {
    if raw.quotes == Quotes::Single {
        return vec![Part::Text(Secret::new(text.get(raw.inner.clone()).unwrap_or_default()))];
    }
    let cooked = Cooked::new(text, raw, legacy);
    let mut cut = Cut { cooked: &cooked, literal: String::new(), parts: Vec::new(), errors };
    let mut at = 0;
    let mut literal_until = 0;
    while at < cooked.text.len() {
        at = cut.step(at, &mut literal_until);
    }
    cut.flush();
    cut.parts
}

pub(super) fn variable(cooked: &Cooked, name: &str, at: Range<usize>) -> Variable {
    let before = cooked.text.get(..at.start).and_then(|text| text.chars().next_back());
    let like_a_name = name.len() > 2
        && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let telling = like_a_name && !before.is_some_and(char::is_alphanumeric);
    Variable { name: name.into(), at: cooked.place(at), telling }
}

struct Cut<'a> {
    cooked: &'a Cooked,
    literal: String,
    parts: Vec<Part>,
    errors: &'a mut Vec<Diagnostic>,
}

impl Cut<'_> {
    /// Reads what begins here, and returns the position after it. Commands before `literal_until` are text: they are
    /// inside an escaped one.
    fn step(&mut self, at: usize, literal_until: &mut usize) -> usize {
        let text = self.cooked.text.as_str();
        let rest = text.get(at..).unwrap_or_default();
        if rest.starts_with("\\$") {
            if rest.starts_with("\\$(") {
                *literal_until = scan::closing(text, at + 3).unwrap_or(at + 3).max(*literal_until);
            }
            self.literal.push('$');
            return at + 2;
        }
        if rest.starts_with("$(") && !rest.starts_with("$()") && at >= *literal_until {
            return self.command(at);
        }
        if rest.starts_with('$') {
            return self.reference(at);
        }
        let length = rest.chars().next().map_or(1, char::len_utf8);
        self.literal.push_str(rest.get(..length).unwrap_or_default());
        at + length
    }

    fn command(&mut self, at: usize) -> usize {
        let text = self.cooked.text.as_str();
        let Some(close) = scan::closing(text, at + 2) else {
            let problem = Diagnostic::error(self.cooked.place(at..at + 2), "this `$(` is never closed").label("expected a `)`").help(
                "put double quotes around a command of several lines; for a literal `$(`, write `\\$(` or use single quotes",
            );
            self.errors.push(problem);
            return text.len();
        };
        self.flush();
        match command(self.cooked, at..close + 1) {
            Ok(command) => self.parts.push(Part::Command(command)),
            Err(problem) => self.errors.push(*problem),
        }
        close + 1
    }

    fn reference(&mut self, at: usize) -> usize {
        match scan::reference(&self.cooked.text, at) {
            Ok(Some((name, end))) => {
                let variable = variable(self.cooked, name, at..end);
                self.flush();
                self.parts.push(Part::Variable(variable));
                end
            }
            Ok(None) => {
                self.literal.push('$');
                at + 1
            }
            Err(_) => {
                let problem = Diagnostic::error(self.cooked.place(at..at + 2), "this `${` isn't closed after the name")
                    .label("expected a `}`")
                    .help("for a literal `${`, write `\\${` or use single quotes; for a default, write `$(echo \"${NAME:-default}\")`");
                self.errors.push(problem);
                self.cooked.text.len()
            }
        }
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.parts.push(Part::Text(Secret::new(std::mem::take(&mut self.literal))));
        }
    }
}
