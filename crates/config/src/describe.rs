//! The configuration language, described once: every section, every key, its values, and what it does.
//!
//! Each table is next to the decoder of its section. Everything else derives from the tables: `shape` checks files
//! against them, `docs` prints them, `schema` turns them into a JSON Schema, and the tests go through them row by row. So a
//! key that isn't in a table doesn't exist, and one that is in a table can't be forgotten anywhere.

use super::pairs::unique;

#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    /// The section's path: `proxy/run`, `servers/ROLE`; empty for the root. Capitals are placeholders for the user's names.
    pub(super) path: &'static str,
    /// Its purpose, in Markdown.
    pub(super) intro: &'static str,
    pub(super) settings: &'static [Setting],
    /// Notes about several keys, in Markdown.
    pub(super) notes: &'static str,
    /// Common wrong names, each with the right one.
    pub(super) slips: &'static [(&'static str, &'static str)],
    /// The status of the keys that don't have their own.
    pub(super) status: Status,
}

impl Keys {
    pub(super) const fn new(path: &'static str, intro: &'static str, settings: &'static [Setting]) -> Self {
        Self { path, intro, settings, notes: "", slips: &[], status: Status::Works }
    }

    pub(super) const fn notes(self, notes: &'static str) -> Self {
        Self { notes, ..self }
    }

    pub(super) const fn slips(self, slips: &'static [(&'static str, &'static str)]) -> Self {
        Self { slips, ..self }
    }

    pub(super) const fn not_yet(self, refused: &'static str) -> Self {
        Self { status: Status::NotYet(refused), ..self }
    }

    pub(super) const fn no_effect(self, why: &'static str) -> Self {
        Self { status: Status::NoEffect(why), ..self }
    }

    pub(super) fn status_of(&self, setting: &Setting) -> Status {
        if setting.status == Status::Works { self.status } else { setting.status }
    }

    /// The first key on the way to a section that is inside another one: `proxy` of `proxy/run`.
    pub(super) fn outer(&self) -> Option<&'static str> {
        let (outer, inner) = self.path.split_once('/')?;
        let placeholder = inner.chars().all(|c| c.is_ascii_uppercase());
        (!placeholder).then_some(outer)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// What it does, in one line of Markdown.
    pub(super) what: &'static str,
    /// The default, in Markdown; empty if there is none.
    pub(super) default: &'static str,
    pub(super) origin: Origin,
    /// What the other generation of Kamal has instead.
    pub(super) instead: &'static str,
    pub(super) status: Status,
    /// Valid values, as YAML, one for each form. If empty, the form has its own examples.
    pub(super) examples: &'static [&'static str],
}

impl Setting {
    pub(super) const fn new(name: &'static str, form: Form, what: &'static str) -> Self {
        Self {
            name,
            form,
            what,
            default: "",
            origin: Origin::Both,
            instead: "",
            status: Status::Works,
            examples: &[],
        }
    }

    pub(super) const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    pub(super) const fn kamal1(self, instead: &'static str) -> Self {
        Self { origin: Origin::Kamal1, instead, ..self }
    }

    pub(super) const fn kamal2(self, instead: &'static str) -> Self {
        Self { origin: Origin::Kamal2, instead, ..self }
    }

    /// Marks a key that neither Kamal has.
    pub(super) const fn ours(self) -> Self {
        Self { origin: Origin::Bowline, ..self }
    }

    pub(super) const fn no_effect(self, why: &'static str) -> Self {
        Self { status: Status::NoEffect(why), ..self }
    }

    pub(super) const fn not_yet(self, refused: &'static str) -> Self {
        Self { status: Status::NotYet(refused), ..self }
    }

