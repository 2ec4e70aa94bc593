//! `env`: environment variables of a container, in plain text or from the secrets file.

use serde::{Serialize, Serializer};

use crate::decode::{Field, Report};
use crate::describe::{Form, Keys, LIST, Setting, TEXTS};
use crate::diagnostic::{Diagnostic, Span};
use crate::given::given;

/// The variables of a container, each once, in the order in which they were first given.
///
/// Each name has one value of either kind: a clear value that is merged over a secret replaces it, and a secret replaces a
/// clear value. So no container gets both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Env(Vec<Variable>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: Value,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// In the configuration.
    Clear(String),
    /// In the secrets file, under this key (`NAME` or `NAME:KEY`).
    Secret(String),
}

impl Env {
    /// Merges `over` into this env: variables of the same name are replaced in their place, new ones are appended.
    pub fn merge(&mut self, over: &Env) {
        over.iter().for_each(|variable| self.set(variable.clone()));
    }

    fn set(&mut self, variable: Variable) {
        match self.0.iter_mut().find(|known| known.name == variable.name) {
            Some(known) => *known = variable,
            None => self.0.push(variable),
        }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Variable> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|variable| variable.name == name).map(|variable| &variable.value)
    }

    /// Names and values of the clear variables, in order.
    pub fn clear(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter_map(|variable| match &variable.value {
            Value::Clear(value) => Some((variable.name.as_str(), value.as_str())),
            Value::Secret(_) => None,
        })
    }

    pub fn clear_pairs(&self) -> crate::Pairs {
        self.clear().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Names of the secret variables, each with its key in the secrets file, in order.
    pub fn secret(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter_map(|variable| match &variable.value {
            Value::Clear(_) => None,
            Value::Secret(key) => Some((variable.name.as_str(), key.as_str())),
        })
    }
}

impl Serialize for Env {
    /// The names, and the keys of secrets. Never shows a value.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(|Variable { name, value }| match value {
            Value::Clear(_) => name.clone(),
            Value::Secret(key) => format!("{name} (secret {key})"),
        }))
    }
}

impl FromIterator<Variable> for Env {
    /// If a name occurs twice, the later one wins.
    fn from_iter<I: IntoIterator<Item = Variable>>(variables: I) -> Self {
        let mut env = Self::default();
        variables.into_iter().for_each(|variable| env.set(variable));
        env
    }
}

#[derive(Debug, Default)]
pub(crate) struct TaggedEnv {
    pub(crate) env: Env,
    pub(crate) tags: Option<Tags>,
}

#[derive(Debug, Default)]
pub(crate) struct Tags {
    pub(crate) envs: Vec<(String, Env)>,
    /// The position and the key path of each.
    places: Vec<(Span, String)>,
    pub(crate) span: Option<Span>,
    /// Whether the file is for Kamal 2, which has no `env_tags`.
    pub(crate) kamal2: bool,
}

const CLEAR: Setting =
    Setting::new("clear", TEXTS, "variables whose values are in the file").examples(&["{A: b}"]);
const SECRET: Setting = Setting::new(
    "secret",
    LIST,
    "variables whose values are secrets: `NAME`, or `NAME:KEY` for the variable `NAME` with the secret `KEY`",
)
.examples(&["[TOKEN, \"DATABASE_URL:SHOP_DATABASE_URL\"]"]);
const INTRO: &str =
    "Environment variables of containers: a plain map of names and values, or a map with these keys.";

/// The full format. It has `tags` only to say that they aren't allowed here.
const FULL: Keys = Keys::new(
    "env",
    INTRO,
    &[CLEAR, SECRET, Setting::new("tags", Form::Refused("tags are only allowed in the root env"), "")],
);
const FULL_ROOT: Keys = Keys::new(
    "env",
    INTRO,
    &[
        CLEAR,
        SECRET,
        Setting::new(
            "tags",
            Form::Map("TAG", &FORM),
            "the env of each tag, for the servers that have the tag; only at the root",
        )
        .examples(&["{fast: {A: b}, slow: {clear: {A: c}, secret: [TOKEN]}}"]),
    ],
)
.notes(include_str!("../docs/env.md"));

