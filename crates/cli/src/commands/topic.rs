//! Finds help by any word, in the help of commands and in the documentation of the configuration.

use std::collections::BTreeSet;
use std::ffi::OsString;

use bowline_config::docs;
use clap::builder::StyledStr;
use clap::{Arg, Command};

use super::docs::columns;
use crate::alias;
use crate::args::{self, is_shown};
use crate::exit;
use crate::ui::{clean, out};

const MOST: usize = 30;

/// `bowline help WORD…` for words that are not a command: shows a section of the configuration's documentation, an
/// alias, or the places that mention the words. Returns `None` if there are none.
pub(crate) fn help(words: &[OsString]) -> Option<u8> {
    let [_, help, wanted @ ..] = words else { return None };
    if *help != "help" {
        return None;
    }
    let wanted: Vec<&str> =
        wanted.iter().filter_map(|word| word.to_str()).filter(|word| !word.starts_with('-')).collect();
    let name = wanted.join("/");
    if let Ok(text) = docs::text(Some(&name).filter(|name| !name.is_empty()).map(String::as_str), columns()) {
        out::stdout([text.trim_end()]);
        return Some(exit::DONE);
    }
    if let Some(text) = alias::text(&name) {
        out::stdout([format!("`{name}` is an alias: {}", clean::line(&text))]);
        return Some(exit::DONE);
    }
    let lines = places(&wanted.join(" "))?;
    out::stdout([format!("`{}` is mentioned in:", clean::line(&wanted.join(" ")))]);
    out::stdout(lines);
    Some(exit::DONE)
}

/// The places that mention these words, one per line, each with the command that shows it. `None` if there are none.
pub(super) fn places(text: &str) -> Option<Vec<String>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() {
        return None;
    }
    let mut root = args::command();
    root.build();
    let mut places = Vec::new();
    if written(&root, "exit codes", |_| true, &words) {
        let what = "The commands, the global flags and the exit codes".to_owned();
        places.push(("bowline help".to_owned(), what));
    }
    commands(&root, &words, &mut places);
    places.sort_by_key(|(command, _)| !docs::mentions(command, &words));
    let found =
        docs::find(&words).into_iter().map(|found| (format!("bowline docs {}", found.name), found.what));
    places.extend(found);
    // A section and its key at the root have the same name.
    let mut seen = BTreeSet::new();
    places.retain(|(command, _)| seen.insert(command.clone()));
    let more = places.len().saturating_sub(MOST);
    places.truncate(MOST);
    let width = places.iter().map(|(command, _)| command.len()).max()?;
    let columns = columns();
    let mut lines: Vec<String> = places
        .iter()
        .map(|(command, what)| {
            let line = format!("  {command:width$}  {what}");
            match line.char_indices().nth(columns) {
                Some((at, _)) => format!("{}…", line.get(..at.saturating_sub(3)).unwrap_or(&line).trim_end()),
                None => line,
            }
        })
        .collect();
    if more > 0 {
        lines.push(format!("  … and {more} more: add a word"));
    }
    Some(lines)
}

fn commands(command: &Command, words: &[&str], places: &mut Vec<(String, String)>) {
    // The examples of `docs` mention all kinds of words.
    let searched = |below: &&Command| is_shown(below) && below.get_name() != "docs";
    for below in command.get_subcommands().filter(searched) {
        let name = below.get_bin_name().unwrap_or_default().replacen("bowline ", "bowline help ", 1);
        let about = below.get_about().map(ToString::to_string).unwrap_or_default();
        if written(below, &name, |flag| !flag.is_global_set(), words) {
            places.push((name, about.trim_end_matches('.').to_owned()));
        }
        commands(below, words, places);
    }
}

/// Whether a command's help contains all these words, in its own text or in that of the selected flags.
fn written(command: &Command, name: &str, flags: impl Fn(&Arg) -> bool, words: &[&str]) -> bool {
    let said = |text: Option<&StyledStr>| text.map(ToString::to_string).unwrap_or_default();
    let flags = command.get_arguments().filter(|flag| flags(flag) && !flag.is_hide_set());
    let flags =
        flags.map(|flag| format!("--{} {}", flag.get_long().unwrap_or_default(), said(flag.get_help())));
    let flags: Vec<String> = flags.collect();
    let (about, after) = (said(command.get_about()), said(command.get_after_help()));
    docs::mentions(&format!("{name} {about} {after} {}", flags.join(" ")), words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(text: &str, begins: &str) {
        let places = places(text).unwrap();
        assert!(
            places.iter().any(|line| line.trim_start().starts_with(begins)),
            "{begins} is not in {places:#?}"
        );
    }

    #[test]
    fn any_word_leads_somewhere() {
        says("drain", "bowline docs drain_timeout ");
        says("Certificate", "bowline docs proxy/ssl ");
        says("lock", "bowline help lock status ");
        says("known_hosts", "bowline help doctor ");
        says("builder arch", "bowline docs builder/arch ");
        says("exit codes", "bowline help ");
        says("lock-wait", "bowline help ");
        says("rolling", "bowline help proxy reboot ");
        assert_eq!(places("zeppelin"), None);
        assert_eq!(places("ownload"), None, "a part of a word");
        assert_eq!(places(" "), None);
    }

    #[test]
    fn what_is_in_a_name_comes_first_and_no_line_is_too_long() {
        let places = places("rollback").unwrap();
        assert!(places[0].trim_start().starts_with("bowline help rollback "), "{places:#?}");
        assert!(places.iter().all(|line| line.chars().count() <= columns()), "{places:#?}");
    }

    #[test]
    fn help_on_a_section_shows_it() {
        let help = |line: &str| help(&line.split(' ').map(Into::into).collect::<Vec<_>>());
        assert_eq!(help("bowline help hooks"), Some(exit::DONE));
        assert_eq!(help("bowline help zeppelin"), None);
        assert_eq!(help("bowline deplyo"), None);
    }
}
