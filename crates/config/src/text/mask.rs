//! Keeps passwords off the screen when Bowline shows lines of a configuration file.
//!
//! A report prints source text, which may contain a line such as `password: hunter2`. Before rendering, Bowline replaces every
//! value under a key that sounds like a secret. If the file parses, the tree says where such values are. If it doesn't, Bowline
//! searches each line for such a key and hides everything after it.

use std::ops::Range;

use crate::diagnostic::Span;
use crate::secret::is_secret_key;
use crate::source::{Node, NodeKind};

/// The ranges to hide in a file. `whole` is false if the tree lacks something, such as the second of two equal keys.
pub(crate) fn hidden(file: usize, text: &str, tree: Option<&Node>, whole: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if let Some(root) = tree {
        Search { file, text, found: &mut found }.node(root, false);
    }
    if tree.is_none() || !whole {
        found.extend(in_text(text));
    }
    tidy(found)
}

struct Search<'s> {
    file: usize,
    text: &'s str,
    found: &'s mut Vec<Range<usize>>,
}

impl Search<'_> {
    fn node(&mut self, node: &Node, hide: bool) {
        match &node.kind {
            NodeKind::Scalar(_) => self.scalar(node.span, hide),
            NodeKind::Map(entries) => {
                for (key, value) in entries {
                    self.scalar(key.span, false);
                    let names_secrets =
                        matches!(value.kind, NodeKind::List(_)) && !key.text.contains("key_data");
                    self.node(value, (hide || is_secret_key(&key.text)) && !names_secrets);
                }
            }
            NodeKind::List(items) => items.iter().for_each(|item| self.node(item, hide)),
            NodeKind::Null | NodeKind::Wrong => {}
        }
    }

    /// Hides all of a secret. In another scalar, hides what looks like a secret, as in a file with wrong indentation.
    fn scalar(&mut self, span: Span, hide: bool) {
        let range = span.start..span.end;
        let Some(text) = self.text.get(range.clone()).filter(|_| span.file == self.file) else { return };
        if hide {
            self.found.push(range);
        } else {
            self.found
                .extend(in_text(text).iter().map(|found| span.start + found.start..span.start + found.end));
        }
    }
}

/// The rest of each line after a key that sounds secret, and the lines below it with more indentation.
pub(crate) fn in_text(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let (mut start, mut deeper_than) = (0, None);
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let end = start + line.trim_end().len();
        if deeper_than.is_some_and(|least| indent > least) && end > start {
            found.push(start + indent..end);
        } else if !line.trim().is_empty() {
            let secret = secret_in_line(line);
            deeper_than = secret.map(|_| indent);
            found.extend(secret.map(|at| start + at..end));
        }
        start += line.len();
    }
    found
}

/// Removes the `open` parts from the ranges, and then the pieces that are only quotes and blanks.
pub(crate) fn except(ranges: Vec<Range<usize>>, open: &[Range<usize>], text: &str) -> Vec<Range<usize>> {
    let mut left = Vec::new();
    for range in tidy(ranges) {
        let within = |part: &&Range<usize>| part.start < range.end && range.start < part.end;
        let parts: Vec<&Range<usize>> = open.iter().filter(within).collect();
        let starts = std::iter::once(range.start).chain(parts.iter().map(|part| part.end));
        let ends = parts.iter().map(|part| part.start).chain([range.end]);
        let pieces = starts.zip(ends).filter(|(start, end)| start < end);
        let bare = |(start, end): &(usize, usize)| {
            text.get(*start..*end).is_some_and(|text| text.trim_matches(['"', '\'', ' ', '\n']).is_empty())
        };
        left.extend(pieces.filter(|piece| parts.is_empty() || !bare(piece)).map(|(start, end)| start..end));
    }
    left
}

/// Where the value begins after a key that sounds secret.
fn secret_in_line(line: &str) -> Option<usize> {
    line.match_indices(':').find_map(|(colon, _)| {
        let key = line.get(..colon)?.trim_end_matches(['"', '\'', ' ']);
        let word = key.rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
        let word = key.get(word.map_or(0, |at| at + 1)..).unwrap_or(key);
        let value = line.get(colon + 1..)?;
        let blank = value.len() - value.trim_start().len();
        (is_secret_key(word) && !value.trim().is_empty()).then_some(colon + 1 + blank)
    })
}

/// Sorts ranges and joins overlapping ones.
fn tidy(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.retain(|range| range.start < range.end);
    found.sort_by_key(|range| (range.start, range.end));
    let mut tidied: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match tidied.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => tidied.push(range),
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Masked, Source, SourceFile};

    fn masked(text: &str) -> Masked {
        Masked::new(&Source { file: SourceFile::new("f", text), hidden: hidden(0, text, None, false) })
    }

    #[test]
    fn the_rest_of_the_line_is_hidden_after_a_key_that_sounds_secret() {
        let cases = [
            ("password: hunter2\n", "password: [REDACTED]\n"),
            ("  password: \"hunter2\r\n", "  password: [REDACTED]\r\n"),
            ("a: {username: x, password: y}", "a: {username: x, password: [REDACTED]"),
            ("\"API_TOKEN\" : x", "\"API_TOKEN\" : [REDACTED]"),
            ("SECRET_KEY_BASE: é", "SECRET_KEY_BASE: [REDACTED]"),
            ("token: |\n  a\n\n  b\nc: d", "token: [REDACTED]\n  [REDACTED]\n\n  [REDACTED]\nc: d"),
            ("secret:\n  - A", "secret:\n  - A"),
            ("secrets_path: .kamal/s", "secrets_path: .kamal/s"),
            ("url: http://password", "url: http://password"),
        ];
        for (text, shown) in cases {
            assert_eq!(masked(text).text(), shown);
        }
    }

    #[test]
    fn places_follow_the_replacement() {
        let masked = masked("password: x\nuser: y\n");
        assert_eq!(masked.text().get(masked.place(12..16)), Some("user"));
        assert_eq!(masked.text().get(masked.place(10..11)), Some("[REDACTED]"));
        assert_eq!(masked.text().get(masked.place(0..8)), Some("password"));
    }
}
