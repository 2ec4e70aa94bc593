//! The part of Go's html templates that error pages support: text, fields, `if`, `else if`, `else`, comments and trim
//! markers. Everything else is an error when the page is loaded, not when it is rendered.
//!
//! The only field with a value is `Message`. Others are empty, as in kamal-proxy, which passes no data to most pages.
//! Values are escaped for their place in the HTML ([`html_context`]). In a script, a style, a tag or a URL, they are
//! errors.

mod html_context;

use std::fmt;

use html_context::HtmlContext;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Node>);

#[derive(Debug, PartialEq, Eq)]
enum Node {
    Text(String),
    Field(Field),
    If { field: Field, then: Vec<Node>, otherwise: Vec<Node> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Message,
    Unknown,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Error {
    line: usize,
    what: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// The limit for nested `if`s, so that the parser can't run out of stack.
const DEEPEST: usize = 50;

impl Template {
    pub(super) fn parse(source: &str) -> Result<Self, Error> {
        let tokens = tokens(source)?;
        let mut parser = Parser { tokens: &tokens, at: 0, last_line: source.lines().count().max(1) };
        let (nodes, _) = parser.nodes(HtmlContext::default(), 0)?;
        if let Some((line, token)) = parser.tokens.get(parser.at) {
            return Err(Error { line: *line, what: format!("{} without an if", token.name()) });
        }
        Ok(Template(nodes))
    }

    pub(super) fn render(&self, message: &str) -> String {
        let mut page = String::new();
        render(&self.0, message, &mut page);
        page
    }
}

fn render(nodes: &[Node], message: &str, page: &mut String) {
    let value = |field: &Field| if *field == Field::Message { message } else { "" };
    for node in nodes {
        match node {
            Node::Text(text) => page.push_str(text),
            Node::Field(field) => page.push_str(&escape(value(field))),
            Node::If { field, then, otherwise } => {
                render(if value(field).is_empty() { otherwise } else { then }, message, page);
            }
        }
    }
}

/// Escapes text for the content of an element or a quoted attribute, with the entities that Go writes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '+' => escaped.push_str("&#43;"),
            '\0' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Text(&'a str),
    Field(Field),
    If(Field),
    ElseIf(Field),
    Else,
    End,
}

impl Token<'_> {
    fn name(&self) -> &'static str {
        match self {
            Token::End => "{{ end }}",
            _ => "{{ else }}",
        }
    }
}

fn tokens(source: &str) -> Result<Vec<(usize, Token<'_>)>, Error> {
    let (mut tokens, mut rest, mut line) = (Vec::new(), source, 1);
    let mut trim_start = false;
    loop {
        let (text, after) = match rest.split_once("{{") {
            Some((text, after)) => (text, Some(after)),
            None => (rest, None),
        };
        let trim_end = after.is_some_and(|inside| marks_trim(inside.as_bytes()));
        let kept = if trim_start { text.trim_start_matches(BLANKS) } else { text };
        let kept = if trim_end { kept.trim_end_matches(BLANKS) } else { kept };
        if !kept.is_empty() {
            tokens.push((line, Token::Text(kept)));
        }
        line += text.matches('\n').count();
        let Some(after) = after else { return Ok(tokens) };
        let inside = if trim_end { &after[1..] } else { after };
        let (action, next) =
            action(inside).ok_or_else(|| Error { line, what: "'{{' without '}}'".into() })?;
        trim_start = action.ends_with('-') && marks_trim_reversed(action);
        let words = if trim_start { &action[..action.len() - 1] } else { action };
        if let Some(token) = token(words).map_err(|what| Error { line, what })? {
            tokens.push((line, token));
        }
        line += action.matches('\n').count();
        rest = next;
    }
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A trim marker is a minus sign with a blank on its inner side.
fn marks_trim(inside: &[u8]) -> bool {
    inside.first() == Some(&b'-') && inside.get(1).copied().is_some_and(is_blank)
}

fn marks_trim_reversed(action: &str) -> bool {
    action.as_bytes().iter().rev().nth(1).copied().is_some_and(is_blank)
}

/// Splits at the closing braces. A comment may contain braces.
fn action(inside: &str) -> Option<(&str, &str)> {
    let trimmed = inside.trim_start_matches(BLANKS);
    if let Some(comment) = trimmed.strip_prefix("/*") {
        let end = inside.len() - comment.len() + comment.find("*/")? + 2;
        let close = inside[end..].find("}}")?;
        return Some((&inside[..end + close], &inside[end + close + 2..]));
    }
    inside.split_once("}}")
}

fn token(action: &str) -> Result<Option<Token<'static>>, String> {
    let action = action.trim_matches(BLANKS);
    if action.starts_with("/*") {
        let comment = action.strip_suffix("*/").filter(|text| text.len() >= 4 && text.find("*/").is_none());
        return comment.map(|_| None).ok_or_else(|| "a comment must be alone between its braces".into());
    }
    let words: Vec<&str> = action.split(BLANKS).filter(|word| !word.is_empty()).collect();
    Ok(Some(match words.as_slice() {
        ["if", condition] => Token::If(field(condition)?),
        ["else", "if", condition] => Token::ElseIf(field(condition)?),
        ["else"] => Token::Else,
        ["end"] => Token::End,
        [] => return Err("the braces are empty".into()),
        ["if"] | ["else", "if"] => return Err("'if' needs a field such as .Message".into()),
        [word] if word.starts_with('.') => Token::Field(field(word)?),
        _ => {
            return Err(format!(
                "'{{{{ {action} }}}}' is not supported: error pages support fields, if, else and comments"
            ));
        }
    }))
}

fn field(word: &str) -> Result<Field, String> {
    let name = word.strip_prefix('.').unwrap_or_default();
    let starts_well = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(format!("'{word}' is not a field such as .Message"));
    }
    Ok(if name == "Message" { Field::Message } else { Field::Unknown })
}

