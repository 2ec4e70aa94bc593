//! `aliases`: a project's own commands.
//!
//! Bowline looks an alias up before it reads the rest of the configuration, because the alias may select the destination. So
//! [`crate::aliases`] reads the aliases without checking them. Errors in them are reported when a command loads the
//! configuration.

use crate::Pairs;
use crate::decode::{Field, Report};
use crate::describe::Form;
use crate::diagnostic::Diagnostic;
use crate::given::given;
use crate::source::Key;
use crate::suggest::nearest;

pub(crate) const FORM: Form = Form::Map("NAME", &Form::Filled);

/// Kamal's commands, which Kamal also rejects as names of aliases.
const COMMANDS: &[&str] = &[
    "accessory",
    "app",
    "audit",
    "build",
    "config",
    "deploy",
    "details",
    "docs",
    "help",
    "init",
    "lock",
    "proxy",
    "prune",
    "redeploy",
    "registry",
    "remove",
    "rollback",
    "secrets",
    "server",
    "setup",
    "upgrade",
    "version",
];

pub fn suggestion<'a>(word: &str, aliases: &'a Pairs) -> Option<&'a str> {
    nearest(word, aliases.iter().map(|(name, _)| name.as_str()))
}

pub(crate) fn decode(field: &Field, report: &mut Report) -> Pairs {
    let entries = field.entries();
    let aliases: Pairs = entries.iter().filter_map(|(key, field)| one(key, field, report)).collect();
    let mut reported = Vec::new();
    for (key, field) in &entries {
        let Some(circle) =
            circle(&key.text, &aliases, &report.commands).filter(|_| !reported.contains(&key.text))
        else {
            continue;
        };
        let message = format!("is circular: {}", given(format!("{} → {}", circle.join(" → "), key.text)));
        let error = Diagnostic::error(key.span, field.says(&message));
        report.push(error.help("make one of them start with a command"));
        reported.extend(circle);
    }
    aliases
}

fn one(key: &Key, field: &Field, report: &mut Report) -> Option<(String, String)> {
    let name = key.text.as_str();
    let at_key = |message: &str| Diagnostic::error(key.span, field.says(message));
    if name.is_empty()
        || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
    {
        report.push(at_key("an alias's name can only include lower-case letters, digits, `-` and `_`"));
    } else if COMMANDS.contains(&name) {
        report.push(
            at_key(&format!("`{}` is already a command", given(name))).help("give the alias another name"),
        );
    } else if report.commands.contains(&key.text) {
        // Such an alias works in Kamal, so this is no error.
        let warning = Diagnostic::warning(key.span, field.says("this alias has no effect"));
        report.push(warning.label(format!("`{}` is one of Bowline's own commands", given(name))));
    }
    let command = field.text()?;
    if shlex::split(&command).is_none() {
        report.push(
            field.error("a quote in it is never closed").help("it is split into words as a shell does"),
        );
        return None;
    }
    Some((name.to_owned(), command))
}

/// The aliases in a loop that begins and ends at this one, if there is a loop.
fn circle(name: &str, aliases: &Pairs, own: &[String]) -> Option<Vec<String>> {
    let is_command = |word: &String| COMMANDS.contains(&word.as_str()) || own.contains(word);
    let mut way = vec![name.to_owned()];
    loop {
        let last = way.last()?;
        let (_, command) = aliases.iter().find(|(known, _)| known == last)?;
        let next = shlex::split(command)?.into_iter().next().filter(|word| !is_command(word))?;
        if next == *name {
            return Some(way);
        }
        if way.contains(&next) {
            return None;
        }
        way.push(next);
    }
}
