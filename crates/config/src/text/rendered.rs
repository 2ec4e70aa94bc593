//! The text that a template gave, and which piece of the file each piece of it comes from.

use std::ops::Range;

#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// In order, without gaps. Those of tags that gave nothing are empty.
    pub(crate) pieces: Vec<Piece>,
    /// Tags that say nothing secret by themselves: they may be shown where a password would be hidden.
    pub(crate) open: Vec<Range<usize>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// In the text.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// In the file.
    pub(crate) origin: Range<usize>,
    pub(crate) from: From,
}

/// How a piece came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Copied.
    File,
    /// Copied, though it is a tag: it looked like one in a comment.
    Comment,
    /// A tag gave it.
    Tag,
}

impl Rendered {
    pub(crate) fn push(&mut self, text: &str, origin: Range<usize>, from: From) {
        let start = self.text.len();
        self.text.push_str(text);
        self.pieces.push(Piece { start, end: self.text.len(), origin, from });
    }

    /// Where in the file a range of the text comes from.
    pub(crate) fn origin(&self, range: Range<usize>) -> Range<usize> {
        let start = self.place(range.start, false);
        let end = if range.is_empty() { start } else { self.place(range.end - 1, true) };
        start..end.max(start)
    }

    /// Where in the file the character at `at` begins, or (`end`) the byte after `at` is.
    fn place(&self, at: usize, end: bool) -> usize {
        let index = self.pieces.partition_point(|piece| piece.end <= at);
        match self.pieces.get(index) {
            Some(piece) if piece.from != From::Tag => {
                piece.origin.start + (at - piece.start) + usize::from(end)
            }
            Some(piece) if end => piece.origin.end,
            Some(piece) => piece.origin.start,
            None => self.pieces.last().map_or(0, |piece| piece.origin.end),
        }
    }
}

impl std::fmt::Debug for Rendered {
    /// The text may hold a password, so it isn't shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rendered({} bytes from {} pieces)", self.text.len(), self.pieces.len())
    }
}
