//! Ruby's string literals: quotes, escapes, `#{…}`.

use super::expr::{Parser, Part, Unsupported};

/// `'…'`: only the quote and the backslash itself can be escaped.
pub(super) fn single_quoted(parser: &mut Parser<'_>) -> Result<String, Unsupported> {
    let start = parser.at;
    parser.at += 1;
    let mut text = String::new();
    loop {
        let mut chars = parser.rest().chars();
        let taken = match (chars.next(), chars.next()) {
            (Some('\''), _) => {
                parser.at += 1;
                return Ok(text);
            }
            (Some('\\'), Some(escaped @ ('\\' | '\''))) => {
                text.push(escaped);
                2
            }
            (Some(c), _) => {
                text.push(c);
                c.len_utf8()
            }
            (None, _) => return Err(unclosed(parser, start)),
        };
        parser.at += taken;
    }
}

/// `"…"`, `` `…` ``.
pub(super) fn between(mark: char, parser: &mut Parser<'_>) -> Result<Vec<Part>, Unsupported> {
    let start = parser.at;
    parser.at += 1;
    parts(parser, start, None, mark)
}

/// `%x(…)`, with brackets of any kind, which may nest, or with the same mark at both ends.
pub(super) fn percent(parser: &mut Parser<'_>) -> Result<Vec<Part>, Unsupported> {
    let start = parser.at;
    let Some(open) = parser.rest().chars().nth(2).filter(char::is_ascii_punctuation) else {
        return Err(parser.unsupported());
    };
    parser.at += 3;
    let close = match open {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        same => same,
    };
    parts(parser, start, Some(open).filter(|open| *open != close), close)
}

/// The parts of a literal up to `close`, with escapes resolved.
fn parts(
    parser: &mut Parser<'_>,
    start: usize,
    open: Option<char>,
    close: char,
) -> Result<Vec<Part>, Unsupported> {
    let (mut parts, mut text, mut depth) = (Vec::new(), String::new(), 0_usize);
    loop {
        let Some(c) = parser.rest().chars().next() else { return Err(unclosed(parser, start)) };
        if c == close && depth == 0 {
            parser.at += c.len_utf8();
            break;
        }
        match c {
            '#' if parser.rest().starts_with("#{") => {
                parser.at += 2;
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Expr(parser.expr()?));
                parser.expects("}")?;
                continue;
            }
            '#' if parser.rest().starts_with("#$") || parser.rest().starts_with("#@") => {
                return Err(parser.unsupported());
            }
            '\\' => text.extend(escape(parser)?),
            c => {
                text.push(c);
                parser.at += c.len_utf8();
                if Some(c) == open {
                    depth += 1;
                } else if c == close {
                    depth -= 1;
                }
            }
        }
    }
    parts.push(Part::Text(text));
    parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
    Ok(parts)
}

/// The character for `\x`. Leaves numeric escapes to Ruby.
fn escape(parser: &mut Parser<'_>) -> Result<Option<char>, Unsupported> {
    let escaped = parser.rest().chars().nth(1);
    let meaning = match escaped {
        None | Some('0'..='9' | 'x' | 'u' | 'c' | 'C' | 'M' | '\r') => return Err(parser.unsupported()),
        Some('\n') => None,
        Some('n') => Some('\n'),
        Some('t') => Some('\t'),
        Some('r') => Some('\r'),
        Some('s') => Some(' '),
        Some('e') => Some('\u{1b}'),
        Some('a') => Some('\u{7}'),
        Some('b') => Some('\u{8}'),
        Some('v') => Some('\u{b}'),
        Some('f') => Some('\u{c}'),
        Some(other) => Some(other),
    };
    parser.at += 1 + escaped.map_or(0, char::len_utf8);
    Ok(meaning)
}

fn unclosed(parser: &Parser<'_>, start: usize) -> Unsupported {
    let text = parser.text.get(start..).unwrap_or_default();
    let end = start + text.lines().next().map_or(0, |line| line.trim_end().len());
    Unsupported { span: start..end, label: "this is never closed" }
}
