//! The page: `docs/configuration.md`.

use std::fmt::Write as _;

use super::super::describe::{Keys, Setting, Status};
use super::super::root;
use super::{TOPICS, all, described, kind, origin, section_status, status};

/// Columns of a line of prose.
const COLUMNS: usize = 130;

pub fn page() -> String {
    let mut page = String::from(
        "# Configuration\n\n<!-- Made by `bowline docs --markdown`; the texts are in crates/config/src. -->\n\n",
    );
    // Writing to a String doesn't fail.
    let _ = write!(page, "{}\n\n## Root\n\n{}", root::KEYS.intro.trim_end(), table(&root::KEYS));
    for keys in all().into_iter().filter(|keys| !keys.path.is_empty()) {
        let _ = write!(page, "\n{} {}\n\n", "#".repeat(level(keys)), keys.path);
        for text in [keys.intro.to_owned(), section_status(keys).map(sentence).unwrap_or_default()] {
            if !text.is_empty() {
                let _ = write!(page, "{}\n\n", wrap(&text, COLUMNS));
            }
        }
        page.push_str(&table(keys));
        if !keys.notes.is_empty() {
            let _ = writeln!(page, "\n{}", wrap(keys.notes, COLUMNS));
        }
    }
    for (topic, text) in TOPICS {
        let _ = writeln!(page, "\n## {topic}\n\n{}", text.trim_end());
    }
    page
}

/// Sections within sections are a level deeper.
fn level(keys: &Keys) -> usize {
    let names = |part: &&str| !part.chars().all(|c| c.is_ascii_uppercase());
    if keys.path.split('/').filter(names).count() > 1 { 3 } else { 2 }
}

fn table(keys: &'static Keys) -> String {
    let mut table = String::from("| key | value | default | what |\n|---|---|---|---|\n");
    for setting in described(keys) {
        let cells = [
            format!("`{}`", setting.name),
            kind(&setting.form),
            setting.default.to_owned(),
            what(keys, setting),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    table
}

fn what(keys: &Keys, setting: &Setting) -> String {
    let mut text = setting.what.to_owned();
    let mut linked: Vec<&str> = Vec::new();
    for (_, section) in setting.form.sections() {
        if !linked.contains(&section.path) {
            linked.push(section.path);
            let _ = write!(text, " ([{}](#{}))", section.path, anchor(section.path));
        }
    }
    let own = if setting.status == keys.status { Status::Works } else { setting.status };
    for more in [origin(setting), status(own)].into_iter().flatten() {
        let _ = write!(text, ". {}", sentence(more).trim_end_matches('.'));
    }
    text
}

/// The anchor that a heading gets on the usual sites.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
}

fn sentence(text: String) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// Prose in lines of so many columns; what is fenced, indented, a table or a list stays as it is.
pub(super) fn wrap(text: &str, columns: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut fenced = false;
    for line in text.trim_end().lines() {
        let fence = line.starts_with("```");
        if fenced || fence || line.is_empty() || line.starts_with([' ', '-', '|', '#']) {
            lines.extend(filled(&std::mem::take(&mut paragraph), columns));
            lines.push(line.to_owned());
        } else {
            paragraph.extend(line.split(' '));
        }
        fenced ^= fence;
    }
    lines.extend(filled(&paragraph, columns));
    lines.join("\n")
}

fn filled(words: &[&str], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push((*word).to_owned()),
        }
    }
    lines
}
