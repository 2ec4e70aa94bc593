//! The documentation of the configuration, printed from the tables: a page of Markdown, or a section in a terminal.

use std::fmt::Write as _;

use super::decode::join;
use super::describe::{Form, Keys, Origin, Setting, Status, sections};
use super::pairs::unique;
use super::root;
use super::suggest::nearest;

mod markdown;
mod plain;
mod terminal;

pub use markdown::page;

/// Parts of the page that don't describe a section.
const TOPICS: &[(&str, &str)] = &[
    ("assets", include_str!("docs/assets.md")),
    ("destinations", include_str!("docs/destinations.md")),
    ("templates", include_str!("docs/templates.md")),
    ("aliases", include_str!("docs/aliases.md")),
    ("secrets", include_str!("docs/secrets.md")),
    ("hooks", include_str!("docs/hooks.md")),
];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no section `{name}`")]
pub struct Unknown {
    pub name: String,
    pub hint: String,
}

/// Documents a section, key or topic (`proxy`, `proxy/run`, `boot/limit`, `hooks`) as text for a terminal of this
/// width. Without a name, documents the keys of the root and lists the sections.
///
/// # Errors
/// The name is unknown. The hint suggests the nearest name and lists all of them.
pub fn text(name: Option<&str>, columns: usize) -> Result<String, Unknown> {
    let Some(name) = name.map(|name| name.trim_matches('/')).filter(|name| !name.is_empty()) else {
        return Ok(terminal::overview(columns));
    };
    let keys = all();
    if let Some((_, text)) = TOPICS.iter().find(|(topic, _)| *topic == name) {
        return Ok(terminal::topic(name, text, columns));
    }
    let within: Vec<&Keys> =
        keys.iter().copied().filter(|keys| !keys.path.is_empty() && is_within(keys.path, name)).collect();
    if !within.is_empty() {
        return Ok(terminal::sections(&within, columns));
    }
    let (section, key) = name.rsplit_once('/').unwrap_or(("", name));
    let setting = keys
        .iter()
        .filter(|keys| is_named(keys.path, section))
        .find_map(|keys| keys.get(key).map(|setting| (*keys, setting)));
    if let Some((keys, setting)) = setting {
        return Ok(terminal::key(keys, setting, columns));
    }
    let documented = users(name).and_then(|documented| text(Some(&documented), columns).ok());
    documented.ok_or_else(|| unknown(name))
}

/// The documented name of a path with the user's own names: `servers/ROLE` of `servers/web`.
fn users(name: &str) -> Option<String> {
    let fits = |path: &str, name: &str| {
        let placeholder = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase());
        path.split('/').count() == name.split('/').count()
            && path.split('/').zip(name.split('/')).all(|(part, own)| part == own || placeholder(part))
    };
    let all = sections(&root::KEYS);
    let (section, key) = name.rsplit_once('/')?;
    let whole = all.iter().find(|(path, _)| fits(path, name)).map(|(_, keys)| keys.path.to_owned());
    let one = || {
        let (_, keys) = all.iter().find(|(path, keys)| fits(path, section) && keys.get(key).is_some())?;
        Some(join(keys.path, key))
    };
    // An entry of a map, such as a variable of `env/clear`.
    let map = || {
        let (above, key) = section.rsplit_once('/').unwrap_or(("", section));
        let (_, keys) = all.iter().find(|(path, _)| fits(path, above))?;
        let setting = keys.get(key).filter(|setting| takes_names(&setting.form))?;
        Some(join(keys.path, setting.name))
    };
    whole.or_else(one).or_else(map).filter(|documented| documented != name)
}

/// Whether a value can be a map whose keys are the user's own names.
fn takes_names(form: &Form) -> bool {
    match form {
        Form::Map(..) => true,
        Form::KeysOr(_, other) => takes_names(other),
        Form::Either(forms) => forms.iter().any(takes_names),
        _ => false,
    }
}

/// A section, key or topic that [`find`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name to pass to [`text`].
    pub name: String,
    pub what: String,
}

/// Finds the keys, sections and topics that contain all of these words. Those with all words in their name come first.
pub fn find(words: &[&str]) -> Vec<Found> {
    let has = |text: &str| mentions(text, words);
    let mut found = Vec::new();
    for keys in all() {
        if !keys.path.is_empty() && has(&format!("{} {} {}", keys.path, keys.intro, keys.notes)) {
            found.push(Found { name: keys.path.into(), what: first_line(keys.intro) });
        }
        for setting in described(keys) {
            let name = join(keys.path, setting.name);
            if has(&format!("{name} {} {}", setting.what, setting.default)) {
                found.push(Found { name, what: first_line(setting.what) });
            }
        }
    }
    for (topic, text) in TOPICS.iter().filter(|(topic, text)| has(&format!("{topic} {text}"))) {
        found.push(Found { name: (*topic).into(), what: first_line(text) });
    }
    found.sort_by_key(|one| !has(&one.name));
    found
}

/// Whether a text has all of these words, at least as the beginnings of its own words.
pub fn mentions(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    let begins = |at: usize| {
        text.get(..at).and_then(|before| before.chars().next_back()).is_none_or(|c| !c.is_alphanumeric())
    };
    words.iter().all(|word| text.match_indices(&word.to_lowercase()).any(|(at, _)| begins(at)))
}

