//! Splits a template into its tags and the text between them.
//!
//! The rules are those of Ruby's ERB with trim mode `-`, as in Kamal: `<%-` removes the spaces before it on its line, `-%>`
//! removes the line break after it, and `<%%` means `<%`. Tags are found before any Ruby is parsed, as in ERB: the first
//! `%>` ends a tag, even inside a string.

use std::ops::Range;

/// A piece of a template. All ranges are bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// Text that is copied to the result. `source` is its range in the file, which is longer if it ends with `<%%`.
    /// `kept` is an output tag in a YAML comment, which stays as it is.
    Text { text: Range<usize>, source: Range<usize>, kept: bool },
    /// `<% … %>`, `<%= … %>`, `<%# … %>`.
    Tag(Tag),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) kind: TagKind,
    /// With its delimiters, without the blanks that it removes.
    pub(super) span: Range<usize>,
    /// With the blanks that it removes.
    pub(super) source: Range<usize>,
    /// The code between the delimiters.
    pub(super) code: Range<usize>,
    /// Whether it contains a `%%>` (for `%>`).
    pub(super) escaped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagKind {
    Code,
    Output,
    Comment,
}

/// Splits a file into tokens without gaps. The error is the range of a tag that is never closed. Comments are only
/// recognised in `yaml`.
pub(super) fn scan(text: &str, yaml: bool) -> Result<Vec<Token>, Range<usize>> {
    let mut scan = Scan { text, yaml, tokens: Vec::new(), from: 0 };
    let mut at = 0;
    while let Some(start) = find(text, at, "<%") {
        at = scan.one(start)?;
    }
    scan.literal(text.len(), text.len());
    Ok(scan.tokens)
}

fn find(text: &str, from: usize, what: &str) -> Option<usize> {
    text.get(from..)?.find(what).map(|at| from + at)
}

struct Scan<'t> {
    text: &'t str,
    yaml: bool,
    tokens: Vec<Token>,
    /// Where the text begins that isn't in a token yet.
    from: usize,
}

impl Scan<'_> {
    /// Reads the tag at `start`, and returns where to continue.
    fn one(&mut self, start: usize) -> Result<usize, Range<usize>> {
        let next = self.text.as_bytes().get(start + 2);
        if next == Some(&b'%') {
            self.literal(start + 2, start + 3);
            return Ok(self.from);
        }
        let (kind, code) = match next {
            Some(b'=') => (TagKind::Output, start + 3),
            Some(b'#') => (TagKind::Comment, start + 3),
            Some(b'-') => (TagKind::Code, start + 3),
            _ => (TagKind::Code, start + 2),
        };
        let Some((close, escaped)) = self.close(code) else {
            return Err(start..start + self.text[start..].lines().next().map_or(2, str::len));
        };
        let trims = self.text.as_bytes().get(close - 1) == Some(&b'-') && close > code;
        let end = close + 2;
        if self.yaml && kind == TagKind::Output && self.in_comment(start, end) {
            self.literal(start, start);
            self.tokens.push(Token::Text { text: start..end, source: start..end, kept: true });
            self.from = end;
            return Ok(end);
        }
        let before = if next == Some(&b'-') { self.indentation(start) } else { start };
        let after = end + if trims { line_break(&self.text[end..]) } else { 0 };
        self.literal(before, before);
        let code = code..close - usize::from(trims);
        self.tokens.push(Token::Tag(Tag { kind, span: start..end, source: before..after, code, escaped }));
        self.from = after;
        Ok(after)
    }

    fn literal(&mut self, text_end: usize, source_end: usize) {
        if self.from < source_end {
            let (text, source) = (self.from..text_end, self.from..source_end);
            self.tokens.push(Token::Text { text, source, kept: false });
        }
        self.from = source_end;
    }

    /// The position of the tag's `%>`, and whether a `%%>` precedes it.
    fn close(&self, code: usize) -> Option<(usize, bool)> {
        let (mut at, mut escaped) = (code, false);
        loop {
            let close = find(self.text, at, "%>")?;
            if close == code || self.text.as_bytes().get(close - 1) != Some(&b'%') {
                return Some((close, escaped));
            }
            (at, escaped) = (close + 2, true);
        }
    }

    /// Where the blanks begin that a `<%-` removes: all before it on its line, or up to the tag before.
    fn indentation(&self, start: usize) -> usize {
        let before = &self.text[self.from..start];
        let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
        let first = start - blanks;
        if blanks == before.len() || before[..first - self.from].ends_with('\n') { first } else { start }
    }

    /// Whether the tag is on a line that is a YAML comment.
    fn in_comment(&self, start: usize, end: usize) -> bool {
        let line = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let in_tag = |token: &Token| matches!(token, Token::Tag(tag) if tag.span.contains(&line));
        self.text[line..start].trim_start().starts_with('#')
            && !self.text[start..end].contains('\n')
            && !self.tokens.iter().rev().take_while(|token| end_of(token) > line).any(in_tag)
    }
}

