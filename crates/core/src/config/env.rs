//! `env`: variables of a container, in clear or from the secrets file.

use super::decode::{Field, Keys, Report};
use super::diagnostic::Span;

/// A secret variable: its name in the container and the secret it takes its value from (`NAME` or `NAME:SOURCE`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef {
    /// The variable in the container.
    pub name: String,
    /// The key in the secrets file.
    pub source: String,
}

/// An env in the full format.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Env {
    /// Variables whose values stand in the configuration, in its order.
    pub clear: super::Pairs,
    /// Variables whose values come from the secrets file.
    pub secret: Vec<SecretRef>,
}

impl Env {
    /// Lays `over` on top: a variable it names replaces this one's, in place; new ones follow at the end.
    pub fn merge(&mut self, over: &Env) {
        for (name, value) in &over.clear {
            self.secret.retain(|secret| secret.name != *name);
            match self.clear.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => old.clone_from(value),
                None => self.clear.push((name.clone(), value.clone())),
            }
        }
        for secret in &over.secret {
            self.clear.retain(|(name, _)| *name != secret.name);
            match self.secret.iter_mut().find(|known| known.name == secret.name) {
                Some(old) => old.clone_from(secret),
                None => self.secret.push(secret.clone()),
            }
        }
    }
}

/// An env and its tags, as they stand at the root.
#[derive(Debug, Default)]
pub(super) struct TaggedEnv {
    pub(super) env: Env,
    pub(super) tags: Option<Tags>,
}

/// The envs of tags, and where they stand.
#[derive(Debug, Default)]
pub(super) struct Tags {
    pub(super) envs: Vec<(String, Env)>,
    /// All names, also those whose env has errors.
    pub(super) names: Vec<String>,
    pub(super) span: Option<Span>,
}

const FULL: Keys = Keys { known: &["clear", "secret"], later: &[] };
const FULL_ROOT: Keys = Keys { known: &["clear", "secret", "tags"], later: &[] };

impl TaggedEnv {
    /// `env` at the root, where tags may stand too.
    pub(super) fn decode(field: &Field, report: &mut Report) -> Self {
        let tags = field.entries_silently().iter().find(|(key, _)| key.text == "tags").map(|(key, value)| {
            let mut tags = Tags::decode(value, report);
            tags.span = Some(key.span);
            tags
        });
        Self { env: Env::decode_with(field, &FULL_ROOT, report), tags }
    }
}

impl Tags {
    /// `env_tags`, or `tags` under `env`.
    pub(super) fn decode(field: &Field, report: &mut Report) -> Self {
        let entries = field.entries(report).unwrap_or_default();
        let names = entries.iter().map(|(key, _)| key.text.clone()).collect();
        let envs =
            entries.iter().map(|(key, field)| (key.text.clone(), Env::decode(field, report))).collect();
        Self { envs, names, span: Some(field.span()) }
    }
}

impl Env {
    /// An env without tags of its own: of a role, of a tag, of Traefik.
    pub(super) fn decode(field: &Field, report: &mut Report) -> Self {
        if let Some((key, _)) = field.entries_silently().iter().find(|(key, _)| key.text == "tags") {
            let message = field.says("tags are only allowed in the root env");
            report.push(super::diagnostic::Diagnostic::error(key.span, message));
            return Self::default();
        }
        Self::decode_with(field, &FULL, report)
    }

    /// The full format if one of its keys is there, else a plain map of names and values.
    fn decode_with(field: &Field, full: &Keys, report: &mut Report) -> Self {
        let is_full = field.entries_silently().iter().any(|(key, _)| full.known.contains(&key.text.as_str()));
        if !is_full {
            return Self { clear: clear(field, report), secret: Vec::new() };
        }
        let Some(section) = field.section(full, report) else { return Self::default() };
        let clear = section.get("clear").map(|field| clear(&field, report)).unwrap_or_default();
        let mut secret: Vec<SecretRef> = Vec::new();
        for (entry, reference) in
            section.get("secret").map(|field| secrets(&field, report)).unwrap_or_default()
        {
            if clear.iter().any(|(name, _)| *name == reference.name) {
                let message = format!("{} is given in clear too, and that value is used", reference.name);
                report.push(entry.warning(&message));
                continue;
            }
            secret.retain(|known| known.name != reference.name);
            secret.push(reference);
        }
        Self { clear, secret }
    }
}

fn clear(field: &Field, report: &mut Report) -> super::Pairs {
    let mut pairs = super::Pairs::new();
    for (key, value) in field.entries(report).unwrap_or_default() {
        if let Some(problem) = bad_name(&key.text) {
            report.push(super::diagnostic::Diagnostic::error(key.span, field.says(problem)));
        }
        if let Some(value) = value.string(report) {
            pairs.push((key.text.clone(), value));
        }
    }
    pairs
}

fn secrets<'n>(field: &Field<'n>, report: &mut Report) -> Vec<(Field<'n>, SecretRef)> {
    let mut found = Vec::new();
    for entry in field.list(report).unwrap_or_default() {
        let Some(text) = entry.filled(report) else { continue };
        let (name, source) = text.split_once(':').unwrap_or((&text, &text));
        if source.is_empty() {
            report.push(entry.error("names no secret after the `:`"));
        } else if let Some(problem) = bad_name(name) {
            report.push(entry.error(problem));
        } else {
            let reference = SecretRef { name: name.into(), source: source.into() };
            found.push((entry, reference));
        }
    }
    found
}

/// What Docker would not take as the name of a variable.
fn bad_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("a variable without a name");
    }
    name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control())
        .then_some("a variable's name can't contain `=`, blanks or control characters")
}
