//! Parses the Ruby that Bowline evaluates itself: expressions and statements that are common in configurations.
//!
//! A recursive descent parser, from the loosest operator (`? :`) to the tightest (`.strip`), as in Ruby. Unknown syntax ends
//! parsing with [`Unsupported`], which has the position.

use std::cell::Cell;
use std::ops::Range;

use super::literal;

/// The deepest nesting of expressions.
const MAX_DEPTH: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expr {
    pub(super) kind: ExprKind,
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExprKind {
    /// `nil`.
    Nil,
    /// `true`, `false`.
    Boolean(bool),
    /// `42`.
    Integer(i64),
    /// `"…"`, `'…'`.
    Text(Vec<Part>),
    /// `` `…` ``, `%x(…)`.
    Command(Vec<Part>),
    /// `ENV[…]`.
    Variable(Box<Expr>),
    /// `ENV.fetch(…)`.
    Fetch { name: Box<Expr>, default: Option<Box<Expr>> },
    /// `ENV.key?(…)`.
    HasVariable(Box<Expr>),
    /// A variable of the template.
    Local(String),
    /// `File.read(…)`.
    File(Box<Expr>),
    /// `x.split(",")`; at blanks if there is no separator.
    Split { receiver: Box<Expr>, separator: Option<Box<Expr>> },
    /// `x.join(",")`.
    Join { receiver: Box<Expr>, separator: Box<Expr> },
    /// `x.map(&:strip)`.
    Each { receiver: Box<Expr>, method: Method },
    /// `x.strip`; `safe` as in `x&.strip`.
    Call { receiver: Box<Expr>, method: Method, safe: bool },
    /// `!x`.
    Not(Box<Expr>),
    /// `x == y`, or `x != y` if not `wanted`.
    Equal { left: Box<Expr>, right: Box<Expr>, wanted: bool },
    /// `x && y`.
    And(Box<Expr>, Box<Expr>),
    /// `x || y`.
    Or(Box<Expr>, Box<Expr>),
    /// `x ? y : z`.
    Choice { condition: Box<Expr>, yes: Box<Expr>, no: Box<Expr> },
}

/// A part of a string literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Expr(Expr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Strip,
    Chomp,
    ToS,
    IsNil,
    IsEmpty,
    Presence,
    IsPresent,
    IsBlank,
    First,
    Last,
}