fn end_of(token: &Token) -> usize {
    match token {
        Token::Text { source, .. } => source.end,
        Token::Tag(tag) => tag.source.end,
    }
}

fn line_break(text: &str) -> usize {
    match text.as_bytes() {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text of each token or the code of each tag, with `(…)` around tags that stay as they are.
    fn shown(text: &str) -> Vec<String> {
        let tokens = scan(text, true).unwrap();
        let show = |token: &Token| match token {
            Token::Text { text: range, kept: false, .. } => format!("{:?}", &text[range.clone()]),
            Token::Text { text: range, .. } => format!("({})", &text[range.clone()]),
            Token::Tag(tag) => format!("{:?} {:?}", tag.kind, &text[tag.code.clone()]),
        };
        tokens.iter().map(show).collect()
    }

    #[test]
    fn tags_and_what_they_trim() {
        let table: &[(&str, &[&str])] = &[
            ("a: 50%\n", &["\"a: 50%\\n\""]),
            ("a<%= 1 %>b", &["\"a\"", "Output \" 1 \"", "\"b\""]),
            ("x\n\t <%- if a -%>\r\ny", &["\"x\\n\"", "Code \" if a \"", "\"y\""]),
            ("x <%- if a %>\ny", &["\"x \"", "Code \" if a \"", "\"\\ny\""]),
            ("<%= 1 %>  <%- 2 %>", &["Output \" 1 \"", "Code \" 2 \""]),
            ("<%= 1 -%>\n\n", &["Output \" 1 \"", "\"\\n\""]),
            ("<%-%>x", &["Code \"\"", "\"x\""]),
            ("a<%%b<%# c %>d %%>", &["\"a<%\"", "\"b\"", "Comment \" c \"", "\"d %%>\""]),
            ("<%= '%%>' %>", &["Output \" '%%>' \""]),
            ("<%%= 1 %>", &["\"<%\"", "\"= 1 %>\""]),
        ];
        for (text, tokens) in table {
            assert_eq!(shown(text), *tokens, "{text:?}");
        }
        assert_eq!(scan("a <%= b\nc", true), Err(2..7));
    }

    #[test]
    fn output_in_a_comment_line_is_left_alone() {
        let table: &[(&str, &[&str])] = &[
            ("  # <%= a %> <%= b -%>\n", &["\"  # \"", "(<%= a %>)", "\" \"", "(<%= b -%>)", "\"\\n\""]),
            ("a # <%= a %>", &["\"a # \"", "Output \" a \""]),
            ("# <% if a %>", &["\"# \"", "Code \" if a \""]),
            ("# <%= a\n %>", &["\"# \"", "Output \" a\\n \""]),
            ("<% a\n# %><%= b %>", &["Code \" a\\n# \"", "Output \" b \""]),
        ];
        for (text, tokens) in table {
            assert_eq!(shown(text), *tokens, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "([a#é \\n\\t]|<%|%>|<%-|-%>|<%=|%%|-|=){0,30}") {
            let Ok(tokens) = scan(&text, true) else { return Ok(()) };
            let mut at = 0;
            for token in &tokens {
                let source = match token {
                    Token::Text { source, .. } => source,
                    Token::Tag(tag) => &tag.source,
                };
                prop_assert_eq!(source.start, at);
                at = source.end;
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