/// The env of a role, a tag, an accessory or Traefik.
pub(crate) const FORM: Form = Form::KeysOr(&FULL, &TEXTS);
pub(crate) const ROOT_FORM: Form = Form::KeysOr(&FULL_ROOT, &TEXTS);

impl TaggedEnv {
    /// `env` at the root, which can contain tags.
    pub(crate) fn decode(section: &Field, report: &mut Report) -> Self {
        let tags = section
            .get("tags")
            .filter(Field::is_map)
            .map(|value| Tags { span: section.key_span("tags"), ..Tags::decode(&value, report) });
        Self { env: Env::decode(section, report), tags }
    }
}

impl Tags {
    /// `env_tags`, or `tags` under `env`.
    pub(crate) fn decode(field: &Field, report: &mut Report) -> Self {
        let mut tags = Self { span: Some(field.span()), ..Self::default() };
        for (key, field) in field.entries() {
            tags.envs.push((key.text.clone(), Env::decode(&field, report)));
            tags.places.push((key.span, field.path));
        }
        tags
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.envs.iter().map(|(name, _)| name.as_str())
    }

    /// How to give a tag an env: under `env` if the file is for Kamal 2 or already does that, otherwise under
    /// `env_tags`.
    pub(crate) fn example(&self, tag: &str) -> String {
        let tag = given(tag);
        let below_env = self.kamal2 || self.places.iter().any(|(_, path)| path.starts_with("env/"));
        match below_env {
            true => format!("`env: {{tags: {{{tag}: {{NAME: value}}}}}}`"),
            false => format!("`env_tags: {{{tag}: {{NAME: value}}}}`"),
        }
    }

    /// Warns about tags that no server has. With a destination, skips tags of the base file: they may be for another
    /// one.
    pub(crate) fn warn_unused(&self, used: &[&String], destination: Option<&str>, report: &mut Report) {
        for ((tag, _), (span, path)) in self.envs.iter().zip(&self.places) {
            if !used.contains(&tag) && (destination.is_none() || span.file > 0) {
                report.push(
                    Diagnostic::warning(
                        *span,
                        format!("{path}: no server has this tag, so its env has no effect"),
                    )
                    .help(format!("give it to a server: `- HOST: {}`", given(tag))),
                );
            }
        }
    }
}

impl Env {
    /// Reads the full format if the map has one of its keys, otherwise a plain map of names and values.
    pub(crate) fn decode(section: &Field, report: &mut Report) -> Self {
        if !FULL.settings.iter().any(|setting| section.has(setting.name)) {
            return clear(section, report);
        }
        let mut env = clear(&section.at("clear"), report);
        let secret = secrets(&section.at("secret"), report);
        for (entry, variable) in secret {
            if let Some(Value::Clear(_)) = env.get(&variable.name) {
                let message =
                    format!("{} is also set in plain text, and that value is used", given(&variable.name));
                report.push(entry.warning(&message));
                continue;
            }
            env.set(variable);
        }
        env
    }
}

fn clear(field: &Field, report: &mut Report) -> Env {
    let mut env = Env::default();
    for (key, value) in field.entries() {
        if let Some(problem) = bad_name(&key.text) {
            report.push(field.error_at(key.span, problem));
        }
        if let Some(value) = value.text() {
            env.set(Variable { name: key.text.clone(), value: Value::Clear(value) });
        }
    }
    env
}

fn secrets<'n>(field: &Field<'n>, report: &mut Report) -> Vec<(Field<'n>, Variable)> {
    let mut found = Vec::new();
    for entry in field.list() {
        let Some(text) = entry.text() else { continue };
        let (name, key) = text.split_once(':').unwrap_or((&text, &text));
        if key.is_empty() {
            report.push(entry.error("has no secret name after the `:`"));
        } else if let Some(problem) = bad_name(name) {
            report.push(entry.error(problem));
        } else {
            report.names_secret(&entry, key);
            let variable = Variable { name: name.into(), value: Value::Secret(key.into()) };
            found.push((entry, variable));
        }
    }
    found
}

/// Why Docker would reject a variable's name, in general or in an env file.
fn bad_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("a variable without a name");
    }
    if name.starts_with('#') {
        return Some("a variable's name can't start with `#`");
    }
    name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control())
        .then_some("a variable's name can't contain `=`, blanks or control characters")
}