impl Method {
    const ALL: [(&'static str, Method); 10] = [
        ("strip", Method::Strip),
        ("chomp", Method::Chomp),
        ("to_s", Method::ToS),
        ("nil?", Method::IsNil),
        ("empty?", Method::IsEmpty),
        ("presence", Method::Presence),
        ("present?", Method::IsPresent),
        ("blank?", Method::IsBlank),
        ("first", Method::First),
        ("last", Method::Last),
    ];

    /// Whether to prefer an installed Ruby, which supports more of this method.
    fn prefers_ruby(self) -> bool {
        !matches!(self, Method::Strip | Method::Chomp | Method::ToS | Method::IsNil | Method::IsEmpty)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

/// Ruby that Bowline can't evaluate, with a label for its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsupported {
    pub(super) span: Range<usize>,
    pub(super) label: &'static str,
}

type Parsed<T> = Result<T, Unsupported>;

/// What earlier tags define and use.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) locals: Vec<String>,
    /// Whether to prefer an installed Ruby.
    pub(super) prefers_ruby: Cell<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// `require "dotenv"`.
    Nothing,
    /// `Dotenv.load(…)`; `strict` as in `load!`.
    Load { files: Vec<Expr>, strict: bool },
    /// `name = …`; `||=` if `unless_set`.
    Assign { name: String, value: Expr, unless_set: bool },
}

pub(super) fn parse(text: &str, code: Range<usize>, context: &Context) -> Parsed<Expr> {
    let mut parser = Parser::new(text, &code, context);
    let expr = parser.expr()?;
    parser.blanks();
    if parser.at < code.end { Err(parser.unsupported()) } else { Ok(expr) }
}

pub(super) fn statements(text: &str, code: Range<usize>, context: &mut Context) -> Parsed<Vec<Statement>> {
    context.prefers_ruby.set(true);
    let (mut read, mut at) = (Vec::new(), code.start);
    while at < code.end {
        let mut parser = Parser::new(text, &(at..code.end), context);
        let statement = parser.statement()?;
        at = parser.past_end()?;
        if let Statement::Assign { name, .. } = &statement {
            context.locals.push(name.clone());
        }
        read.push(statement);
    }
    Ok(read)
}

/// Parses the code of one tag. `text` ends where the code does.
pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    depth: usize,
    context: &'t Context,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, code: &Range<usize>, context: &'t Context) -> Self {
        Self { text: text.get(..code.end).unwrap_or(text), at: code.start, depth: 0, context }
    }

    fn statement(&mut self) -> Parsed<Statement> {
        self.blanks();
        let start = self.at;
        let again = |parser: &mut Self| {
            parser.at = start;
            Err(parser.unsupported())
        };
        match self.word() {
            "require" => {
                let (arguments, _) = self.arguments(1)?;
                let [Expr { kind: ExprKind::Text(parts), .. }] = arguments.as_slice() else {
                    return again(self);
                };
                match parts.as_slice() {
                    [Part::Text(name)] if name == "dotenv" => Ok(Statement::Nothing),
                    [Part::Text(name)] if name == "dotenv/load" => {
                        Ok(Statement::Load { files: Vec::new(), strict: false })
                    }
                    _ => again(self),
                }
            }
            "Dotenv" if self.takes(".") => {
                let strict = match self.word() {
                    "load" => false,
                    "load!" => true,
                    _ => return again(self),
                };
                Ok(Statement::Load { files: self.files()?, strict })
            }
            name if is_local(name) => {
                let name = name.to_owned();
                let unless_set = self.takes("||=");
                if !unless_set && !self.takes_but("=", "=") {
                    return again(self);
                }
                Ok(Statement::Assign { name, value: self.expr()?, unless_set })
            }
            _ => again(self),
        }
    }

    /// The arguments of `load`, if any.
    fn files(&mut self) -> Parsed<Vec<Expr>> {
        let rest = self.rest().trim_start_matches([' ', '\t']);
        if rest.starts_with("()") {
            self.expects("(")?;
            self.expects(")")?;
            return Ok(Vec::new());
        }
        let given = rest.starts_with(['(', '"', '\'']);
        if given { Ok(self.arguments(usize::MAX)?.0) } else { Ok(Vec::new()) }
    }

    /// The position of the next statement, after a `;` or a line break.
    fn past_end(&mut self) -> Parsed<usize> {
        let rest = self.rest();
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
        let after = rest.get(blanks..).unwrap_or_default();
        if !after.is_empty() && !after.starts_with([';', '\n']) {
            self.blanks();
            return Err(self.unsupported());
        }
        let separators = after.trim_start_matches([';', '\n', '\r', ' ', '\t']);
        Ok(self.text.len() - separators.len())
    }

    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.unsupported());
        }
        let expr = self.choice();
        self.depth -= 1;
        expr
    }

    fn choice(&mut self) -> Parsed<Expr> {
        let condition = self.or()?;
        if !self.takes("?") {
            return Ok(condition);
        }
        let yes = self.expr()?;
        self.expects(":")?;
        let no = self.expr()?;
        let span = condition.span.start..no.span.end;
        let [condition, yes, no] = [condition, yes, no].map(Box::new);
        Ok(Expr { kind: ExprKind::Choice { condition, yes, no }, span })
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut left = self.and()?;
        while self.takes("||") {
            left = joined(left, self.and()?, ExprKind::Or);
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut left = self.equality()?;
        while self.takes("&&") {
            left = joined(left, self.equality()?, ExprKind::And);
        }
        Ok(left)
    }

    fn equality(&mut self) -> Parsed<Expr> {
        let left = self.not()?;
        let wanted = match (self.takes_but("==", "="), self.takes_but("!=", "=")) {
            (false, false) => return Ok(left),
            (equal, _) => equal,
        };
        let right = self.not()?;
        Ok(joined(left, right, |left, right| ExprKind::Equal { left, right, wanted }))
    }

    fn not(&mut self) -> Parsed<Expr> {
        self.blanks();
        let start = self.at;
        if !self.takes("!") {
            return self.calls();
        }
        self.depth += 1;
        let inner = if self.depth > MAX_DEPTH { Err(self.unsupported()) } else { self.not() }?;
        self.depth -= 1;
        Ok(Expr { span: start..inner.span.end, kind: ExprKind::Not(Box::new(inner)) })
    }

    fn calls(&mut self) -> Parsed<Expr> {
        let mut expr = self.primary()?;
        loop {
            let before = self.at;
            let safe = self.takes("&.");
            if !safe && !self.takes(".") {
                return Ok(expr);
            }
            let start = expr.span.start;
            let Some(kind) = self.call(expr, safe)? else {
                self.at = before;
                self.blanks();
                return Err(self.unsupported());
            };
            expr = Expr { kind, span: start..self.at };
        }
    }

    /// A method and its arguments. `None` if the method is unknown.
    fn call(&mut self, receiver: Expr, safe: bool) -> Parsed<Option<ExprKind>> {
        let receiver = Box::new(receiver);
        let name = self.word();
        if matches!(name, "split" | "join" | "map") && !safe {
            self.context.prefers_ruby.set(true);
            return self.with_argument(name, receiver).map(Some);
        }
        let Some(method) = Method::named(name) else { return Ok(None) };
        if method.prefers_ruby() {
            self.context.prefers_ruby.set(true);
        }
        if self.rest().starts_with('(') {
            self.at += 1;
            self.expects(")")?;
        }
        Ok(Some(ExprKind::Call { receiver, method, safe }))
    }

    fn with_argument(&mut self, name: &str, receiver: Box<Expr>) -> Parsed<ExprKind> {
        if name == "map" {
            self.expects("(&:")?;
            let method = Method::named(self.word()).ok_or_else(|| self.unsupported())?;
            self.expects(")")?;
            return Ok(ExprKind::Each { receiver, method });
        }
        if name == "split" && !self.rest().starts_with('(') {
            return Ok(ExprKind::Split { receiver, separator: None });
        }
        self.expects("(")?;
        let separator = Box::new(self.expr()?);
        self.expects(")")?;
        Ok(match name {
            "split" => ExprKind::Split { receiver, separator: Some(separator) },
            _ => ExprKind::Join { receiver, separator },
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        self.blanks();
        let start = self.at;
        let kind = match self.rest().chars().next() {
            Some('"') => ExprKind::Text(literal::between('"', self)?),
            Some('\'') => ExprKind::Text(vec![Part::Text(literal::single_quoted(self)?)]),
            Some('`') => ExprKind::Command(literal::between('`', self)?),
            Some('%') if self.rest().starts_with("%x") => ExprKind::Command(literal::percent(self)?),
            Some('(') => {
                self.at += 1;
                let inner = self.expr()?;
                self.expects(")")?;
                return Ok(Expr { span: start..self.at, ..inner });
            }
            Some(c) if c.is_ascii_digit() => self.integer()?,
            _ => return self.named(start),
        };
        Ok(Expr { kind, span: start..self.at })
    }

    fn named(&mut self, start: usize) -> Parsed<Expr> {
        let kind = match self.word() {
            "nil" => ExprKind::Nil,
            "true" => ExprKind::Boolean(true),
            "false" => ExprKind::Boolean(false),
            "ENV" => self.variable()?,
            "File" if self.takes(".read") => {
                self.context.prefers_ruby.set(true);
                let (mut arguments, _) = self.arguments(1)?;
                ExprKind::File(Box::new(arguments.pop().ok_or_else(|| self.unsupported())?))
            }
            name if self.context.locals.iter().any(|known| known == name) => ExprKind::Local(name.to_owned()),
            _ => {
                self.at = start;
                return Err(self.unsupported());
            }
        };
        Ok(Expr { kind, span: start..self.at })
    }

    /// Parses what follows `ENV`.
    fn variable(&mut self) -> Parsed<ExprKind> {
        let before = self.at;
        if self.rest().starts_with('[') {
            self.at += 1;
            let name = Box::new(self.expr()?);
            self.expects("]")?;
            return Ok(ExprKind::Variable(name));
        }
        let word = if self.takes(".") { self.word() } else { "" };
        match word {
            "fetch" => self.fetch(),
            "key?" | "has_key?" | "include?" | "member?" => {
                let (mut arguments, _) = self.arguments(1)?;
                arguments
                    .pop()
                    .map(|name| ExprKind::HasVariable(Box::new(name)))
                    .ok_or_else(|| self.unsupported())
            }
            _ => {
                self.at = before.saturating_sub("ENV".len());
                Err(self.unsupported())
            }
        }
    }

    fn fetch(&mut self) -> Parsed<ExprKind> {
        let (arguments, closed) = self.arguments(2)?;
        let mut arguments = arguments.into_iter();
        let Some(name) = arguments.next().map(Box::new) else { return Err(self.unsupported()) };
        let mut default = arguments.next().map(Box::new);
        if closed && default.is_none() && self.takes("{") {
            default = Some(Box::new(self.expr()?));
            self.expects("}")?;
        }
        Ok(ExprKind::Fetch { name, default })
    }

    /// Up to `most` arguments, and whether they are in parentheses.
    fn arguments(&mut self, most: usize) -> Parsed<(Vec<Expr>, bool)> {
        let closed = self.rest().starts_with('(');
        self.at += usize::from(closed);
        let mut arguments = vec![self.expr()?];
        while arguments.len() < most && self.takes(",") {
            arguments.push(self.expr()?);
        }
        if closed {
            self.expects(")")?;
        }
        Ok((arguments, closed))
    }

    /// A decimal integer without sign, underscores and leading zeros.
    fn integer(&mut self) -> Parsed<ExprKind> {
        let digits: String = self.rest().chars().take_while(char::is_ascii_digit).collect();
        let after = self.rest().get(digits.len()..).unwrap_or_default();
        let other = after.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            || after.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            || (digits.starts_with('0') && digits.len() > 1);
        match digits.parse() {
            Ok(value) if !other => {
                self.at += digits.len();
                Ok(ExprKind::Integer(value))
            }
            _ => Err(self.unsupported()),
        }
    }

    /// A name, with a `?` or `!` at its end. Empty if there is none.
    pub(super) fn word(&mut self) -> &'t str {
        let start = self.at;
        let part = |c: char| c.is_alphanumeric() || c == '_';
        self.at += self.rest().find(|c| !part(c)).unwrap_or(self.rest().len());
        let mark = self.rest().starts_with(['?', '!']) && !self.rest().starts_with("!=");
        if self.at > start && mark {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Skips blanks and `what`, if it follows them.
    fn takes(&mut self, what: &str) -> bool {
        let blanks = self.rest().len() - self.rest().trim_start().len();
        let found = self.rest().trim_start().starts_with(what);
        if found {
            self.at += blanks + what.len();
        }
        found
    }

    /// Like [`Self::takes`], unless `not` follows: `===` is not `==`.
    fn takes_but(&mut self, what: &str, not: &str) -> bool {
        let longer = self.rest().trim_start().strip_prefix(what).is_some_and(|rest| rest.starts_with(not));
        !longer && self.takes(what)
    }

    pub(super) fn expects(&mut self, what: &str) -> Parsed<()> {
        if self.takes(what) {
            return Ok(());
        }
        self.blanks();
        Err(self.unsupported())
    }

    /// The error for unknown code here, up to the end of the word, of the line, or of the code.
    pub(super) fn unsupported(&self) -> Unsupported {
        let rest = self.rest();
        let lead =
            rest.chars().take_while(|c| !(c.is_alphanumeric() || c.is_whitespace())).map(char::len_utf8);
        let lead: usize = lead.sum();
        let word = rest.get(lead..).unwrap_or_default();
        let name = word.find(|c: char| !(c.is_alphanumeric() || "_?!".contains(c))).unwrap_or(word.len());
        let end = if rest.trim().is_empty() { 0 } else { (lead + name).max(1) };
        let rails = ["try", "in?", "presence_in"].contains(&word.get(..name).unwrap_or_default());
        let label = match (end, rails) {
            (0, _) => "something is missing here",
            (_, true) => "a method of Rails, not of Ruby",
            (_, false) => "this is not built in",
        };
        let mut end = self.at + end;
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        Unsupported { span: self.at..end, label }
    }
}

pub(super) fn is_local(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && !name.ends_with(['?', '!'])
}

fn joined(left: Expr, right: Expr, kind: impl FnOnce(Box<Expr>, Box<Expr>) -> ExprKind) -> Expr {
    let span = left.span.start..right.span.end;
    Expr { kind: kind(Box::new(left), Box::new(right)), span }
}
