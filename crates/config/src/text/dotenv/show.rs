//! Shows problems in secrets files with their lines, but hides anything that may be secret. Names, references and
//! commands stay visible. Other texts are hidden, and so are lines that aren't entries.

use std::ops::Range;

use super::{File, Part};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span};
use crate::is_secret_key;

/// Combines errors or warnings into a report. Their spans have the indexes of these files.
pub fn report<'f>(files: impl IntoIterator<Item = &'f File>, problems: Vec<Diagnostic>) -> Diagnostics {
    let source = |file: &File| Source { file: file.source.clone(), hidden: file.hidden() };
    Diagnostics::new(files.into_iter().map(source).collect(), problems)
}

impl File {
    /// The ranges that must not be shown.
    fn hidden(&self) -> Vec<Range<usize>> {
        let text = self.source.text.as_str();
        let mut shown: Vec<Range<usize>> = Vec::new();
        for entry in &self.entries {
            shown.push(head(text, &entry.key_at));
            for part in &entry.parts {
                match part {
                    Part::Text(_) => {}
                    Part::Variable(variable) if variable.telling => shown.push(variable.at.clone()),
                    Part::Variable(_) => {}
                    Part::Command(command) => shown.extend(harmless(text, command.at.clone())),
                }
            }
        }
        shown.extend(self.errors.iter().chain(&self.warnings).filter_map(|problem| mark(text, problem.span)));
        shown.sort_by_key(|range| range.start);
        let mut hidden = Vec::new();
        let mut at = 0;
        for range in shown.iter().chain([&(text.len()..text.len())]) {
            if range.start > at {
                hidden.push(at..range.start);
            }
            at = at.max(range.end);
        }
        hidden
    }
}

/// The name, and everything between it and its value.
fn head(text: &str, key: &Range<usize>) -> Range<usize> {
    let rest = text.get(key.end..).unwrap_or_default();
    let blank = |text: &str, from: usize| {
        from + text.get(from..).map_or(0, |rest| rest.len() - rest.trim_start_matches([' ', '\t']).len())
    };
    let mut end = blank(rest, 0);
    if rest.get(end..).is_some_and(|rest| rest.starts_with(['=', ':'])) {
        end = blank(rest, end + 1);
        if rest.get(end..).is_some_and(|rest| rest.starts_with(['\'', '"'])) {
            end += 1;
        }
    }
    key.start..key.end + end
}

/// The range of a problem, if it covers only the sign that the problem is about.
fn mark(text: &str, Span { start, end, .. }: Span) -> Option<Range<usize>> {
    let is_sign = matches!(text.get(start..end)?, "'" | "\"" | "$(" | "${" | "#" | "|");
    is_sign.then_some(start..end)
}

/// The parts of a command that can be shown. Hides what follows a word that sounds like a secret (`--token abc`,
/// `PASSWORD=abc`), and the content of a JSON object, which may come from a vault.
fn harmless(text: &str, at: Range<usize>) -> Vec<Range<usize>> {
    let command = text.get(at.clone()).unwrap_or_default();
    let mut shown = Vec::new();
    let (mut from, mut hide_next) = (at.start, false);
    for (start, word) in words(command) {
        let start = at.start + start;
        let end = start + word.trim_end_matches([')', '"', '\'', ';']).len();
        let value = word.find(['=', ':']).filter(|sign| is_secret_key(word.get(..*sign).unwrap_or_default()));
        let hidden = match value {
            _ if hide_next && !word.starts_with(['-', '$', '|']) => Some(start..end),
            Some(sign) if sign + 1 < word.len() => Some((start + sign + 1).min(end)..end),
            _ => None,
        };
        let header = word.trim_matches(['"', '\'']).to_ascii_lowercase();
        hide_next = (word.starts_with('-') && is_secret_key(word) && !word.contains('='))
            || word.ends_with(':')
            || (hide_next && matches!(header.as_str(), "bearer" | "basic" | "token"));
        if let Some(hidden) = hidden.filter(|hidden| !hidden.is_empty()) {
            shown.push(from..hidden.start);
            from = hidden.end;
        }
    }
    shown.push(from..at.end);
    let object = command.find("{\"").zip(command.rfind('}')).filter(|(open, close)| open < close);
    let Some((open, close)) = object else { return shown };
    let (open, close) = (at.start + open + 1, at.start + close);
    let around = |range: &Range<usize>| [range.start..range.end.min(open), range.start.max(close)..range.end];
    shown.iter().flat_map(around).filter(|range| range.start < range.end).collect()
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split(char::is_whitespace).filter_map(move |word| {
        let start = at;
        at += word.len()
            + text.get(at + word.len()..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        (!word.is_empty()).then_some((start, word))
    })
}
