//! Splits a value into parts: text, references and commands, each with its position.

use super::command::command;
use super::lines::Raw;
use super::unescaped::Unescaped;
use super::{Part, Quotes, scan};
use crate::diagnostic::Diagnostic;
use crate::secret::Secret;

pub(super) fn parts(text: &str, raw: &Raw, legacy: bool, errors: &mut Vec<Diagnostic>) -> Vec<Part> {
    if raw.quotes == Quotes::Single {
        return vec![Part::Text(Secret::new(text.get(raw.inner.clone()).unwrap_or_default()))];
    }
    let unescaped = Unescaped::new(text, raw, legacy);
    let mut reader = PartReader { unescaped: &unescaped, literal: String::new(), parts: Vec::new(), errors };
    let mut at = 0;
    let mut literal_until = 0;
    while at < unescaped.text.len() {
        at = reader.step(at, &mut literal_until);
    }
    reader.flush();
    reader.parts
}

struct PartReader<'a> {
    unescaped: &'a Unescaped,
    literal: String,
    parts: Vec<Part>,
    errors: &'a mut Vec<Diagnostic>,
}

impl PartReader<'_> {
    /// Reads what begins here, and returns the position after it. Commands before `literal_until` are text: they are
    /// inside an escaped one.
    fn step(&mut self, at: usize, literal_until: &mut usize) -> usize {
        let text = self.unescaped.text.as_str();
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
        let text = self.unescaped.text.as_str();
        let Some(close) = scan::closing(text, at + 2) else {
            let problem = Diagnostic::error(self.unescaped.place(at..at + 2), "this `$(` is never closed").label("expected a `)`").help(
                "put double quotes around a command of several lines; for a literal `$(`, write `\\$(` or use single quotes",
            );
            self.errors.push(problem);
            return text.len();
        };
        self.flush();
        match command(self.unescaped, at..close + 1) {
            Ok(command) => self.parts.push(Part::Command(command)),
            Err(problem) => self.errors.push(*problem),
        }
        close + 1
    }

    fn reference(&mut self, at: usize) -> usize {
        match scan::reference(&self.unescaped.text, at) {
            Ok(Some((name, end))) => {
                let variable = self.unescaped.variable(name, at..end);
                self.flush();
                self.parts.push(Part::Variable(variable));
                end
            }
            Ok(None) => {
                self.literal.push('$');
                at + 1
            }
            Err(_) => {
                let problem = Diagnostic::error(self.unescaped.place(at..at + 2), "this `${` isn't closed after the name")
                    .label("expected a `}`")
                    .help("for a literal `${`, write `\\${` or use single quotes; for a default, write `$(echo \"${NAME:-default}\")`");
                self.errors.push(problem);
                self.unescaped.text.len()
            }
        }
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.parts.push(Part::Text(Secret::new(std::mem::take(&mut self.literal))));
        }
    }
}
