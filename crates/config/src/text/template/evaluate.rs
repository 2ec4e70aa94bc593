//! Computes the value of an expression.
//!
//! The rules are Ruby's: only `nil` and `false` are false, `||` returns one of its sides, and `nil` becomes an empty text.
//! Evaluation is lazy: a command to the right of a true `||` doesn't run.

use std::ops::Range;

use super::expr::{Expr, ExprKind, Method, Part, Statement};
use super::{Ended, Outputs, Program, Unrendered};
use crate::diagnostic::Diagnostic;
use crate::dotenv;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Nil,
    Boolean(bool),
    Integer(i64),
    Text(String),
    List(Vec<String>),
}

impl Value {
    /// Like `blank?` of Rails.
    fn is_blank(&self) -> bool {
        match self {
            Value::Text(text) => text.chars().all(char::is_whitespace),
            Value::List(entries) => entries.is_empty(),
            value => !value.is_true(),
        }
    }

    pub(super) fn is_true(&self) -> bool {
        !matches!(self, Value::Nil | Value::Boolean(false))
    }

    /// The text that replaces a tag.
    pub(super) fn text(self) -> String {
        match self {
            Value::Nil => String::new(),
            Value::Boolean(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Text(text) => text,
            // As Ruby prints a list, which is a list in YAML too.
            Value::List(entries) => {
                let quoted =
                    |text: &String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
                format!("[{}]", entries.iter().map(quoted).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Boolean(_) => "true or false",
            Value::Integer(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
        }
    }
}

pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) struct Evaluation<'a> {
    pub(super) variables: Variables<'a>,
    pub(super) outputs: &'a Outputs,
    /// The variables of `Dotenv.load`. Those of the environment take precedence.
    pub(super) loaded: Vec<(String, String)>,
    pub(super) locals: Vec<(String, Value)>,
}

/// An error, boxed because many results can contain one.
pub(super) type Wrong = Box<Diagnostic>;

type Valued = Result<Value, Unrendered<Wrong>>;

impl<'a> Evaluation<'a> {
    pub(super) fn new(variables: Variables<'a>, outputs: &'a Outputs) -> Self {
        Self { variables, outputs, loaded: Vec::new(), locals: Vec::new() }
    }

    pub(super) fn value(&self, expr: &Expr) -> Valued {
        match &expr.kind {
            ExprKind::Nil => Ok(Value::Nil),
            ExprKind::Boolean(value) => Ok(Value::Boolean(*value)),
            ExprKind::Integer(value) => Ok(Value::Integer(*value)),
            ExprKind::Text(parts) => Ok(Value::Text(self.parts(parts)?)),
            ExprKind::Command(parts) => self.command(expr, &self.parts(parts)?),
            ExprKind::Variable(name) => Ok(self.variable(&self.name(name)?).map_or(Value::Nil, Value::Text)),
            ExprKind::HasVariable(name) => Ok(Value::Boolean(self.variable(&self.name(name)?).is_some())),
            ExprKind::Local(name) => Ok(self.local(name).cloned().unwrap_or(Value::Nil)),
            ExprKind::File(path) => self.file(expr, &self.value(path)?.text()),
            ExprKind::Split { receiver, separator } => {
                let separator = separator.as_ref().map(|separator| self.value(separator)).transpose()?;
                match self.value(receiver)? {
                    Value::Text(text) => Ok(Value::List(split(&text, separator.map(Value::text).as_deref()))),
                    other => Err(not_a_text(receiver, &other, "split")),
                }
            }
            ExprKind::Join { receiver, separator } => {
                let separator = self.value(separator)?.text();
                Ok(Value::Text(self.list(receiver, "join")?.join(&separator)))
            }
            ExprKind::Each { receiver, method } => {
                let entries = self.list(receiver, "map")?.into_iter();
                let called = entries.map(|entry| Ok(call(receiver, Value::Text(entry), *method)?.text()));
                Ok(Value::List(called.collect::<Result<_, Unrendered<Wrong>>>()?))
            }
            ExprKind::Fetch { name, default } => self.fetch(expr, name, default.as_deref()),
            ExprKind::Call { receiver, method, safe } => match self.value(receiver)? {
                Value::Nil if *safe => Ok(Value::Nil),
                value => call(receiver, value, *method),
            },
            ExprKind::Not(inner) => Ok(Value::Boolean(!self.value(inner)?.is_true())),
            ExprKind::Equal { left, right, wanted } => {
                Ok(Value::Boolean((self.value(left)? == self.value(right)?) == *wanted))
            }
            ExprKind::And(left, right) => match self.value(left)? {
                value if value.is_true() => self.value(right),
                value => Ok(value),
            },
            ExprKind::Or(left, right) => match self.value(left)? {
                value if value.is_true() => Ok(value),
                _ => self.value(right),
            },
            ExprKind::Choice { condition, yes, no } => {
                self.value(if self.value(condition)?.is_true() { yes } else { no })
            }
        }
    }

    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let loaded = || self.loaded.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        (self.variables)(name).or_else(loaded)
    }

    fn local(&self, name: &str) -> Option<&Value> {
        self.locals.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(super) fn list(&self, expr: &Expr, method: &str) -> Result<Vec<String>, Unrendered<Wrong>> {
        match self.value(expr)? {
            Value::List(entries) => Ok(entries),
            other => Err(not_a_list(expr, &other, method)),
        }
    }

    /// Executes a statement. `span` is the tag's.
    pub(super) fn carry_out(
        &mut self,
        statement: &Statement,
        span: &Range<usize>,
    ) -> Result<(), Unrendered<Wrong>> {
        match statement {
            Statement::Nothing => {}
            Statement::Assign { name, value, unless_set } => {
                if !(*unless_set && self.local(name).is_some_and(Value::is_true)) {
                    let value = self.value(value)?;
                    self.locals.push((name.clone(), value));
                }
            }
            Statement::Load { files, strict } => {
                let paths = files.iter().map(|file| Ok(self.value(file)?.text()));
                let mut paths = paths.collect::<Result<Vec<_>, Unrendered<Wrong>>>()?;
                if paths.is_empty() {
                    paths.push(".env".into());
                }
                for path in paths {
                    self.load(&path, *strict, span)?;
                }
            }
        }
        Ok(())
    }

    /// Loads the variables of a `.env` file. Ignores a missing file unless `strict`.
    fn load(&mut self, path: &str, strict: bool, span: &Range<usize>) -> Result<(), Unrendered<Wrong>> {
        let at = Expr { kind: ExprKind::Nil, span: span.clone() };
        let text = match self.file(&at, path) {
            Ok(value) => value.text(),
            Err(Unrendered::Failed(_)) if !strict => return Ok(()),
            Err(stop) => return Err(stop),
        };
        let file = dotenv::parse(path, &text, false);
        if let Some(problem) = file.errors.first() {
            let line = text.get(..problem.span.start).unwrap_or_default().matches('\n').count() + 1;
            let message = format!("{path}:{line}: {}", problem.message);
            return Err(wrong(&at, message, "loaded here", "fix the file"));
        }
        for entry in &file.entries {
            let mut value = String::new();
            for part in &entry.parts {
                match part {
                    dotenv::Part::Text(text) => value.push_str(text.expose()),
                    dotenv::Part::Variable(variable) => {
                        value.push_str(&self.variable(&variable.name).unwrap_or_default());
                    }
                    dotenv::Part::Command(command) => {
                        value.push_str(self.substituted(&at, command)?.trim_end())
                    }
                }
            }
            if !self.loaded.iter().any(|(known, _)| *known == entry.key) {
                self.loaded.push((entry.key.clone(), value));
            }
        }
        Ok(())
    }

    /// The output of a command in a `.env` file.
    fn substituted(&self, at: &Expr, command: &dotenv::Command) -> Result<String, Unrendered<Wrong>> {
        let refused = || {
            let help = "put such secrets into `.kamal/secrets`";
            wrong(at, "a `.env` file can't use `kamal secrets`", "loaded here", help)
        };
        let dotenv::CommandKind::Shell(pieces) = &command.kind else { return Err(refused()) };
        let mut text = String::new();
        for piece in pieces {
            match piece {
                dotenv::Piece::Text(piece) | dotenv::Piece::Variable { raw: piece, .. } => {
                    text.push_str(piece)
                }
                dotenv::Piece::Call { .. } => return Err(refused()),
            }
        }
        Ok(self.command(at, &text)?.text())
    }

    fn file(&self, expr: &Expr, path: &str) -> Valued {
        let program = Program::File(path.to_owned());
        match self.outputs.get(&program) {
            None => Err(Unrendered::Run(program)),
            Some(Ended::Well(text)) => Ok(Value::Text(text.clone())),
            Some(ended) => {
                let why = match ended {
                    Ended::Badly { stderr, how } => stderr.trim().lines().last().unwrap_or(how),
                    _ => "the file doesn't exist",
                };
                let help = "paths are relative to the directory where bowline is run";
                Err(wrong(expr, format!("{path} can't be read"), why, help))
            }
        }
    }

    fn parts(&self, parts: &[Part]) -> Result<String, Unrendered<Wrong>> {
        let text = |part: &Part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Expr(expr) => Ok(self.value(expr)?.text()),
        };
        parts.iter().map(text).collect()
    }

    fn name(&self, expr: &Expr) -> Result<String, Unrendered<Wrong>> {
        match self.value(expr)? {
            Value::Text(name) => Ok(name),
            other => {
                let message = "the name of a variable should be a string";
                Err(wrong(expr, message, format!("this is {}", other.kind()), "write it in quotes"))
            }
        }
    }

    fn fetch(&self, expr: &Expr, name: &Expr, default: Option<&Expr>) -> Valued {
        let name = self.name(name)?;
        match (self.variable(&name), default) {
            (Some(text), _) => Ok(Value::Text(text)),
            (None, Some(default)) => self.value(default),
            (None, None) => Err(wrong(
                expr,
                format!("the variable {name} is not set"),
                "this requires it",
                format!("set {name} in the environment, or give a default: `ENV.fetch(\"{name}\", \"…\")`"),
            )),
        }
    }

    /// The output of the command, if it has run.
    fn command(&self, expr: &Expr, command: &str) -> Valued {
        let program = Program::Shell(command.to_owned());
        let label = match self.outputs.get(&program) {
            None => return Err(Unrendered::Run(program)),
            Some(Ended::Well(output)) => return Ok(Value::Text(output.clone())),
            Some(Ended::Missing) => "it is not on this machine".to_owned(),
            Some(Ended::Badly { how, stderr }) => match stderr.trim().lines().last() {
                Some(said) => format!("{how}: {said}"),
                None => how.clone(),
            },
        };
        let help = "run it by itself to see why, or append `|| true` to ignore the failure";
        Err(wrong(expr, "the command failed", label, help))
    }
}

fn call(receiver: &Expr, value: Value, method: Method) -> Valued {
    Ok(match (method, value) {
        (Method::ToS, value) => Value::Text(value.text()),
        (Method::IsNil, value) => Value::Boolean(value == Value::Nil),
        (Method::IsEmpty, Value::Text(text)) => Value::Boolean(text.is_empty()),
        (Method::IsEmpty, Value::List(entries)) => Value::Boolean(entries.is_empty()),
        (Method::Presence, value) => {
            if value.is_blank() {
                Value::Nil
            } else {
                value
            }
        }
        (Method::IsPresent, value) => Value::Boolean(!value.is_blank()),
        (Method::IsBlank, value) => Value::Boolean(value.is_blank()),
        (Method::First, Value::List(entries)) => entries.into_iter().next().map_or(Value::Nil, Value::Text),
        (Method::Last, Value::List(entries)) => {
            entries.into_iter().next_back().map_or(Value::Nil, Value::Text)
        }
        (Method::Strip, Value::Text(text)) => Value::Text(text.trim_matches(is_blank).to_owned()),
        (Method::Chomp, Value::Text(text)) => Value::Text(chomp(&text).to_owned()),
        (Method::First | Method::Last, other) => return Err(not_a_list(receiver, &other, method.name())),
        (method, other) => return Err(not_a_text(receiver, &other, method.name())),
    })
}

/// Splits as Ruby does: at blanks if the separator is missing or a blank, and without empty texts at the end.
fn split(text: &str, separator: Option<&str>) -> Vec<String> {
    let mut entries: Vec<String> = match separator {
        None | Some(" ") => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Some("") => text.chars().map(String::from).collect(),
        Some(separator) => text.split(separator).map(str::to_owned).collect(),
    };
    while entries.last().is_some_and(String::is_empty) {
        entries.pop();
    }
    entries
}

fn not_a_list(receiver: &Expr, value: &Value, method: &str) -> Unrendered<Wrong> {
    let label = format!("this is {}", value.kind());
    let help = "`.split(\",\")` turns a string into a list";
    wrong(receiver, format!("`{method}` is for lists only"), label, help)
}

fn not_a_text(receiver: &Expr, value: &Value, method: &str) -> Unrendered<Wrong> {
    let label = match receiver.kind {
        ExprKind::Variable(_) => "the variable is not set, so this is nil".to_owned(),
        _ => format!("this is {}", value.kind()),
    };
    let help = match value {
        Value::Nil => format!("`to_s` turns it into a string: `….to_s.{method}`"),
        _ => format!("leave `.{method}` out"),
    };
    wrong(receiver, format!("`{method}` is for strings only"), label, help)
}

/// The characters that Ruby's `strip` removes.
fn is_blank(c: char) -> bool {
    matches!(c, '\0' | '\t'..='\r' | ' ')
}

fn chomp(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix(['\n', '\r'])).unwrap_or(text)
}

fn wrong(
    expr: &Expr,
    message: impl Into<String>,
    label: impl Into<String>,
    help: impl Into<String>,
) -> Unrendered<Wrong> {
    Unrendered::Failed(Box::new(Diagnostic::error(expr.span.clone(), message).label(label).help(help)))
}
