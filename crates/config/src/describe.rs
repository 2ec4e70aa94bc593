//! The configuration language, described once: every section, every key, its values, and what it does.
//!
//! Each table stands next to the decoder of its section. Everything else derives from the tables: `shape` checks files
//! against them, `docs` prints them, `schema` turns them into a JSON Schema, and the tests go through them row by row. So a
//! key that isn't in a table doesn't exist, and one that is in a table can't be forgotten anywhere.

use super::pairs::once;

#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    /// Where such a section stands: `proxy/run`, `servers/ROLE`; empty for the root. Capitals are names of one's own.
    pub(super) path: &'static str,
    /// What it is for, in Markdown.
    pub(super) intro: &'static str,
    pub(super) settings: &'static [Setting],
    /// What there is to say beyond single keys, in Markdown.
    pub(super) notes: &'static str,
    /// Names that people write for the right one.
    pub(super) slips: &'static [(&'static str, &'static str)],
    /// What comes of all of its keys, where a key's own status doesn't say otherwise.
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

    /// For a part that isn't built yet.
    pub(super) const fn not_yet(self, refused: &'static str) -> Self {
        Self { status: Status::NotYet(refused), ..self }
    }

    /// All of it is accepted, and nothing comes of it.
    pub(super) const fn no_effect(self, why: &'static str) -> Self {
        Self { status: Status::NoEffect(why), ..self }
    }

    pub(super) fn status_of(&self, setting: &Setting) -> Status {
        if setting.status == Status::Works { self.status } else { setting.status }
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
    /// What holds without it, in Markdown; empty if that is nothing.
    pub(super) default: &'static str,
    pub(super) origin: Origin,
    /// What the other Kamal has in its place.
    pub(super) instead: &'static str,
    pub(super) status: Status,
    /// Values it takes, as YAML, one for each form. Where there are none the form has some of its own.
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

    /// Only Kamal 1 knows it.
    pub(super) const fn kamal1(self, instead: &'static str) -> Self {
        Self { origin: Origin::Kamal1, instead, ..self }
    }

    /// Only Kamal 2 knows it.
    pub(super) const fn kamal2(self, instead: &'static str) -> Self {
        Self { origin: Origin::Kamal2, instead, ..self }
    }

    /// No Kamal knows it.
    pub(super) const fn ours(self) -> Self {
        Self { origin: Origin::Bowline, ..self }
    }

    /// Accepted, and nothing comes of it.
    pub(super) const fn no_effect(self, why: &'static str) -> Self {
        Self { status: Status::NoEffect(why), ..self }
    }

    /// Checked and shown, for a part that isn't built yet.
    pub(super) const fn not_yet(self, refused: &'static str) -> Self {
        Self { status: Status::NotYet(refused), ..self }
    }

    pub(super) const fn examples(self, examples: &'static [&'static str]) -> Self {
        Self { examples, ..self }
    }

    /// Values that it takes: its own examples, or those of its form; perhaps none.
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

