//! The content of `$(…)`: one of Bowline's own commands, or a shell program and its references.
//!
//! The shell gets the referenced values in its environment and expands them itself, so a value can never become part of the
//! program. Kamal writes values into the text, which is why `\$` is a `$` for the shell, and why a reference in single quotes
//! is expanded.

use std::ops::Range;

use super::parts::Cooked;
use super::words::call;
use super::{Command, CommandKind, Piece, Quotes, Wrong, scan};

pub(super) fn command(cooked: &Cooked, whole: Range<usize>) -> Result<Command, Wrong> {
    let at = cooked.place(whole.clone());
    let inner = whole.start + 2..whole.end - 1;
    let kind = match call(cooked, inner.clone())? {
        Some(call) => CommandKind::Secrets(call),
        None => CommandKind::Shell(pieces(cooked, inner)?),
    };
    Ok(Command { at, kind })
}

/// Splits a shell program at its references and at Bowline's own commands.
pub(super) fn pieces(cooked: &Cooked, range: Range<usize>) -> Result<Vec<Piece>, Wrong> {
    let mut shell = Shell { cooked, end: range.end, text: String::new(), pieces: Vec::new() };
    shell.read(range.start)?;
    shell.flush();
    Ok(shell.pieces)
}

struct Shell<'a> {
    cooked: &'a Cooked,
    end: usize,
    text: String,
    pieces: Vec<Piece>,
}

impl Shell<'_> {
    fn read(&mut self, from: usize) -> Result<(), Wrong> {
        let (mut at, mut quotes) = (from, Quotes::None);
        let whole = self.cooked.text.as_str();
        while at < self.end {
            let rest = whole.get(at..self.end).unwrap_or_default();
            let Some(c) = rest.chars().next() else { break };
            let mut taken = c.len_utf8();
            match (c, quotes) {
                ('\\', _) if rest.starts_with("\\$") => {
                    self.text.push('$');
                    at += 2;
                    continue;
                }
                ('\\', Quotes::None | Quotes::Double) if !rest.starts_with("\\\\$") => {
                    taken += rest.chars().nth(1).map_or(0, char::len_utf8);
                }
                ('\'', Quotes::None) => quotes = Quotes::Single,
                ('"', Quotes::None) => quotes = Quotes::Double,
                ('\'', Quotes::Single) | ('"', Quotes::Double) => quotes = Quotes::None,
                ('$', Quotes::None | Quotes::Double) if rest.starts_with("$(") => {
                    at = self.nested(at, quotes)?;
                    continue;
                }
                ('$', _) => {
                    at = self.reference(at, quotes);
                    continue;
                }
                _ => {}
            }
            self.text.push_str(rest.get(..taken).unwrap_or_default());
            at += taken;
        }
        Ok(())
    }

    /// Reads a nested command. Bowline answers its own commands before the shell runs, and leaves others to the shell.
    fn nested(&mut self, at: usize, quotes: Quotes) -> Result<usize, Wrong> {
        let close = scan::closing(&self.cooked.text, at + 2).filter(|close| *close < self.end);
        let Some(close) = close else {
            self.text.push_str("$(");
            return Ok(at + 2);
        };
        let inner = at + 2..close;
        match call(self.cooked, inner.clone())? {
            Some(call) => {
                self.flush();
                let place = self.cooked.place(at..close + 1);
                self.pieces.push(Piece::Call { call: Box::new(call), at: place, quotes });
            }
            None => {
                self.text.push_str("$(");
                self.flush();
                self.pieces.extend(pieces(self.cooked, inner)?);
                self.text.push(')');
            }
        }
        Ok(close + 1)
    }

    fn reference(&mut self, at: usize, quotes: Quotes) -> usize {
        let text = self.cooked.text.as_str();
        let (end, name) = match scan::reference(text, at) {
            Ok(Some((name, end))) => (end, name),
            // The shell resolves `${NAME:-default}` and the like, but it needs the variable.
            Err(end) => (end, text.get(at + 2..end).unwrap_or_default()),
            Ok(None) => {
                self.text.push('$');
                return at + 1;
            }
        };
        let (name, raw) = (name.to_owned(), text.get(at..end).unwrap_or_default().to_owned());
        self.flush();
        self.pieces.push(Piece::Variable { name, raw, quotes });
        end
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.text)));
        }
    }
}
