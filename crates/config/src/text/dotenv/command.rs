//! The content of `$(…)`: one of Bowline's own commands, or a shell program and its references.
//!
//! The shell gets the referenced values in its environment and expands them itself, so a value can never become part of the
//! program. Kamal writes values into the text, which is why `\$` is a `$` for the shell, and why a reference in single quotes
//! is expanded.

use std::ops::Range;

use super::unescaped::Unescaped;
use super::{Call, Command, CommandKind, Piece, Quotes, Word, WordPart, Wrong, scan};
use crate::diagnostic::Diagnostic;

pub(super) fn command(unescaped: &Unescaped, whole: Range<usize>) -> Result<Command, Wrong> {
    let at = unescaped.place(whole.clone());
    let inner = whole.start + 2..whole.end - 1;
    let kind = match call(unescaped, inner.clone())? {
        Some(call) => CommandKind::Secrets(call),
        None => CommandKind::Shell(pieces(unescaped, inner)?),
    };
    Ok(Command { at, kind })
}

/// Splits a shell program at its references and at Bowline's own commands.
fn pieces(unescaped: &Unescaped, range: Range<usize>) -> Result<Vec<Piece>, Wrong> {
    let mut shell = Shell { unescaped, end: range.end, text: String::new(), pieces: Vec::new() };
    shell.read(range.start)?;
    shell.flush();
    Ok(shell.pieces)
}

struct Shell<'a> {
    unescaped: &'a Unescaped,
    end: usize,
    text: String,
    pieces: Vec<Piece>,
}

