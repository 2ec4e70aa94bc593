//! Turns a sequence of tags into nested blocks: `if`, `unless`, `elsif`, `else`, `each do`, `end`.

use std::ops::Range;

use super::evaluate::Wrong;
use super::expr::{self, Context, Expr, ExprKind, Part, Statement, Unsupported};
use super::scan::{Tag, TagKind, Token};
use crate::diagnostic::Diagnostic;

/// The deepest nesting of conditions and loops.
const MAX_DEPTH: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Text of the file. `kept` is a tag in a comment, which stays as it is.
    Text { range: Range<usize>, kept: bool },
    /// The output of a tag.
    Output { span: Range<usize>, expr: Expr },
    /// The first branch whose condition holds. An `else` has no condition.
    If(Vec<Branch>),
    /// The statements of a tag without output.
    Do { span: Range<usize>, statements: Vec<Statement> },
    /// The nodes once for each entry of a list.
    Each { list: Expr, name: String, nodes: Vec<Node> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) condition: Option<Expr>,
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    Node(Node),
    Nothing,
    If(Expr),
    Elsif(Expr),
    Else,
    Each(Expr, String),
    End,
}

/// All tags. `prefers_ruby` says whether to prefer an installed Ruby, which supports more of what they use.
pub(super) struct All {
    pub(super) tags: Vec<(Range<usize>, Read)>,
    pub(super) prefers_ruby: bool,
}

/// Parses each tag separately. If only Ruby can evaluate one of them, Ruby renders the whole file.
pub(super) fn read(text: &str, tokens: &[Token]) -> Result<All, Vec<Unsupported>> {
    let (mut all, mut unsupported) = (Vec::new(), Vec::new());
    let mut context = Context::default();
    for token in tokens {
        match token {
            Token::Text { text, kept, .. } => {
                all.push((text.clone(), Read::Node(Node::Text { range: text.clone(), kept: *kept })));
            }
            Token::Tag(tag) => match of_tag(text, tag, &mut context) {
                Ok(read) => all.push((tag.span.clone(), read)),
                Err(error) => unsupported.push(error),
            },
        }
    }
    if unsupported.is_empty() {
        Ok(All { tags: all, prefers_ruby: context.prefers_ruby.get() })
    } else {
        Err(unsupported)
    }
}

fn of_tag(text: &str, tag: &Tag, context: &mut Context) -> Result<Read, Unsupported> {
    if tag.kind == TagKind::Comment {
        return Ok(Read::Nothing);
    }
    if tag.escaped {
        return Err(Unsupported { span: tag.span.clone(), label: "`%%>` is not built in" });
    }
    if tag.kind == TagKind::Output {
        let expr = expr::parse(text, tag.code.clone(), context)?;
        return Ok(Read::Node(Node::Output { span: tag.span.clone(), expr }));
    }
    let code = text.get(tag.code.clone()).unwrap_or_default();
    let words = code.trim_start();
    let keyword = words.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(words.len());
    let (keyword, rest) = words.split_at(keyword);
    let condition = || expr::parse(text, tag.code.end - rest.len()..tag.code.end, context);
    match keyword {
        "" if ends_line(words, tag) => Ok(Read::Nothing),
        "if" => Ok(Read::If(condition()?)),
        "unless" => {
            let inner = condition()?;
            Ok(Read::If(Expr { span: inner.span.clone(), kind: ExprKind::Not(Box::new(inner)) }))
        }
        "elsif" => Ok(Read::Elsif(condition()?)),
        "else" if rest.trim().is_empty() => Ok(Read::Else),
        "end" if rest.trim().is_empty() => Ok(Read::End),
        _ => {
            let start = tag.code.start + (code.len() - words.len());
            let end = start + words.lines().next().map_or(0, |line| line.trim_end().len());
            if let Some((list, name)) = loop_head(words.trim_end()) {
                let list = expr::parse(text, start..start + list.len(), context)?;
                context.prefers_ruby.set(true);
                context.locals.push(name.to_owned());
                return Ok(Read::Each(list, name.to_owned()));
            }
            let whole = Unsupported { span: start..end, label: "this is not built in" };
            let known = words.starts_with(|c: char| c.is_ascii_lowercase() || c == '_' || c == 'D');
            if !known || words.trim_end().ends_with('|') {
                return Err(whole);
            }
            let code_end = tag.code.end - (code.len() - code.trim_end().len());
            let statements = expr::statements(text, start..code_end, context)
                .map_err(|error| if error.span.start == start { whole } else { error })?;
            Ok(Read::Node(Node::Do { span: tag.span.clone(), statements }))
        }
    }
}

/// The list and the variable of `LIST.each do |NAME|`.
fn loop_head(words: &str) -> Option<(&str, &str)> {
    let (head, name) = words.strip_suffix('|')?.rsplit_once('|')?;
    let list = head.trim_end().strip_suffix("do")?.trim_end().strip_suffix(".each")?;
    let name = name.trim();
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (plain && expr::is_local(name)).then_some((list, name))
}