    pub(super) const fn examples(self, examples: &'static [&'static str]) -> Self {
        Self { examples, ..self }
    }

    /// Valid values: its own examples, or those of its form, if any.
    pub(super) fn values(&self) -> Vec<String> {
        match self.examples {
            [] => self.form.values(),
            examples => examples.iter().map(|example| (*example).to_owned()).collect(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Both,
    Kamal1,
    Kamal2,
    Bowline,
}

/// Whether a key takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Works,
    /// Accepted and ignored, for this reason.
    NoEffect(&'static str),
    /// Checked and shown, but not implemented yet. Says what happens instead.
    NotYet(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// Any scalar, as text.
    Text,
    /// A text that isn't empty.
    Filled,
    /// Text that [`Like::reads`] accepts.
    Like(&'static Like),
    Word(&'static [&'static str]),
    /// Any text that isn't blank. These are the usual values, which Bowline suggests for near misses.
    Usual(&'static [&'static str]),
    Boolean,
    /// An empty value.
    Nothing,
    False,
    Integer(i64, i64),
    /// Whole seconds, at least this many, at most a day.
    Seconds(i64),
    Port,
    /// A text, or a list with the name of one secret.
    Credential,
    List(&'static Form),
    /// A map whose keys are the user's own names, and a placeholder for these names in the docs.
    Map(&'static str, &'static Form),
    /// Like [`Form::Map`], with exactly one entry.
    One(&'static str, &'static Form),
    /// A map with known keys.
    Keys(&'static Keys),
    /// A map with known keys if it has one of them; otherwise the other form.
    KeysOr(&'static Keys, &'static Form),
    /// The first form that matches a value.
    Either(&'static [Form]),
    /// Known but not allowed here, for this reason. As the last of several forms: the message for a value that matches none.
    Refused(&'static str),
}

/// A text format.
#[derive(Debug)]
pub(super) struct Like {
    /// Completes the message `should be …`.
    pub(super) wanted: &'static str,
    pub(super) help: &'static str,
    pub(super) reads: fn(&str) -> bool,
    /// The same check as a regular expression, for the schema.
    pub(super) pattern: &'static str,
    /// Valid words, to suggest for near misses.
    pub(super) words: &'static [&'static str],
    pub(super) examples: &'static [&'static str],
}

pub(super) const TEXTS: Form = Form::Map("NAME", &Form::Text);
pub(super) const LIST: Form = Form::List(&Form::Filled);
/// Command-line flags: a value, several, or `true` for the bare flag.
pub(super) const OPTIONS: Form = Form::Map("NAME", &Form::Either(&[Form::Text, Form::List(&Form::Text)]));
/// A port, optionally in quotes, as Kamal's documentation writes it.
pub(super) const QUOTABLE_PORT: Form = Form::Either(&[Form::Port, Form::Like(&PORT_IN_QUOTES)]);
const PORT_IN_QUOTES: Like = Like {
    wanted: "an integer",
    help: "a number from 1 to 65535",
    reads: |text| text.parse::<u16>().is_ok_and(|port| port > 0),
    pattern: "^[0-9]{1,5}$",
    words: &[],
    examples: &["\"8080\""],
};
/// A number of bytes or a count.
pub(super) const COUNT: Form = Form::Integer(0, i64::MAX);

pub(super) const A_DAY: i64 = 86_400;

impl Form {
    /// The expected kind of value.
    pub(super) fn wanted(&self) -> String {
        let forms: Vec<&Form> = match self {
            Form::Either(forms) => forms.iter().collect(),
            form => vec![form],
        };
        let forms = forms.into_iter().filter(|form| !matches!(form, Form::Refused(_)));
        unique(forms.map(Form::kind)).join(" or ")
    }

    fn kind(&self) -> &'static str {
        match self {
            Form::Text | Form::Filled | Form::Word(_) | Form::Usual(_) => "a string",
            Form::Like(like) => like.wanted,
            Form::Boolean => "a boolean",
            Form::Nothing => "empty",
            Form::False => "false",
            Form::Integer(..) | Form::Seconds(_) | Form::Port => "an integer",
            Form::Credential => "a string or a list with the name of one secret",
            Form::List(_) => "a list",
            Form::Map(..) | Form::One(..) | Form::Keys(_) | Form::KeysOr(..) => "a map",
            Form::Either(forms) => forms.first().map_or("", Form::kind),
            Form::Refused(_) => "absent",
        }
    }

    fn values(&self) -> Vec<String> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        match self {
            Form::Boolean => texts(&["true", "false"]),
            Form::Integer(least, _) => vec![(*least).max(3).to_string()],
            Form::Seconds(least) => vec![(*least).max(17).to_string()],
            Form::Port => texts(&["8080"]),
            Form::Word(words) | Form::Usual(words) => texts(words),
            Form::Like(like) => texts(like.examples),
            _ => Vec::new(),
        }
    }

    pub(super) fn likes(&self) -> impl Iterator<Item = &'static Like> {
        let forms = match self {
            Form::Either(forms) => forms,
            form => std::slice::from_ref(form),
        };
        forms.iter().filter_map(|form| match form {
            Form::Like(like) => Some(*like),
            _ => None,
        })
    }

    /// The sections in it, with the path to each.
    pub(super) fn sections(&self) -> Vec<(String, &'static Keys)> {
        match self {
            Form::Keys(keys) => vec![(String::new(), keys)],
            Form::KeysOr(keys, form) => [(String::new(), *keys)].into_iter().chain(form.sections()).collect(),
            Form::Map(name, form) | Form::One(name, form) => {
                form.sections().into_iter().map(|(path, keys)| (below(name, &path), keys)).collect()
            }
            Form::List(form) => form.sections(),
            Form::Either(forms) => forms.iter().flat_map(Form::sections).collect(),
            _ => Vec::new(),
        }
    }
}

/// Every section with each of its paths, the root first, each followed by the sections in it.
pub(super) fn sections(root: &'static Keys) -> Vec<(String, &'static Keys)> {
    let mut found = vec![(String::new(), root)];
    for setting in root.settings {
        for (path, keys) in setting.form.sections() {
            let here = below(setting.name, &path);
            found.extend(sections(keys).into_iter().map(|(path, keys)| (below(&here, &path), keys)));
        }
    }
    found
}

fn below(name: &str, path: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{name}/{path}") }
}