impl Shell<'_> {
    fn read(&mut self, from: usize) -> Result<(), Wrong> {
        let (mut at, mut quotes) = (from, Quotes::None);
        let whole = self.unescaped.text.as_str();
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
        let close = scan::closing(&self.unescaped.text, at + 2).filter(|close| *close < self.end);
        let Some(close) = close else {
            self.text.push_str("$(");
            return Ok(at + 2);
        };
        let inner = at + 2..close;
        match call(self.unescaped, inner.clone())? {
            Some(call) => {
                self.flush();
                let place = self.unescaped.place(at..close + 1);
                self.pieces.push(Piece::Call { call: Box::new(call), at: place, quotes });
            }
            None => {
                self.text.push_str("$(");
                self.flush();
                self.pieces.extend(pieces(self.unescaped, inner)?);
                self.text.push(')');
            }
        }
        Ok(close + 1)
    }

    fn reference(&mut self, at: usize, quotes: Quotes) -> usize {
        let text = self.unescaped.text.as_str();
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

enum Token {
    Word(Word),
    Operator(Range<usize>),
}

/// Parses one of Bowline's own commands, which run without a `kamal`: `kamal secrets …`, `bowline secrets …`, by any path or through `bundle exec`.
/// Returns `None` for any other command.
fn call(unescaped: &Unescaped, range: Range<usize>) -> Result<Option<Call>, Wrong> {
    // Report nothing before the name matches: a shell has its own rules.
    if !unescaped.text.get(range.clone()).unwrap_or_default().contains("secrets") {
        return Ok(None);
    }
    let mut reader = Words { unescaped, at: range.start, end: range.end };
    let (mut env, mut head) = (Vec::new(), Vec::<String>::new());
    loop {
        match reader.next() {
            Ok(Some(Token::Word(word))) => match (assignment(&word), literal(&word)) {
                (Some(pair), _) if head.is_empty() => env.push(pair),
                (_, Some(text)) => head.push(text),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        }
        match is_ours(&head) {
            Some(true) => break,
            Some(false) => {}
            None => return Ok(None),
        }
    }
    let mut words = Vec::new();
    loop {
        match reader.next()? {
            Some(Token::Word(word)) => words.push(word),
            None => return Ok(Some(Call { env, words, pipe: None })),
            Some(Token::Operator(at)) => {
                let pipe = pieces(unescaped, after_pipe(unescaped, at)?..range.end)?;
                return Ok(Some(Call { env, words, pipe: Some(pipe) }));
            }
        }
    }
}

/// Whether these first words are one of Bowline's own commands. `Some(false)` asks for more words.
fn is_ours(head: &[String]) -> Option<bool> {
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let rest = match head.as_slice() {
        [] | ["bundle"] | ["bundle", "exec"] => return Some(false),
        ["bundle", "exec", rest @ ..] => rest,
        rest => rest,
    };
    let program = rest.first().map(|word| word.rsplit('/').next().unwrap_or(word));
    match (program, rest) {
        (Some("kamal" | "bowline"), [_]) => Some(false),
        (Some("kamal" | "bowline"), [_, "secrets"]) => Some(true),
        _ => None,
    }
}

/// `NAME=…` before a command.
fn assignment(word: &Word) -> Option<(String, Word)> {
    let (first, rest) = word.split_first()?;
    let WordPart::Text(text) = first else { return None };
    let (name, value) = text.split_once('=')?;
    if name.is_empty() || scan::name(name, 0) < name.len() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut word = vec![WordPart::Text(value.into())];
    word.extend(rest.iter().cloned());
    Some((name.into(), word))
}

fn literal(word: &Word) -> Option<String> {
    match word.as_slice() {
        [WordPart::Text(text)] => Some(text.clone()),
        _ => None,
    }
}

/// The position after a `|`. Other operators make no sense after one of Bowline's own commands.
fn after_pipe(unescaped: &Unescaped, at: Range<usize>) -> Result<usize, Wrong> {
    if unescaped.text.get(at.clone()) == Some("|") {
        return Ok(at.end);
    }
    let error = Diagnostic::error(unescaped.place(at), "only `|` and another command can follow here");
    Err(error.help("Bowline answers `kamal secrets …` itself; a shell never sees it").into())
}

struct Words<'a> {
    unescaped: &'a Unescaped,
    at: usize,
    end: usize,
}

impl Words<'_> {
    fn rest(&self) -> &str {
        self.unescaped.text.get(self.at..self.end).unwrap_or_default()
    }

    fn next(&mut self) -> Result<Option<Token>, Wrong> {
        // A line break is a blank: long commands span several lines.
        self.at += self.rest().len() - self.rest().trim_start().len();
        let Some(c) = self.rest().chars().next() else { return Ok(None) };
        if is_operator(c) {
            let length = self.rest().find(|c: char| !is_operator(c)).unwrap_or(self.rest().len());
            let at = self.at..self.at + length;
            self.at = at.end;
            return Ok(Some(Token::Operator(at)));
        }
        self.word().map(|word| Some(Token::Word(word)))
    }

    fn word(&mut self) -> Result<Word, Wrong> {
        let (mut word, mut text) = (Word::new(), None::<String>);
        let mut quote = None;
        while let Some(c) = self.rest().chars().next() {
            if quote.is_none() && (c.is_whitespace() || is_operator(c)) {
                break;
            }
            if c == '$' {
                if let Some(part) = self.dollar(quote.is_some())? {
                    word.extend(text.take().map(WordPart::Text));
                    word.push(part);
                    continue;
                }
            } else if quote == Some(c) || (quote.is_none() && matches!(c, '\'' | '"')) {
                quote = if quote.is_none() { Some(c) } else { None };
                text.get_or_insert_default();
                self.at += 1;
                continue;
            } else if c == '\\' && quote != Some('\'') {
                let escaped = self.rest().chars().nth(1);
                // In double quotes, a backslash is literal unless it escapes something.
                if quote.is_none() || matches!(escaped, Some('"' | '\\' | '$' | '`')) {
                    self.at += 1;
                }
            }
            let Some(c) = self.rest().chars().next() else { break };
            text.get_or_insert_default().push(c);
            self.at += c.len_utf8();
        }
        word.extend(text.map(WordPart::Text));
        Ok(word)
    }

    /// Reads a reference or a command. `None` if the `$` is literal.
    fn dollar(&mut self, quoted: bool) -> Result<Option<WordPart>, Wrong> {
        let (at, text) = (self.at, self.unescaped.text.as_str());
        if self.rest().starts_with("$(") {
            let close = scan::closing(text, at + 2).filter(|close| *close < self.end);
            let Some(close) = close else {
                let error = Diagnostic::error(self.unescaped.place(at..at + 2), "this `$(` is never closed");
                return Err(error.label("expected a `)`").into());
            };
            let command = Box::new(command(self.unescaped, at..close + 1)?);
            self.at = close + 1;
            return Ok(Some(WordPart::Command { command, quoted }));
        }
        match scan::reference(text, at) {
            Ok(Some((name, end))) => {
                let variable = self.unescaped.variable(name, at..end);
                self.at = end;
                Ok(Some(WordPart::Variable { variable, quoted }))
            }
            Ok(None) => Ok(None),
            Err(_) => {
                let place = self.unescaped.place(at..at + 2);
                let error = Diagnostic::error(place, "this `${` isn't closed after the name");
                Err(error.label("expected a `}`").into())
            }
        }
    }
}

fn is_operator(c: char) -> bool {
    matches!(c, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '`')
}
