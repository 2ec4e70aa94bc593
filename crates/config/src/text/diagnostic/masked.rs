//! A source text with its secrets replaced, for display.

use std::ops::Range;

use super::Source;
use crate::secret::REDACTED;

pub(crate) struct Masked {
    text: String,
    /// Each hidden range of the original, and the range of its replacement.
    moved: Vec<(Range<usize>, Range<usize>)>,
    length: usize,
}

impl Masked {
    pub(crate) fn new(source: &Source) -> Self {
        let original = source.file.text.as_str();
        let (mut text, mut moved, mut at) = (String::with_capacity(original.len()), Vec::new(), 0);
        for range in source.hidden.iter().flat_map(|range| by_line(original, range.clone())) {
            let Some(before) = original.get(at..range.start) else { continue };
            text.push_str(before);
            moved.push((range.clone(), text.len()..text.len() + REDACTED.len()));
            text.push_str(REDACTED);
            at = range.end;
        }
        text.push_str(original.get(at..).unwrap_or_default());
        Self { text, moved, length: original.len() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Maps a range to the masked text. A position inside a secret maps to the whole replacement.
    pub(crate) fn place(&self, range: Range<usize>) -> Range<usize> {
        let start = self.offset(range.start, false);
        start..self.offset(range.end, true).max(start)
    }

    fn offset(&self, offset: usize, is_end: bool) -> usize {
        let offset = offset.min(self.length);
        let mut shift = (0, 0);
        for (hidden, shown) in &self.moved {
            if offset >= hidden.end {
                shift = (hidden.end, shown.end);
            } else if offset > hidden.start {
                return if is_end { shown.end } else { shown.start };
            }
        }
        let mut place = (shift.1 + (offset - shift.0)).min(self.text.len());
        while !self.text.is_char_boundary(place) {
            place -= 1;
        }
        place
    }
}

/// Splits a range into lines, so that the lines keep their numbers.
fn by_line(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = range.start;
    for line in text.get(range).unwrap_or_default().split_inclusive('\n') {
        let start = at + (line.len() - line.trim_start().len());
        let end = start + line.trim().len();
        if start < end {
            found.push(start..end);
        }
        at += line.len();
    }
    found
}