/// Whether there is no code. A `# comment` is no code if nothing can follow it: ERB would take that for comment too.
fn ends_line(words: &str, tag: &Tag) -> bool {
    words.is_empty() || (words.starts_with('#') && !words.contains('\n') && tag.source.end > tag.span.end)
}

/// The tags that contain only names and commands, and so no password.
pub(super) fn open_tags(text: &str, tokens: &[Token]) -> Vec<Range<usize>> {
    let mut context = Context::default();
    let open = |token: &Token| match token {
        Token::Tag(tag) => match of_tag(text, tag, &mut context) {
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
        ExprKind::Nil
        | ExprKind::Boolean(_)
        | ExprKind::Command(_)
        | ExprKind::Variable(_)
        | ExprKind::HasVariable(_)
        | ExprKind::Local(_)
        | ExprKind::Fetch { default: None, .. } => true,
        ExprKind::Integer(_) => false,
        ExprKind::Text(parts) => parts.iter().all(|part| matches!(part, Part::Expr(expr) if is_open(expr))),
        ExprKind::Fetch { default: Some(inner), .. }
        | ExprKind::Call { receiver: inner, .. }
        | ExprKind::Split { receiver: inner, .. }
        | ExprKind::Join { receiver: inner, .. }
        | ExprKind::Each { receiver: inner, .. }
        | ExprKind::File(inner)
        | ExprKind::Not(inner) => is_open(inner),
        ExprKind::Equal { left, right, .. } | ExprKind::And(left, right) | ExprKind::Or(left, right) => {
            is_open(left) && is_open(right)
        }
        ExprKind::Choice { condition, yes, no } => is_open(condition) && is_open(yes) && is_open(no),
    }
}

/// A condition or loop that isn't closed yet.
struct Open {
    tag: Range<usize>,
    branches: Vec<Branch>,
    has_else: bool,
    /// The list and the variable of a loop.
    each: Option<(Expr, String)>,
}

/// Nests the tags.
pub(super) fn tree(all: All) -> Result<Vec<Node>, Wrong> {
    let (mut root, mut open) = (Vec::new(), Vec::<Open>::new());
    for (span, read) in all.tags {
        match read {
            Read::Node(node) => inner(&mut root, &mut open).push(node),
            Read::Nothing => {}
            Read::If(_) | Read::Each(..) if open.len() == MAX_DEPTH => {
                return Err(Diagnostic::error(span, "nested too deeply").into());
            }
            Read::If(condition) => {
                let branches = vec![Branch { condition: Some(condition), nodes: Vec::new() }];
                open.push(Open { tag: span, branches, has_else: false, each: None });
            }
            Read::Each(list, name) => {
                let branches = vec![Branch { condition: None, nodes: Vec::new() }];
                open.push(Open { tag: span, branches, has_else: true, each: Some((list, name)) });
            }
            Read::Elsif(condition) => branch(&mut open, &span, "elsif", Some(condition))?,
            Read::Else => branch(&mut open, &span, "else", None)?,
            Read::End => match open.pop() {
                Some(Open { branches, each: None, .. }) => {
                    inner(&mut root, &mut open).push(Node::If(branches));
                }
                Some(Open { branches, each: Some((list, name)), .. }) => {
                    let nodes = branches.into_iter().flat_map(|branch| branch.nodes).collect();
                    inner(&mut root, &mut open).push(Node::Each { list, name, nodes });
                }
                None => return Err(Diagnostic::error(span, "`end` without an `if` before it").into()),
            },
        }
    }
    match open.pop() {
        Some(never) => {
            let what = if never.each.is_some() { "loop" } else { "condition" };
            let error = Diagnostic::error(never.tag, format!("this {what} has no `end`"));
            Err(error.help("close it with `<% end %>`").into())
        }
        None => Ok(root),
    }
}

/// The nodes that the next node belongs to.
fn inner<'a>(root: &'a mut Vec<Node>, open: &'a mut [Open]) -> &'a mut Vec<Node> {
    open.last_mut().and_then(|open| open.branches.last_mut()).map_or(root, |branch| &mut branch.nodes)
}

fn branch(open: &mut [Open], span: &Range<usize>, word: &str, condition: Option<Expr>) -> Result<(), Wrong> {
    let Some(open) = open.last_mut().filter(|open| open.each.is_none()) else {
        return Err(Diagnostic::error(span.clone(), format!("`{word}` without an `if` before it")).into());
    };
    if open.has_else {
        let error = Diagnostic::error(span.clone(), format!("`{word}` after the `else`"));
        return Err(error.also(open.tag.clone(), "of this").into());
    }
    open.has_else = condition.is_none();
    open.branches.push(Branch { condition, nodes: Vec::new() });
    Ok(())
}
