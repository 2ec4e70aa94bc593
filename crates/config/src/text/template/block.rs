//! From tags in a row to what encloses what: `if`, `unless`, `elsif`, `else`, `end`.

use std::ops::Range;

use super::evaluate::Wrong;
use super::expr::{self, Expr, Foreign, Kind, Part};
use super::scan::{Tag, TagKind, Token};
use crate::diagnostic::{Diagnostic, Span};

/// Conditions within conditions.
const MAX_DEPTH: usize = 40;

/// A piece of a template that can be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Text of the file.
    Text {
        range: Range<usize>,
        kept: bool,
    },
    Output {
        span: Range<usize>,
        expr: Expr,
    },
    /// The first branch whose condition holds; `else` has none.
    If(Vec<Branch>),
    /// `.env` files whose variables count from here on.
    Load {
        span: Range<usize>,
        files: Vec<Expr>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) condition: Option<Expr>,
    pub(super) nodes: Vec<Node>,
}

/// A tag, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    Node(Node),
    Nothing,
    If(Expr),
    Elsif(Expr),
    Else,
    End,
}

/// Reads each tag by itself. With those that only Ruby can read, it is Ruby that reads them all.
pub(super) fn read(text: &str, tokens: &[Token]) -> Result<Vec<(Range<usize>, Read)>, Vec<Foreign>> {
    let (mut all, mut foreign) = (Vec::new(), Vec::new());
    for token in tokens {
        match token {
            Token::Text { text, kept, .. } => {
                all.push((text.clone(), Read::Node(Node::Text { range: text.clone(), kept: *kept })));
            }
            Token::Tag(tag) => match of_tag(text, tag) {
                Ok(read) => all.push((tag.span.clone(), read)),
                Err(error) => foreign.push(error),
            },
        }
    }
    if foreign.is_empty() { Ok(all) } else { Err(foreign) }
}

fn of_tag(text: &str, tag: &Tag) -> Result<Read, Foreign> {
    if tag.kind == TagKind::Comment {
        return Ok(Read::Nothing);
    }
    if tag.escaped {
        return Err(Foreign { span: tag.span.clone(), label: "`%%>` is not built in" });
    }
    if tag.kind == TagKind::Output {
        let expr = expr::parse(text, tag.code.clone())?;
        return Ok(Read::Node(Node::Output { span: tag.span.clone(), expr }));
    }
    let code = text.get(tag.code.clone()).unwrap_or_default();
    let words = code.trim_start();
    let keyword = words.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(words.len());
    let (keyword, rest) = words.split_at(keyword);
    let condition = || expr::parse(text, tag.code.end - rest.len()..tag.code.end);
    match keyword {
        "" if ends_line(words, tag) => Ok(Read::Nothing),
        "if" => Ok(Read::If(condition()?)),
        "unless" => {
            let inner = condition()?;
            Ok(Read::If(Expr { span: inner.span.clone(), kind: Kind::Not(Box::new(inner)) }))
        }
        "elsif" => Ok(Read::Elsif(condition()?)),
        "else" if rest.trim().is_empty() => Ok(Read::Else),
        "end" if rest.trim().is_empty() => Ok(Read::End),
        _ => {
            let start = tag.code.start + (code.len() - words.len());
            let end = start + words.lines().next().map_or(0, |line| line.trim_end().len());
            let whole = Foreign { span: start..end, label: "this is not built in" };
            let code_end = tag.code.end - (code.len() - code.trim_end().len());
            let files = expr::loads(text, start..code_end)
                .map_err(|error| if error.span.start == start { whole } else { error })?;
            Ok(Read::Node(Node::Load { span: tag.span.clone(), files }))
        }
    }
}

/// Whether there is no code. A `# comment` is none if nothing can stand behind it: ERB would take that for comment too.
fn ends_line(words: &str, tag: &Tag) -> bool {
    words.is_empty() || (words.starts_with('#') && !words.contains('\n') && tag.source.end > tag.span.end)
}

