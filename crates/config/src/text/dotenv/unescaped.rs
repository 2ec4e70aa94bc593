//! Resolves the escapes of a value.

use std::ops::Range;

use super::lines::Raw;
use super::{Quotes, Variable};

/// A text with its escapes resolved, and the position in the file of each of its bytes.
pub(super) struct Unescaped {
    pub(super) text: String,
    origins: Vec<usize>,
    end: usize,
}

impl Unescaped {
    /// Resolves the escapes of an unquoted or double-quoted value: `\x` is `x`. `\$` stays until references are
    /// found. In double quotes, `\n` and `\r` stay too, unless `legacy` makes them line breaks.
    pub(super) fn new(text: &str, raw: &Raw, legacy: bool) -> Self {
        let source = text.get(raw.inner.clone()).unwrap_or_default();
        let mut unescaped =
            Self { text: String::with_capacity(source.len()), origins: vec![], end: raw.inner.end };
        let mut chars = source.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let at = raw.inner.start + at;
            let escaped = if c == '\\' { chars.peek().copied() } else { None };
            match (escaped.map(|(_, c)| c), raw.quotes) {
                (None, _) => unescaped.push(c, at),
                (Some('$'), _) => unescaped.push('\\', at),
                (Some(c @ ('n' | 'r')), Quotes::Double) => {
                    chars.next();
                    if legacy {
                        unescaped.push(if c == 'n' { '\n' } else { '\r' }, at);
                    } else {
                        unescaped.push('\\', at);
                        unescaped.push(c, at + 1);
                    }
                }
                (Some(c), _) => {
                    chars.next();
                    unescaped.push(c, at);
                }
            }
        }
        unescaped
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

    pub(super) fn variable(&self, name: &str, at: Range<usize>) -> Variable {
        let before = self.text.get(..at.start).and_then(|text| text.chars().next_back());
        let like_a_name = name.len() > 2
            && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let telling = like_a_name && !before.is_some_and(char::is_alphanumeric);
        Variable { name: name.into(), at: self.place(at), telling }
    }
}