/// What comes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Works,
    /// Nothing; and why.
    NoEffect(&'static str),
    /// Nothing yet; and which commands refuse it.
    NotYet(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// Any scalar, as text.
    Text,
    /// A text with something in it.
    Filled,
    /// A text that a function can read.
    Like(&'static Like),
    Word(&'static [&'static str]),
    /// Any text; these are usual, and near misses are pointed at.
    Usual(&'static [&'static str]),
    Boolean,
    /// No value at all.
    Nothing,
    False,
    Integer(i64, i64),
    /// Whole seconds, at least so many, at most a day.
    Seconds(i64),
    Port,
    /// A text, or a list with the name of one secret.
    Credential,
    List(&'static Form),
    /// A map from names of one's own, which the placeholder stands for.
    Map(&'static str, &'static Form),
    /// The same with exactly one entry.
    One(&'static str, &'static Form),
    /// A map with known keys.
    Keys(&'static Keys),
    /// A map with known keys if one of them is there; otherwise the other form.
    KeysOr(&'static Keys, &'static Form),
    /// The first of them that a value fits.
    Either(&'static [Form]),
    /// Known, and not allowed here; why. Last of several forms: what to say of a value that none fits.
    Refused(&'static str),
}

/// A kind of text.
#[derive(Debug)]
pub(super) struct Like {
    /// What it should be: `should be a duration`.
    pub(super) wanted: &'static str,
    pub(super) help: &'static str,
    pub(super) reads: fn(&str) -> bool,
    /// The same as a regular expression, for the schema.
    pub(super) pattern: &'static str,
    /// Words among the accepted texts, for near misses.
    pub(super) words: &'static [&'static str],
    pub(super) examples: &'static [&'static str],
}

pub(super) const TEXTS: Form = Form::Map("NAME", &Form::Text);
pub(super) const LIST: Form = Form::List(&Form::Filled);
/// Flags for a command line: a value, several, or `true` for the bare flag.
pub(super) const OPTIONS: Form = Form::Map("NAME", &Form::Either(&[Form::Text, Form::List(&Form::Text)]));
/// A port that Kamal's own documentation writes in quotes.
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
    /// What a value of another kind should be, in Kamal's words.
    pub(super) fn wanted(&self) -> String {
        let forms: Vec<&Form> = match self {
            Form::Either(forms) => forms.iter().collect(),
            form => vec![form],
        };
        let forms = forms.into_iter().filter(|form| !matches!(form, Form::Refused(_)));
        once(forms.map(Form::kind)).join(" or ")
    }

    fn kind(&self) -> &'static str {
        match self {
            Form::Text | Form::Filled | Form::Word(_) | Form::Usual(_) => "a string",
            Form::Like(like) => like.wanted,
            Form::Boolean => "a boolean",
            Form::Nothing => "empty",
            Form::False => "false",
            Form::Integer(..) | Form::Seconds(_) | Form::Port => "an integer",
            Form::Credential => "a string or an array with one string (for secret lookup)",
            Form::List(_) => "an array",
            Form::Map(..) | Form::One(..) | Form::Keys(_) | Form::KeysOr(..) => "a hash",
            Form::Either(forms) => forms.first().map_or("", Form::kind),
            Form::Refused(_) => "absent",
        }
    }

    /// Values that any key of such a form takes.
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

    /// The kinds of text that it is, or may be.
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

    /// The sections within, with the path from here to each.
    pub(super) fn sections(&self) -> Vec<(String, &'static Keys)> {
        let below = |name: &str, form: &Form| {
            let longer = |(path, keys): (String, &'static Keys)| match path.is_empty() {
                true => (name.to_owned(), keys),
                false => (format!("{name}/{path}"), keys),
            };
            form.sections().into_iter().map(longer).collect()
        };
        match self {
            Form::Keys(keys) => vec![(String::new(), keys)],
            Form::KeysOr(keys, form) => {
                let mut sections = vec![(String::new(), *keys)];
                sections.extend(form.sections());
                sections
            }
            Form::Map(name, form) | Form::One(name, form) => below(name, form),
            Form::List(form) => form.sections(),
            Form::Either(forms) => forms.iter().flat_map(Form::sections).collect(),
            _ => Vec::new(),
        }
    }
}

/// Every section with every path at which it stands, the root first, each followed by those within it.
pub(super) fn sections(root: &'static Keys) -> Vec<(String, &'static Keys)> {
    let mut found = vec![(String::new(), root)];
    for setting in root.settings {
        for (path, keys) in setting.form.sections() {
            let here = match path.is_empty() {
                true => setting.name.to_owned(),
                false => format!("{}/{path}", setting.name),
            };
            found.extend(sections(keys).into_iter().map(|(path, keys)| match path.is_empty() {
                true => (here.clone(), keys),
                false => (format!("{here}/{path}"), keys),
            }));
        }
    }
    found
}