/// The first sentence, as plain text.
fn first_line(text: &str) -> String {
    let text = unlinked(text);
    let paragraph = text
        .trim()
        .split("\n\n")
        .find(|part| !part.starts_with("```"))
        .unwrap_or_default()
        .replace('\n', " ");
    paragraph.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

fn unknown(name: &str) -> Unknown {
    let names = names();
    let hint = match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? The sections are: {}", names.join(", ")),
        None => {
            format!("the sections are: {}; a key is named by its path, such as boot/limit", names.join(", "))
        }
    };
    Unknown { name: name.into(), hint }
}

fn names() -> Vec<String> {
    let sections = all().into_iter().map(|keys| keys.path.to_owned()).filter(|path| !path.is_empty());
    sections.chain(TOPICS.iter().map(|(topic, _)| (*topic).to_owned())).collect()
}

/// Whether a name means this section. Placeholders such as `ROLE` can be left out.
fn is_named(path: &str, name: &str) -> bool {
    let bare = |path: &str| {
        let parts = path.split('/').filter(|part| !part.chars().all(|c| c.is_ascii_uppercase()));
        parts.collect::<Vec<_>>().join("/")
    };
    path.eq_ignore_ascii_case(name) || bare(path) == name
}

/// Whether a section has this name or is inside the section that has it.
fn is_within(path: &str, name: &str) -> bool {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.filter_map(|end| path.get(..end)).any(|prefix| is_named(prefix, name))
}

/// Every section once, the root first, then in the order of the root's keys.
fn all() -> Vec<&'static Keys> {
    let mut found: Vec<&'static Keys> = Vec::new();
    let mut sections = sections(&root::KEYS);
    // A section may have keys at its own path that it lacks elsewhere, such as the tags of the root env.
    sections.sort_by_key(|(path, keys)| path != keys.path);
    for (_, keys) in sections {
        if !found.iter().any(|known| known.path == keys.path) {
            found.push(keys);
        }
    }
    let top = |keys: &Keys| keys.path.split('/').next().unwrap_or_default();
    let place = |keys: &Keys| root::KEYS.settings.iter().position(|setting| setting.name == top(keys));
    found.sort_by_key(|keys| place(keys));
    found
}

/// The keys of a section, without those that it refuses.
fn described(keys: &'static Keys) -> impl Iterator<Item = &'static Setting> {
    keys.settings.iter().filter(|setting| !matches!(setting.form, Form::Refused(_)))
}

fn kind(form: &Form) -> String {
    match form {
        Form::Text | Form::Filled | Form::Like(_) | Form::Usual(_) => "text".into(),
        Form::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Form::Boolean => "boolean".into(),
        Form::Nothing => "nothing".into(),
        Form::False => "`false`".into(),
        Form::Integer(..) => "number".into(),
        Form::Seconds(_) => "seconds".into(),
        Form::Port => "port".into(),
        Form::Credential => "text, or a list of one".into(),
        Form::List(_) => "list".into(),
        Form::Map(..) | Form::One(..) | Form::Keys(_) | Form::KeysOr(..) => "map".into(),
        Form::Either(forms) => {
            let forms = forms.iter().filter(|form| !matches!(form, Form::Refused(_)));
            unique(forms.map(kind)).join(" or ")
        }
        Form::Refused(_) => String::new(),
    }
}

/// Which Kamal has a key, and what the other one has instead.
fn origin(setting: &Setting) -> Option<String> {
    let (own, other) = match setting.origin {
        Origin::Both => return None,
        Origin::Bowline => return Some("Bowline only".into()),
        Origin::Kamal1 => ("Kamal 1", "Kamal 2"),
        Origin::Kamal2 => ("Kamal 2", "Kamal 1"),
    };
    let mut text = format!("{own} only");
    if !setting.instead.is_empty() {
        let quote = if setting.instead.contains(' ') { "" } else { "`" };
        let _ = write!(text, " ({other}: {quote}{}{quote})", setting.instead);
    }
    Some(text)
}

/// The status of a whole section, unless the enclosing section has the same one.
fn section_status(keys: &Keys) -> Option<String> {
    let around = keys.path.rsplit_once('/').map(|(around, _)| around);
    let said = all().iter().any(|other| Some(other.path) == around && other.status == keys.status);
    status(keys.status).filter(|_| !said)
}

/// A note for keys and sections that are ignored or not implemented.
fn status(status: Status) -> Option<String> {
    match status {
        Status::Works => None,
        Status::NoEffect(why) => Some(format!("ignored: {why}")),
        Status::NotYet(refused) => Some(format!("not implemented yet: {refused}")),
    }
}

/// The note of a key, unless its whole section has the same one.
fn own_status(keys: &Keys, setting: &Setting) -> Option<String> {
    status(setting.status).filter(|_| setting.status != keys.status)
}

/// Replaces the links by their names, for output in which links can't be followed.
pub(super) fn unlinked(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, name, after)) = next_link(rest) {
        plain.push_str(before);
        plain.push_str(name);
        rest = after;
    }
    plain + rest
}

fn next_link(text: &str) -> Option<(&str, &str, &str)> {
    let (head, tail) = text.split_once("](")?;
    let (before, name) = head.rsplit_once('[')?;
    let (_, after) = tail.split_once(')')?;
    Some((before, name, after))
}
