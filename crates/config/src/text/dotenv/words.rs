//! Parses Bowline's own commands in a secrets file, such as `kamal secrets fetch …`. They run without a `kamal`.

use std::ops::Range;

use super::command::{command, pieces};
use super::parts::{Cooked, variable};
use super::{Call, Word, WordPart, Wrong, scan};
use crate::diagnostic::Diagnostic;

enum Token {
    Word(Word),
    Operator(Range<usize>),
}

/// Parses one of Bowline's own commands: `kamal secrets …`, `bowline secrets …`, by any path or through `bundle exec`.
/// Returns `None` for any other command.
pub(super) fn call(cooked: &Cooked, range: Range<usize>) -> Result<Option<Call>, Wrong> {
    // Report nothing before the name matches: a shell has its own rules.
    if !cooked.text.get(range.clone()).unwrap_or_default().contains("secrets") {
        return Ok(None);
    }
    let mut reader = Words { cooked, at: range.start, end: range.end };
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
                let pipe = pieces(cooked, after_pipe(cooked, at)?..range.end)?;
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
fn after_pipe(cooked: &Cooked, at: Range<usize>) -> Result<usize, Wrong> {
    if cooked.text.get(at.clone()) == Some("|") {
        return Ok(at.end);
    }
    let error = Diagnostic::error(cooked.place(at), "only `|` and another command can follow here");
    Err(error.help("Bowline answers `kamal secrets …` itself; a shell never sees it").into())
}

struct Words<'a> {
    cooked: &'a Cooked,
    at: usize,
    end: usize,
}

impl Words<'_> {
    fn rest(&self) -> &str {
        self.cooked.text.get(self.at..self.end).unwrap_or_default()
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
        let (at, text) = (self.at, self.cooked.text.as_str());
        if self.rest().starts_with("$(") {
            let close = scan::closing(text, at + 2).filter(|close| *close < self.end);
            let Some(close) = close else {
                let error = Diagnostic::error(self.cooked.place(at..at + 2), "this `$(` is never closed");
                return Err(error.label("expected a `)`").into());
            };
            let command = Box::new(command(self.cooked, at..close + 1)?);
            self.at = close + 1;
            return Ok(Some(WordPart::Command { command, quoted }));
        }
        match scan::reference(text, at) {
            Ok(Some((name, end))) => {
                let variable = variable(self.cooked, name, at..end);
                self.at = end;
                Ok(Some(WordPart::Variable { variable, quoted }))
            }
            Ok(None) => Ok(None),
            Err(_) => {
                let place = self.cooked.place(at..at + 2);
                let error = Diagnostic::error(place, "this `${` isn't closed after the name");
                Err(error.label("expected a `}`").into())
            }
        }
    }
}

fn is_operator(c: char) -> bool {
    matches!(c, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '`')
}
