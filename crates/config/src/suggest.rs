//! Suggestions for unknown keys and words.

use std::fmt;

use super::describe::{Form, Keys, Origin, Setting, sections};
use super::given::given;

/// What to write instead of the shell's `$NAME` or `${NAME}` in this text.
pub(super) fn variable_help(text: &str) -> String {
    let named = text.split_once('$').map_or("", |(_, rest)| rest.trim_start_matches('{'));
    let end = named.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(named.len());
    let name = named.get(..end).filter(|name| !name.is_empty()).unwrap_or("NAME");
    format!("a variable of your environment is written `<%= ENV[\"{}\"] %>`", given(name))
}

/// Keys that users put in the wrong section: the section, the key, and the advice.
const ADVICE: &[(&str, &str, &str)] = &[
    (
        "",
        "hooks",
        "hooks are programs in `.kamal/hooks`, named after the moment: `.kamal/hooks/pre-deploy` (`bowline docs hooks`)",
    ),
    ("proxy", "host_port", "the port on the server is `http_port` of `proxy/run`"),
    ("proxy", "http_port", "this key belongs in `proxy/run`"),
    ("healthcheck", "cmd", "kamal-proxy runs no command: its check is a request, to `path`"),
];

/// How many places to list for a misplaced key.
const PLACES: usize = 4;

/// How to fix an unknown key: the right name, the right place below the root, or where to look.
pub(super) fn key(path: &str, name: &str, keys: &Keys, root: &'static Keys) -> String {
    if let Some(right) = slip(name, keys) {
        return format!("did you mean `{right}`?");
    }
    if name.starts_with("x-") {
        return "keys that start with `x-` are left alone at the root only".into();
    }
    let section = path.rsplit('/').next().unwrap_or_default();
    if let Some((_, _, advice)) = ADVICE.iter().find(|(at, key, _)| (*at, *key) == (section, name)) {
        return (*advice).to_owned();
    }
    if let Some(belongs) = elsewhere(path, name, keys, root) {
        return belongs;
    }
    match did_you_mean(name, keys.settings.iter().map(|setting| setting.name)) {
        Some(question) => question,
        None if keys.settings.len() <= 8 => {
            let names: Vec<&str> = keys.settings.iter().map(|setting| setting.name).collect();
            format!("the keys here are {}", quoted(&names, "and"))
        }
        None if path.is_empty() => "`bowline docs` lists the keys".into(),
        None => format!("`bowline docs {}` lists the keys", keys.path),
    }
}

/// The key that another name means without doubt: a common slip, or the same word in the plural or the singular.
pub(super) fn slip(name: &str, keys: &Keys) -> Option<&'static str> {
    let slip = keys.slips.iter().find(|(slip, _)| *slip == name).map(|(_, right)| *right);
    let number = |known: &str| known.strip_suffix('s') == Some(name) || name.strip_suffix('s') == Some(known);
    let allowed = |setting: &&Setting| !matches!(setting.form, Form::Refused(_));
    let mut names = keys.settings.iter().filter(allowed).map(|setting| setting.name);
    slip.or_else(|| names.find(|known| number(known)))
}

/// The places where this key is known, in sections that the Kamal of this path has. A key of a section inside another one is
/// rarely meant for a distant section, unless there is only one place for it.
fn elsewhere(path: &str, name: &str, keys: &Keys, root: &'static Keys) -> Option<String> {
    let known = |keys: &Keys| keys.get(name).is_some_and(|setting| !matches!(setting.form, Form::Refused(_)));
    let other = match generation(path, root) {
        Origin::Kamal1 => Origin::Kamal2,
        Origin::Kamal2 => Origin::Kamal1,
        _ => Origin::Bowline,
    };
    let mut paths: Vec<String> = sections(root)
        .into_iter()
        .filter(|(path, keys)| known(keys) && generation(path, root) != other)
        .map(|(path, _)| path)
        .collect();
    paths.sort_by_key(|path| path.matches('/').count());
    if let (Some(outer), true) = (keys.outer(), paths.len() > 1) {
        paths.retain(|other| other.is_empty() || other.split('/').any(|key| key == outer));
    }
    let mut places: Vec<String> = paths
        .iter()
        .map(|path| match path.is_empty() {
            true => format!("`{}` at the root", given(name)),
            false => format!("`{path}/{}`", given(name)),
        })
        .collect();
    let more = places.len().saturating_sub(PLACES);
    places.truncate(PLACES);
    match (places.as_slice(), more) {
        ([], _) => None,
        ([place], 0) => Some(format!("this key belongs elsewhere: {place}")),
        (places, 0) => Some(format!("this key belongs elsewhere: {}", or(places))),
        (places, _) => Some(format!("this key belongs elsewhere: {}, …", places.join(", "))),
    }
}

/// Which Kamal has the section at a path, according to the keys on the way.
fn generation(path: &str, root: &Keys) -> Origin {
    let origins = path.split('/').filter_map(|key| root.get(key)).map(|setting| setting.origin);
    origins.into_iter().find(|origin| *origin != Origin::Both).unwrap_or(Origin::Both)
}

/// The known word nearest to a mistyped one, if one is near enough.
pub(super) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .map(|candidate| {
            (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

pub(super) fn did_you_mean<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean `{}`?", given(near)))
}

/// `` `a`, `b` or `c` ``.
pub(super) fn quoted<T: fmt::Display>(words: &[T], last: &str) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((only, [])) => only.clone(),
        Some((end, before)) => format!("{} {last} {end}", before.join(", ")),
        None => String::new(),
    }
}

fn or(words: &[String]) -> String {
    match words.split_last() {
        Some((end, before)) if !before.is_empty() => format!("{} or {end}", before.join(", ")),
        _ => words.join(""),
    }
}
