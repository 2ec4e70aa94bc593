//! The parser's errors, in words for the author of a configuration.

use granit_parser::{ErrorKind, Marker, ScanError};

use crate::diagnostic::{Diagnostic, Span};

/// A syntax error at its place.
pub(super) fn syntax_error(file: usize, text: &str, error: &ScanError) -> Diagnostic {
    let span = place(file, text, error);
    let (message, help) = explain(error.kind());
    let diagnostic = Diagnostic::error(span, message);
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// The marker's offset in bytes, always at a character of the text.
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

/// The character in question; at a line's or the file's end, the one before it.
fn place(file: usize, text: &str, error: &ScanError) -> Span {
    let mut start = offset(text, error.marker());
    if text.get(start..).is_none_or(|rest| rest.trim().is_empty()) {
        start = text.trim_end().char_indices().next_back().map_or(0, |(at, _)| at);
    }
    // A tab is noticed only after it.
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
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => words(
            "text after a closing quote",
            "put the whole value into quotes, or a blank before a `#` comment",
        ),
        E::UnclosedFlowCollection { open } => {
            (format!("`{open}` is opened here and never closed"), Some("close it"))
        }
        E::UnexpectedEofFlowSequence | E::ExpectedFlowSequenceSeparator => words(
            "a list in brackets goes on without `,` or `]`",
            "close it, or quote a value with special characters",
        ),
        E::UnexpectedEofFlowMapping
        | E::ExpectedFlowMappingSeparator
        | E::UnexpectedEofImplicitFlowMapping => words(
            "a map in braces goes on without `,` or `}`",
            "close it, or quote a value with special characters",
        ),
        E::MisplacedFlowCollectionEnd => {
            words("a closing bracket that nothing opened", "remove it, or quote the value")
        }
        E::MismatchedFlowCollectionEnd { open, close } => {
            (format!("`{open}` is closed by `{close}`"), Some("close it with its own kind"))
        }
        E::MappingValueNotAllowed | E::InvalidColonPlacement => words(
            "a `:` that can't stand here",
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
                "a `- ` entry that can't stand here",
                "give all entries of a list the same indentation, on lines of their own",
            )
        }
        E::InvalidBlockEntryWhitespace => words("a `-` and no blank after it", "write `- value`"),
        E::UnexpectedCharacter { character } => {
            (format!("a value can't begin with `{}`", character.escape_default()), Some("quote the value"))
        }
        E::PlainScalarStartsWithDashFlowIndicator
        | E::ExpectedNodeContent
        | E::UnexpectedEndOfPlainScalar => {
            words("a value was expected here", "quote a value that begins with a special character")
        }
        E::UnknownAnchor => words(
            "an alias to an anchor that isn't defined above it",
            "define it with `&name` first, or quote the value if it should begin with `*`",
        ),
        E::UnknownQuotedScalarEscape | E::InvalidQuotedScalarHexEscape | E::InvalidUnicodeEscape => words(
            "an unknown escape in a double-quoted value",
            "write `\\\\` for a backslash, or use single quotes",
        ),
        E::CommentNotSeparated => {
            words("a `#` that begins no comment", "put a blank before it, or quote the value")
        }
        E::RecursionLimitExceeded => words("nested too deeply", "no configuration needs this"),
        other => (format!("YAML can't be read here: {other}"), None),
    }
}

fn words(message: &str, help: &'static str) -> Words {
    (message.to_owned(), Some(help))
}