struct Parser<'a> {
    tokens: &'a [(usize, Token<'a>)],
    at: usize,
    last_line: usize,
}

impl Parser<'_> {
    /// Parses nodes up to an `else`, an `end` or the end of the page. Also returns the place in the HTML after them.
    fn nodes(&mut self, mut context: HtmlContext, depth: usize) -> Result<(Vec<Node>, HtmlContext), Error> {
        let mut nodes = Vec::new();
        while let Some((line, token)) = self.tokens.get(self.at) {
            match token {
                Token::Text(text) => {
                    context = context.after(text);
                    nodes.push(Node::Text((*text).to_owned()));
                }
                Token::Field(field) => {
                    context.check().map_err(|what| Error { line: *line, what: what.into() })?;
                    nodes.push(Node::Field(*field));
                }
                Token::If(field) => {
                    self.at += 1;
                    let (node, after) = self.branches(*line, *field, context, depth + 1)?;
                    (context, _) = (after, nodes.push(node));
                    continue;
                }
                Token::ElseIf(_) | Token::Else | Token::End => break,
            }
            self.at += 1;
        }
        Ok((nodes, context))
    }

    /// Parses both branches of an `if`, which must end in the same place of the HTML for later values to be escaped.
    fn branches(
        &mut self,
        line: usize,
        field: Field,
        context: HtmlContext,
        depth: usize,
    ) -> Result<(Node, HtmlContext), Error> {
        let fail = |line, what: &str| Err(Error { line, what: what.into() });
        if depth > DEEPEST {
            return fail(line, "ifs are nested too deeply");
        }
        let (then, after_then) = self.nodes(context.clone(), depth)?;
        let (otherwise, after_otherwise) = match self.tokens.get(self.at) {
            Some((_, Token::End)) => {
                self.at += 1;
                (Vec::new(), context)
            }
            Some((_, Token::Else)) => {
                self.at += 1;
                let (nodes, after) = self.nodes(context, depth)?;
                match self.tokens.get(self.at) {
                    Some((_, Token::End)) => self.at += 1,
                    Some((line, _)) => return fail(*line, "{{ else }} after {{ else }}"),
                    None => return fail(self.last_line, "{{ if }} without {{ end }}"),
                }
                (nodes, after)
            }
            Some((line, Token::ElseIf(next))) => {
                self.at += 1;
                let (node, after) = self.branches(*line, *next, context, depth + 1)?;
                (vec![node], after)
            }
            _ => return fail(self.last_line, "{{ if }} without {{ end }}"),
        };
        let Some(after) = after_then.join(after_otherwise) else {
            return fail(line, "the branches of this if end in different places of the HTML");
        };
        Ok((Node::If { field, then, otherwise }, after))
    }
}

#[cfg(test)]
mod tests;
