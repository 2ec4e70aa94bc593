//! The text of a rendered template, and where in the file each piece of it comes from.

use std::ops::Range;

#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// In order, without gaps. A tag without output has an empty piece.
    pub(crate) pieces: Vec<Piece>,
    /// Tags that contain no secret themselves, and can be shown where a password would be hidden.
    pub(crate) open: Vec<Range<usize>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Positions in the text.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The position in the file.
    pub(crate) origin: Range<usize>,
    pub(crate) from: From,
}

/// Where a piece comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Copied from the file.
    File,
    /// Copied, although it looks like a tag, because it is in a comment.
    Comment,
    /// The output of a tag.
    Tag,
}

impl Rendered {
    pub(crate) fn push(&mut self, text: &str, origin: Range<usize>, from: From) {
        let start = self.text.len();
        self.text.push_str(text);
        self.pieces.push(Piece { start, end: self.text.len(), origin, from });
    }

    /// Maps a range of the text to the file. The output of a tag maps to the whole tag.
    pub(crate) fn origin(&self, range: Range<usize>) -> Range<usize> {
        let start = self.place(range.start, false);
        let end = if range.is_empty() { start } else { self.place(range.end - 1, true) };
        start..end.max(start)
    }

    /// Maps the byte at `at` to the position where it begins in the file, or with `end`, to the position after it.
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
    /// Leaves out the text, which may contain a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rendered({} bytes from {} pieces)", self.text.len(), self.pieces.len())
    }
}
