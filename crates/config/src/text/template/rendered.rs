//! Maps positions in the rendered text of a template back to the file.
//!
//! Bowline reads YAML from the rendered text, but users know only the file. So every position in the text is mapped back to the
//! file before it is shown: in a copied piece to the exact character, in the output of a tag to that tag. Output of tags may be
//! a password and is never shown: messages name the tag instead.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Span};
use crate::given;
use crate::mask;
use crate::rendered::{From, Piece, Rendered};
use crate::source::{Node, NodeKind};

/// Shorter outputs of tags are no secrets, and too likely to be part of other words.
const LEAST_SECRET: usize = 4;

impl Rendered {
    /// Maps a span of the text to the file.
    pub(crate) fn span(&self, span: Span) -> Span {
        if span == Span::whole(span.file) {
            return span;
        }
        let Range { start, end } = self.origin(span.start..span.end);
        // An empty span at 0 would mean the whole file.
        Span { file: span.file, start, end: end.max(1) }
    }

    /// Maps every span in a tree to the file.
    pub(crate) fn restore(&self, node: &mut Node) {
        node.span = self.span(node.span);
        match &mut node.kind {
            NodeKind::Map(entries) => {
                for (key, value) in entries {
                    key.span = self.span(key.span);
                    self.restore(value);
                }
            }
            NodeKind::List(items) => items.iter_mut().for_each(|item| self.restore(item)),
            NodeKind::Scalar(_) | NodeKind::Null | NodeKind::Wrong => {}
        }
    }

    pub(crate) fn restore_diagnostic(&self, item: &mut Diagnostic) {
        item.span = self.span(item.span);
        item.also.iter_mut().for_each(|(span, _)| *span = self.span(*span));
    }

    /// The ranges to hide in the file: those of the text, and what looks secret in the file itself, which a condition
    /// may have left out of the text.
    pub(crate) fn hidden(&self, hidden: Vec<Range<usize>>, source: &str) -> Vec<Range<usize>> {
        let mut all: Vec<Range<usize>> = hidden.into_iter().map(|range| self.origin(range)).collect();
        all.extend(mask::in_text(source));
        mask::except(all, &self.open, source)
    }

    /// Reports tags that were copied because they looked like part of a comment, but are in a value. Takes spans of
    /// the text.
    pub(crate) fn left_alone(&self, node: &Node, found: &mut Vec<Diagnostic>) {
        match &node.kind {
            NodeKind::Map(entries) => entries.iter().for_each(|(_, value)| self.left_alone(value, found)),
            NodeKind::List(items) => items.iter().for_each(|item| self.left_alone(item, found)),
            NodeKind::Null | NodeKind::Wrong => {}
            NodeKind::Scalar(_) => {
                let within = |piece: &&Piece| {
                    piece.from == From::Comment && node.span.start < piece.end && piece.start < node.span.end
                };
                if let Some(piece) = self.pieces.iter().find(within) {
                    let span = Span { start: piece.start, end: piece.end, ..node.span };
                    let error = Diagnostic::error(
                        span,
                        "this tag looks like part of a comment, but is part of a value",
                    );
                    found.push(
                        error.help(
                            "tags in comments are left alone; put the whole line into a `<%= \"…\" %>`",
                        ),
                    );
                }
            }
        }
    }

    /// Adds which tag on the line of an error has no output, or several lines of it. Replaces outputs of tags in
    /// messages by the tags.
    pub(crate) fn explain(&self, item: &mut Diagnostic, file: usize, source: &str) {
        if item.span.file == file
            && let Some(piece) = self.gave_nothing(item.span, source)
        {
            item.also
                .push((Span { file, ..piece.origin.clone().into() }, "this tag's output is empty".into()));
        }
        for piece in self.pieces.iter().filter(|piece| piece.from == From::Tag) {
            let (Some(tag), Some(text)) =
                (source.get(piece.origin.clone()), self.text.get(piece.start..piece.end))
            else {
                continue;
            };
            let there = item.span.file == file
                && item.span.start <= piece.origin.start
                && piece.origin.end <= item.span.end;
            if there && item.label.is_none() && text.contains('\n') {
                item.label = Some("the output of this tag contains a line break".into());
            }
            for secret in text.lines().map(str::trim).filter(|line| line.len() >= LEAST_SECRET) {
                hide(item, secret, tag);
            }
        }
    }

    fn gave_nothing(&self, span: Span, source: &str) -> Option<&Piece> {
        let start = source.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
        let end = source.get(span.end..)?.find('\n').map_or(source.len(), |at| span.end + at);
        self.pieces.iter().find(|piece| {
            let empty = piece.from == From::Tag && piece.start == piece.end;
            empty && (start..end).contains(&piece.origin.start) && span.end <= piece.origin.start
        })
    }
}

/// Replaces the output of a tag by the tag. Changes only marked texts, so Bowline's own words and earlier tags stay.
fn hide(item: &mut Diagnostic, secret: &str, tag: &str) {
    for text in item.texts() {
        *text = given::replaced(text, |given| {
            let mut pieces = given.split(secret).map(|piece| given::given(piece).to_string());
            let first = pieces.next()?;
            let rest: String = pieces.map(|piece| format!("{tag}{piece}")).collect();
            (!rest.is_empty()).then(|| format!("{first}{rest}"))
        });
    }
}
