//! Explains the parser's errors to the author of a configuration.

use granit_parser::{ErrorKind, Marker, ScanError};

use crate::diagnostic::{Diagnostic, Span};

pub(super) fn syntax_error(file: usize, text: &str, error: &ScanError) -> Diagnostic {
    let span = place(file, text, error);
    if let Some(unclosed) = never_closed(text, span.start) {
        return unclosed.diagnostic(file, span);
    }
    let (message, help) = explain(error.kind());
    let diagnostic = Diagnostic::error(span, message);
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unclosed {
    open: char,
    at: usize,
}

impl Unclosed {
    fn close(self) -> char {
        if self.open == '{' { '}' } else { ']' }
    }

    /// The parser continues until something can't be in such a list or map, which may be far below (`noticed`).
    fn diagnostic(self, file: usize, noticed: Span) -> Diagnostic {
        let (Self { open, at }, close) = (self, self.close());
        Diagnostic::error(
            Span { file, start: at, end: at + 1 },
            format!("`{open}` is opened here and never closed"),
        )
        .also(noticed, "this can't be part of it")
        .help(format!("write the missing `{close}`"))
    }
}

/// The innermost bracket that was open when the parser stopped on a later line, and is still open at the end of the
/// text.
fn never_closed(text: &str, error: usize) -> Option<Unclosed> {
    let mut open: Vec<Unclosed> = Vec::new();
    let mut there: Option<Vec<Unclosed>> = None;
    let mut quote: Option<char> = None;
    // The last character that isn't blank. A value can only begin after some of them.
    let mut before = '\n';
    let mut comment = false;
    let mut blank = true;
    for (at, c) in text.char_indices() {
        if at >= error && there.is_none() {
            there = Some(open.clone());
        }
        let begins = matches!(before, '\n' | ':' | '-' | ',' | '[' | '{');
        match (c, quote) {
            _ if comment && c != '\n' => {}
            (c, Some(end)) => quote = Some(end).filter(|end| *end != c),
            ('#', None) if blank => comment = true,
            ('"' | '\'', None) if begins => quote = Some(c),
            ('{' | '[', None) if begins => open.push(Unclosed { open: c, at }),
            ('}' | ']', None) => {
                if let Some(own) = open.iter().rposition(|bracket| bracket.close() == c) {
                    open.remove(own);
                }
            }
            _ => {}
        }
        blank = c.is_whitespace();
        comment &= c != '\n';
        if !blank || c == '\n' {
            before = c;
        }
    }
    let mut there = there.unwrap_or_else(|| open.clone()).into_iter();
    let below =
        |bracket: &Unclosed| text.get(bracket.at..error).is_some_and(|between| between.contains('\n'));
    there.rfind(|bracket| open.contains(bracket) && below(bracket))
}

/// The marker's offset in bytes, always at a character boundary.
pub(super) fn offset(text: &str, marker: &Marker) -> usize {
    let by_chars = || text.char_indices().nth(marker.index()).map_or(text.len(), |(at, _)| at);
    let mut at = marker.byte_offset().unwrap_or_else(by_chars).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The byte after the character at `at`.
pub(super) fn next_char(text: &str, at: usize) -> usize {
    at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
}

/// The character at the error. At the end of a line or of the file, the one before it.
fn place(file: usize, text: &str, error: &ScanError) -> Span {
    let mut start = offset(text, error.marker());
    if text.get(start..).is_none_or(|rest| rest.trim().is_empty()) {
        start = text.trim_end().char_indices().next_back().map_or(0, |(at, _)| at);
    }
    // The parser reports a tab only after it.
    if let Some(before) = text.get(..start).filter(|before| before.ends_with('\t')) {
        start = before.trim_end_matches('\t').len();
    }
    Span { file, start, end: next_char(text, start) }
}

type Words = (String, Option<&'static str>);

fn explain(kind: &ErrorKind) -> Words {
    use ErrorKind as E;
    match kind {
        E::TabNotAllowed
        | E::TabInBlockIndentation
        | E::TabInIndentation
        | E::TabAtBlockScalarStart
        | E::TabInPlainScalar => words("a tab where YAML wants spaces", "indent with spaces only"),
        E::UnclosedQuotedScalar | E::DocumentIndicatorInQuotedScalar => {
            words("a quote is opened here and never closed", "close it, or remove it")
        }
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => {
            words("text after a closing quote", "quote the whole value, or put a space before a `#` comment")
        }
        E::UnclosedFlowCollection { open } => {
            (format!("`{open}` is opened here and never closed"), Some("close it"))
        }
        E::UnexpectedEofFlowSequence | E::ExpectedFlowSequenceSeparator => words(
            "a list in brackets continues without `,` or `]`",
            "close it, or quote a value with special characters",
        ),
        E::UnexpectedEofFlowMapping
        | E::ExpectedFlowMappingSeparator
        | E::UnexpectedEofImplicitFlowMapping => words(
            "a map in braces continues without `,` or `}`",
            "close it, or quote a value with special characters",
        ),
        E::MisplacedFlowCollectionEnd => {
            words("a closing bracket that nothing opened", "remove it, or quote the value")
        }
        E::MismatchedFlowCollectionEnd { open, close } => {
            (format!("`{open}` is closed by `{close}`"), Some("close it with its own kind"))
        }
        E::MappingValueNotAllowed | E::InvalidColonPlacement => words(
            "a `:` that isn't allowed here",
            "quote a value that contains `: `, and give each key its own line",
        ),
        E::SimpleKeyExpected | E::InvalidSimpleKey => {
            words("a key without `:`", "write `key: value`, and indent what continues the line above")
        }
        E::ExpectedBlockMappingKey | E::InvalidIndentation | E::ExpectedDocumentStart => words(
            "this line does not fit the ones above it",
            "give the keys of a map, and the entries of a list, the same indentation",
        ),
        other => explain_rare(other),
    }
}

fn explain_rare(kind: &ErrorKind) -> Words {
    use ErrorKind as E;
    match kind {
        E::ExpectedBlockSequenceEntry | E::BlockSequenceEntryNotAllowed | E::BlockEntryInFlowCollection => {
            words(
                "a `- ` entry that isn't allowed here",
                "give all entries of a list the same indentation, on lines of their own",
            )
        }
        E::InvalidBlockEntryWhitespace => words("a `-` without a space after it", "write `- value`"),
        E::UnexpectedCharacter { character } => {
            (format!("a value can't start with `{}`", character.escape_default()), Some("quote the value"))
        }
        E::PlainScalarStartsWithDashFlowIndicator
        | E::ExpectedNodeContent
        | E::UnexpectedEndOfPlainScalar => {
            words("a value was expected here", "quote a value that begins with a special character")
        }
        E::UnknownAnchor => words(
            "an alias to an anchor that isn't defined above it",
            "define it with `&name` first, or quote the value if it should start with `*`",
        ),
        E::UnknownQuotedScalarEscape | E::InvalidQuotedScalarHexEscape | E::InvalidUnicodeEscape => words(
            "an unknown escape in a double-quoted value",
            "write `\\\\` for a backslash, or use single quotes",
        ),
        E::CommentNotSeparated => {
            words("a `#` that doesn't start a comment", "put a space before it, or quote the value")
        }
        E::RecursionLimitExceeded => words("nested too deeply", "no configuration needs this"),
        other => (format!("YAML can't be read here: {other}"), None),
    }
}

fn words(message: &str, help: &'static str) -> Words {
    (message.to_owned(), Some(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_that_nothing_closes_is_found_above_the_place_where_the_parser_gives_up() {
        let cases = [
            ("proxy: {host: x, ssl: true\nenv:\n  clear: {A: b}\n", Some(7)),
            ("servers: [a, b\nproxy: {host: x}\n", Some(9)),
            ("a: {b: [1, 2}\nc: d\n", Some(7)),
            ("env: {clear: {A: b}\nproxy: {}\n", Some(5)),
            ("proxy: {\n  host: x\n  ssl: true\n}\nenv: 1\n", None),
            ("a: 'x [ y'\nb: \"{\"\n# [\nc: it's [\nd: e: f\n", None),
        ];
        for (text, found) in cases {
            let error = text.rfind(": ").unwrap() + 1;
            assert_eq!(never_closed(text, error).map(|bracket| bracket.at), found, "{text}");
        }
    }
}
