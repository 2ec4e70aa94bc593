//! What somebody who wrote an unknown key, or an unknown word, has probably meant.

use super::describe::{Form, Keys, sections};
use super::root;
use super::shape::join;

/// Places listed for a key that stands at the wrong one.
const PLACES: usize = 4;

/// What to do about an unknown key: the right name, the right place, or where to look.
pub(super) fn key(path: &str, name: &str, keys: &Keys) -> String {
    if let Some((_, right)) = keys.slips.iter().find(|(slip, _)| *slip == name) {
        return format!("did you mean `{right}`?");
    }
    if name.starts_with("x-") {
        return "keys that begin with `x-` are left alone at the root only".into();
    }
    if let Some(belongs) = elsewhere(name) {
        return belongs;
    }
    match nearest(name, keys.settings.iter().map(|setting| setting.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if keys.settings.len() <= 8 => {
            let names: Vec<&str> = keys.settings.iter().map(|setting| setting.name).collect();
            format!("there are: {}", names.join(", "))
        }
        None if path.is_empty() => "`bowline docs` lists the keys".into(),
        None => format!("`bowline docs {}` lists the keys", keys.path),
    }
}

/// The places where this key would be known.
fn elsewhere(name: &str) -> Option<String> {
    let known = |keys: &Keys| keys.get(name).is_some_and(|setting| !matches!(setting.form, Form::Refused(_)));
    let mut paths: Vec<String> =
        sections(&root::KEYS).into_iter().filter(|(_, keys)| known(keys)).map(|(path, _)| path).collect();
    paths.sort_by_key(|path| path.matches('/').count());
    let mut places: Vec<String> = paths
        .iter()
        .map(|path| match path.is_empty() {
            true => format!("`{name}` at the root"),
            false => format!("`{}`", join(path, name)),
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

/// The known word nearest to a mistyped one, if it is near at all.
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

/// `` `a`, `b` or `c` ``.
pub(super) fn quoted(words: &[&str], last: &str) -> String {
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