/// The tags that hold no text but names and commands, and so no password.
pub(super) fn open_tags(text: &str, tokens: &[Token]) -> Vec<Range<usize>> {
    let open = |token: &Token| match token {
        Token::Tag(tag) => match of_tag(text, tag) {
            Ok(Read::Else | Read::End) => Some(tag.span.clone()),
            Ok(Read::If(expr) | Read::Elsif(expr) | Read::Node(Node::Output { expr, .. })) => {
                is_open(&expr).then(|| tag.span.clone())
            }
            _ => None,
        },
        Token::Text { .. } => None,
    };
    tokens.iter().filter_map(open).collect()
}

fn is_open(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Nil
        | Kind::Boolean(_)
        | Kind::Command(_)
        | Kind::Variable(_)
        | Kind::HasVariable(_)
        | Kind::Fetch { default: None, .. } => true,
        Kind::Integer(_) => false,
        Kind::Text(parts) => parts.iter().all(|part| matches!(part, Part::Expr(expr) if is_open(expr))),
        Kind::Fetch { default: Some(inner), .. } | Kind::Call { receiver: inner, .. } | Kind::Not(inner) => {
            is_open(inner)
        }
        Kind::Equal { left, right, .. } | Kind::And(left, right) | Kind::Or(left, right) => {
            is_open(left) && is_open(right)
        }
        Kind::Choice { condition, yes, no } => is_open(condition) && is_open(yes) && is_open(no),
    }
}

/// A condition that is not yet closed.
struct Open {
    tag: Range<usize>,
    branches: Vec<Branch>,
    has_else: bool,
}

/// Puts what is enclosed into what encloses it.
pub(super) fn tree(tags: Vec<(Range<usize>, Read)>) -> Result<Vec<Node>, Wrong> {
    let (mut root, mut open) = (Vec::new(), Vec::<Open>::new());
    for (span, read) in tags {
        match read {
            Read::Node(node) => inner(&mut root, &mut open).push(node),
            Read::Nothing => {}
            Read::If(_) if open.len() == MAX_DEPTH => {
                return Err(error(&span, "nested too deeply").into());
            }
            Read::If(condition) => {
                let branches = vec![Branch { condition: Some(condition), nodes: Vec::new() }];
                open.push(Open { tag: span, branches, has_else: false });
            }
            Read::Elsif(condition) => branch(&mut open, &span, "elsif", Some(condition))?,
            Read::Else => branch(&mut open, &span, "else", None)?,
            Read::End => match open.pop() {
                Some(Open { branches, .. }) => inner(&mut root, &mut open).push(Node::If(branches)),
                None => return Err(error(&span, "`end` without an `if` before it").into()),
            },
        }
    }
    match open.pop() {
        Some(never) => {
            let error = error(&never.tag, "this condition has no `end`");
            Err(error.help("close it with `<% end %>`").into())
        }
        None => Ok(root),
    }
}

/// Where the next piece belongs.
fn inner<'a>(root: &'a mut Vec<Node>, open: &'a mut [Open]) -> &'a mut Vec<Node> {
    open.last_mut().and_then(|open| open.branches.last_mut()).map_or(root, |branch| &mut branch.nodes)
}

fn branch(open: &mut [Open], span: &Range<usize>, word: &str, condition: Option<Expr>) -> Result<(), Wrong> {
    let Some(open) = open.last_mut() else {
        return Err(error(span, format!("`{word}` without an `if` before it")).into());
    };
    if open.has_else {
        let error = error(span, format!("`{word}` after the `else`"));
        return Err(error.also(Span { file: 0, start: open.tag.start, end: open.tag.end }, "of this").into());
    }
    open.has_else = condition.is_none();
    open.branches.push(Branch { condition, nodes: Vec::new() });
    Ok(())
}

fn error(span: &Range<usize>, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(Span { file: 0, start: span.start, end: span.end }, message)
}
