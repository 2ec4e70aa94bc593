//! Turns the tree of a file into typed values, and collects every error on the way.
//!
//! [`shape`](super::shape) checks the tree first, so every remaining value has the form that its table describes. The
//! readers in this file therefore report nothing: a value that is missing or was wrong is `None`. A decoder reports
//! errors of meaning, and its caller continues with the next key, so that one run shows all the errors of the files.
//! Any reported error means that there is no configuration.
//!
//! Paths have Kamal's form (`servers/web/hosts/0`).
//!
//! Where a string is expected, a plain scalar keeps the text of the file: `1.10` is "1.10" and `0644` is "0644". Only
//! booleans become `true` and `false`, as in YAML 1.1 and so in Kamal: an env value of `yes` reaches the container as
//! `true`. Quotes keep a text as it is.

use std::time::Duration;

use super::diagnostic::{Diagnostic, Severity, Span};
use super::given::{given, plain};
use super::pairs::{OptionValue, Pairs};
use super::secrets::SecretUse;
use super::source::{Key, Node, NodeKind, Plain, Scalar};

#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) items: Vec<Diagnostic>,
    pub(super) secrets: Vec<SecretUse>,
    /// Bowline's own commands, which no alias can replace.
    pub(super) commands: Vec<String>,
}

impl Report {
    pub(super) fn names_secret(&mut self, field: &Field, name: &str) {
        self.secrets.push(SecretUse { name: name.to_owned(), span: field.span() });
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    /// Reports a required key that a section doesn't have, unless the key was already suggested for an unknown one.
    pub(super) fn missing(&mut self, section: &Field, name: &str, help: &str) {
        let meant = format!("did you mean `{name}`?");
        let unknown = section.says("unknown key: ");
        let suggested = |item: &Diagnostic| {
            item.message.starts_with(&unknown)
                && item.help.as_deref().is_some_and(|help| plain(help) == meant)
        };
        if !self.items.iter().any(suggested) {
            let span = if section.path.is_empty() { Span::whole(0) } else { section.span() };
            let message = section.says(&format!("`{name}` is required"));
            self.push(Diagnostic { span, message, ..section.error("") }.help(help));
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }
}

/// An error about a value. If the value replaced one of the base file, the error shows both.
pub(super) fn error(path: &str, node: &Node, message: &str) -> Diagnostic {
    let error = Diagnostic::error(node.span, says(path, message));
    match node.replaced {
        Some(replaced) => error.also(replaced, "replaces this"),
        None => error,
    }
}

pub(super) fn says(path: &str, message: &str) -> String {
    if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    pub(super) path: String,
    pub(super) node: &'n Node,
}

/// The value of a key that the files don't have.
static NOTHING: Node = Node { span: Span::whole(0), kind: NodeKind::Null, replaced: None };

impl<'n> Field<'n> {
    pub(super) fn nothing() -> Self {
        Self::new("", &NOTHING)
    }

    pub(super) fn new(path: impl Into<String>, node: &'n Node) -> Self {
        Self { path: path.into(), node }
    }

    pub(super) fn span(&self) -> Span {
        self.node.span
    }

    fn entry(&self, name: &str) -> Option<&'n (Key, Node)> {
        let NodeKind::Map(entries) = &self.node.kind else { return None };
        entries.iter().find(|(key, _)| key.text == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    pub(super) fn key_span(&self, name: &str) -> Option<Span> {
        self.entry(name).map(|(key, _)| key.span)
    }

    /// The value of a key, unless it is missing or wrong.
    pub(super) fn get(&self, name: &str) -> Option<Self> {
        let (_, node) = self.entry(name).filter(|(_, node)| node.kind != NodeKind::Wrong)?;
        Some(self.child(name, node))
    }

    /// The value of a key. A missing or wrong one is replaced by an empty value, which decodes to the defaults.
    pub(super) fn at(&self, name: &str) -> Self {
        self.get(name).unwrap_or_else(|| self.child(name, &NOTHING))
    }

    fn child(&self, name: &str, node: &'n Node) -> Self {
        Self { path: join(&self.path, name), node }
    }

    /// The value under a name, or this value if there is none. Only for pointing at a place.
    pub(super) fn below(&self, name: &str) -> Self {
        let own = self.entries().into_iter().find(|(key, _)| key.text == name);
        own.map_or_else(|| self.clone(), |(_, field)| field)
    }

    pub(super) fn says(&self, message: &str) -> String {
        says(&self.path, message)
    }

    pub(super) fn error(&self, message: &str) -> Diagnostic {
        error(&self.path, self.node, message)
    }

    /// An error about this value that points at a part of it.
    pub(super) fn error_at(&self, span: Span, message: &str) -> Diagnostic {
        Diagnostic::error(span, self.says(message))
    }

    pub(super) fn warning(&self, message: &str) -> Diagnostic {
        Diagnostic::warning(self.node.span, self.says(message))
    }

    pub(super) fn scalar(&self) -> Option<&'n Scalar> {
        match &self.node.kind {
            NodeKind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.kind, NodeKind::Map(_))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.kind, NodeKind::List(_))
    }

    /// Any scalar as text.
    pub(super) fn text(&self) -> Option<String> {
        self.scalar().map(|scalar| match scalar.read() {
            Some(Plain::Boolean(value)) => value.to_string(),
            _ => scalar.text.clone(),
        })
    }

    /// Like [`Self::text`], but `false` means none. With it, a destination removes a value of the base file.
    pub(super) fn text_unless_off(&self) -> Option<String> {
        self.text().filter(|_| self.boolean() != Some(false))
    }

    /// One of several words. A Ruby symbol loses its colon.
    pub(super) fn word(&self) -> Option<&'n str> {
        self.scalar().map(Scalar::word)
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.scalar()?.read()? {
            Plain::Boolean(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self.scalar()?.read()? {
            Plain::Integer(value) => value,
            _ => None,
        }
    }

    pub(super) fn count(&self) -> Option<u64> {
        self.integer().and_then(|count| u64::try_from(count).ok())
    }

    /// A port, in quotes or not.
    pub(super) fn port(&self) -> Option<u16> {
        match self.integer() {
            Some(port) => u16::try_from(port).ok(),
            None => self.text()?.trim().parse().ok(),
        }
    }

    pub(super) fn seconds(&self) -> Option<Duration> {
        self.count().map(Duration::from_secs)
    }

    pub(super) fn list(&self) -> Vec<Field<'n>> {
        let NodeKind::List(items) = &self.node.kind else { return Vec::new() };
        items.iter().enumerate().map(|(index, node)| self.child(&index.to_string(), node)).collect()
    }

    pub(super) fn strings(&self) -> Vec<String> {
        self.list().iter().filter_map(Field::text).collect()
    }

    /// A list of names of secrets. Adds each of them to the report.
    pub(super) fn secrets(&self, report: &mut Report) -> Vec<String> {
        let named = self.list().into_iter().filter_map(|field| Some((field.text()?, field)));
        named.inspect(|(name, field)| report.names_secret(field, name)).map(|(name, _)| name).collect()
    }

    pub(super) fn entries(&self) -> Vec<(&'n Key, Field<'n>)> {
        let NodeKind::Map(entries) = &self.node.kind else { return Vec::new() };
        entries.iter().map(|(key, node)| (key, self.child(&given(&key.text).to_string(), node))).collect()
    }

    pub(super) fn pairs(&self) -> Pairs {
        let pair = |(key, field): &(&Key, Field)| Some((key.text.clone(), field.text()?));
        self.entries().iter().filter_map(pair).collect()
    }

    pub(super) fn options(&self) -> Vec<(String, OptionValue)> {
        let flag = |(key, field): &(&Key, Field)| Some((key.text.clone(), field.option()?));
        self.entries().iter().filter_map(flag).collect()
    }

    fn option(&self) -> Option<OptionValue> {
        match self.is_list() {
            true => Some(OptionValue::List(self.strings())),
            false if self.node.kind == NodeKind::Null => Some(OptionValue::Value(String::new())),
            false if self.boolean() == Some(true) => Some(OptionValue::Flag),
            false => self.text().map(OptionValue::Value),
        }
    }
}
