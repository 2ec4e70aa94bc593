//! Sections and keys as text for a terminal.

use std::fmt::Write as _;

use super::super::describe::{Keys, Setting};
use super::super::root;
use super::plain::plain;
use super::{described, kind, names, origin, own_status, section_status, unlinked};

/// Narrower text is unreadable.
const LEAST: usize = 40;

/// The keys of the root, and the names of the sections.
pub(super) fn overview(columns: usize) -> String {
    let mut text = String::from("The keys at the root of config/deploy.yml:\n\n");
    described(&root::KEYS).for_each(|setting| entry(&mut text, &root::KEYS, setting, columns, false));
    let _ = write!(text, "\nSections (`bowline docs NAME`):\n\n");
    text.push_str(&indented(&names().join(", "), 2, columns));
    text.push_str("\nA key's path shows the key: `bowline docs boot/limit`.\n");
    text
}

pub(super) fn sections(sections: &[&'static Keys], columns: usize) -> String {
    let mut text = String::new();
    for keys in sections {
        let _ = write!(text, "{}{}\n\n", if text.is_empty() { "" } else { "\n" }, keys.path);
        for prose in [keys.intro.to_owned(), section_status(keys).unwrap_or_default()] {
            if !prose.is_empty() {
                let _ = writeln!(text, "{}", indented(&prose, 2, columns));
            }
        }
        described(keys).for_each(|setting| entry(&mut text, keys, setting, columns, false));
        if !keys.notes.is_empty() {
            let _ = write!(text, "\n{}", indented(keys.notes, 2, columns));
        }
    }
    text
}

pub(super) fn key(keys: &Keys, setting: &Setting, columns: usize) -> String {
    let mut text = match keys.path {
        "" => String::new(),
        path => format!("{path}\n\n"),
    };
    entry(&mut text, keys, setting, columns, true);
    text
}

pub(super) fn topic(name: &str, text: &str, columns: usize) -> String {
    format!("{name}\n\n{}\n", indented(text, 2, columns).trim_end())
}

fn entry(text: &mut String, keys: &Keys, setting: &Setting, columns: usize, examples: bool) {
    let mut facts = vec![kind(&setting.form)];
    if !setting.default.is_empty() {
        facts.push(match setting.default.starts_with("required") {
            true => setting.default.to_owned(),
            false => format!("default: {}", setting.default),
        });
    }
    facts.extend(origin(setting));
    let _ = writeln!(text, "  {}  {}", setting.name, facts.join(" · "));
    text.push_str(&indented(setting.what, 6, columns));
    if let Some(status) = own_status(keys, setting) {
        text.push_str(&indented(&status, 6, columns));
    }
    if examples && !setting.values().is_empty() {
        let _ = writeln!(text);
        for example in setting.values() {
            let _ = writeln!(text, "      {}: {example}", setting.name);
        }
    }
}

fn indented(text: &str, indent: usize, columns: usize) -> String {
    let text = plain(&unlinked(text), columns.max(LEAST) - indent);
    let line = |line: &str| match line.is_empty() {
        true => "\n".to_owned(),
        false => format!("{:indent$}{line}\n", ""),
    };
    text.lines().map(line).collect()
}
