//! The lines of a secrets file: keys and the positions of their values, still with quotes and escapes.

use std::ops::Range;

use super::{Quotes, scan};
use crate::diagnostic::Diagnostic;

#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) entries: Vec<Line>,
    pub(super) errors: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) export: bool,
    pub(super) key: Range<usize>,
    /// `None` if the line consists of the key only.
    pub(super) value: Option<Raw>,
}

#[derive(Debug)]
pub(super) struct Raw {
    pub(super) quotes: Quotes,
    /// Without the quotes.
    pub(super) inner: Range<usize>,
}

struct Read {
    raw: Raw,
    end: usize,
}

pub(super) fn read(text: &str) -> Lines {
    let mut lines = Lines::default();
    let mut at = 0;
    while at < text.len() {
        let end = line_end(text, at);
        let after = match head(text, at, end) {
            Some((export, key, None)) => {
                lines.entries.push(Line { export, key, value: None });
                end
            }
            Some((export, key, Some(value))) => {
                let read = value_at(text, value, end, &mut lines);
                lines.entries.push(Line { export, key, value: Some(read.raw) });
                line_end(text, read.end)
            }
            None => {
                lines.warnings.extend(ignored_line(text, at, end));
                end
            }
        };
        at = after + 1;
    }
    lines
}

/// Warns about a line that is not an entry, a comment or empty. It may be part of a secret, so it is not shown.
fn ignored_line(text: &str, start: usize, end: usize) -> Option<Diagnostic> {
    let line = text.get(start..end)?;
    let content = line.trim();
    if content.is_empty() || content.starts_with('#') {
        return None;
    }
    let start = start + (line.len() - line.trim_start().len());
    Some(
        Diagnostic::warning(start..start + content.len(), "Bowline ignores this line: it isn't `NAME=value`")
            .help("a name has letters, digits, `_` and `.`; put a value with several lines in quotes"),
    )
}

fn line_end(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.find('\n').map_or(text.len(), |length| from + length)
}

/// Whether the line begins with `export`, the key, and where the value begins after a `=` or `: `.
fn head(text: &str, start: usize, end: usize) -> Option<(bool, Range<usize>, Option<usize>)> {
    let line = text.get(start..end)?;
    let mut at = blanks(line, 0);
    let after_export = line.get(at..)?.strip_prefix("export").map(|_| blanks(line, at + 6));
    let export = after_export.filter(|after| *after > at + 6 && key_length(line, *after) > 0);
    at = export.unwrap_or(at);
    let length = key_length(line, at);
    if length == 0 {
        return None;
    }
    let key = start + at..start + at + length;
    at += length;
    let gap = blanks(line, at);
    let rest = line.get(gap..)?;
    if rest.starts_with('=') {
        return Some((export.is_some(), key, Some(start + blanks(line, gap + 1))));
    }
    if line.get(at..)?.starts_with(':') && blanks(line, at + 1) > at + 1 {
        return Some((export.is_some(), key, Some(start + blanks(line, at + 1))));
    }
    (rest.is_empty() || rest.starts_with('#')).then_some((export.is_some(), key, None))
}

fn key_length(line: &str, from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len())
}

/// The first position from here on that isn't blank.
fn blanks(line: &str, from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    from + (rest.len() - rest.trim_start().len())
}

fn value_at(text: &str, start: usize, end: usize, lines: &mut Lines) -> Read {
    match text.as_bytes().get(start) {
        Some(quote @ (b'\'' | b'"')) if start < end => quoted(text, start, *quote, lines),
        _ => bare(text, start, end, lines),
    }
}

/// A quoted value ends at a quote before the end of the line or a comment. A quote after a backslash may be part of the
/// value, so the last such quote counts, as in the library.
fn quoted(text: &str, start: usize, quote: u8, lines: &mut Lines) -> Read {
    let quotes = if quote == b'\'' { Quotes::Single } else { Quotes::Double };
    let closing = closing(text, start + 1, quote);
    if let Some(at) = closing.iter().rev().find(|at| ends(text, **at + 1)) {
        return Read { raw: Raw { quotes, inner: start + 1..*at }, end: *at + 1 };
    }
    // The whole line is in quotes, and contains the same quote.
    let end = line_end(text, start);
    let line = text.get(start..end).unwrap_or_default();
    let line = line.get(..line.find('#').unwrap_or(line.len())).unwrap_or_default().trim_end();
    if line.len() > 1 && line.as_bytes().last() == Some(&quote) {
        let inner = start + 1..start + line.len() - 1;
        return Read { raw: Raw { quotes, inner }, end };
    }
    let mark = char::from(quote);
    lines.errors.push(match closing.last() {
        Some(at) => {
            let rest = blanks(text, at + 1)..line_end(text, *at);
            Diagnostic::error(rest, "there is text after the closing quote")
                .label("expected the end of the line, or a comment")
                .help("put the whole value in quotes; it can contain the other kind")
        }
        None => Diagnostic::error(start..start + 1, "this quote is never closed")
            .label(format!("expected another `{mark}` at the end of the value"))
            .help("if the value itself begins with a quote, put the other kind of quotes around it"),
    });
    // Continue with the next line, so that one mistake is one error.
    Read { raw: Raw { quotes, inner: start..start }, end: closing.last().map_or(end, |at| at + 1) }
}

/// Where a quoted value may end: the quotes after a backslash, and the first other quote.
fn closing(text: &str, from: usize, quote: u8) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    for at in from..bytes.len() {
        if bytes.get(at) == Some(&quote) {
            found.push(at);
            if at == from || bytes.get(at - 1) != Some(&b'\\') {
                break;
            }
        }
    }
    found
}

/// Whether only a comment follows on the line.
fn ends(text: &str, from: usize) -> bool {
    let rest = text.get(from..line_end(text, from)).unwrap_or_default().trim_start();
    rest.is_empty() || rest.starts_with('#')
}

/// An unquoted value ends at a `#` outside `$(…)`, or at the end of the line.
fn bare(text: &str, start: usize, end: usize, lines: &mut Lines) -> Read {
    let line = text.get(start..end).unwrap_or_default();
    let mut at = 0;
    while let Some(byte) = line.as_bytes().get(at) {
        at = match byte {
            b'#' => break,
            b'\\' => at + 2,
            b'$' if line.as_bytes().get(at + 1) == Some(&b'(') => {
                scan::closing(line, at + 2).map_or(at + 1, |close| close + 1)
            }
            _ => at + 1,
        };
    }
    let stop = at.min(line.len());
    let written = line.get(..stop).unwrap_or_default();
    if stop < line.len() && !written.is_empty() && !written.ends_with(char::is_whitespace) {
        lines.warnings.push(
            Diagnostic::warning(start + stop..start + stop + 1, "the value ends at this `#`")
                .help("put the value in quotes if the `#` belongs to it, or a space before a comment"),
        );
    }
    let inner = start..start + written.trim_end().len();
    Read { raw: Raw { quotes: Quotes::None, inner }, end }
}
