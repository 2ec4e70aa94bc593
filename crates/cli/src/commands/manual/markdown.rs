//! All commands as one page of Markdown: docs/commands.md.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::{After, after};
use crate::args::is_shown;

/// The page; `root` is built.
pub(super) fn page(root: &Command) -> String {
    let mut page = String::from(
        "# Commands\n\n<!-- Made by `bowline man --markdown`; the texts are in crates/cli/src/commands. -->\n",
    );
    about(root, &mut page);
    page.push_str("\n## Flags of every command\n\n");
    flags(root.get_arguments().filter(|arg| arg.is_global_set()), &mut page);
    for command in root.get_subcommands().filter(|sub| is_shown(sub)) {
        section(command, 2, &mut page);
    }
    page
}

fn section(command: &Command, depth: usize, page: &mut String) {
    let name = command.get_bin_name().unwrap_or_default();
    let _ = writeln!(page, "\n{} {}", "#".repeat(depth), name.trim_start_matches("bowline "));
    about(command, page);
    let own: Vec<&Arg> = command.get_arguments().filter(|arg| is_own(arg)).collect();
    if !own.is_empty() {
        let words = command.clone().render_usage().to_string();
        let _ = writeln!(page, "\n`{}`\n", words.trim_start_matches("Usage: "));
        flags(own.into_iter(), page);
    }
    for below in command.get_subcommands().filter(|sub| is_shown(sub)) {
        section(below, depth + 1, page);
    }
}

/// What it does, and what its help has after the flags: prose as it is, examples as code.
fn about(command: &Command, page: &mut String) {
    if let Some(about) = command.get_about() {
        let _ = writeln!(page, "\n{about}.");
    }
    for part in after(command) {
        let _ = match part {
            After::Prose(text) => writeln!(page, "\n{text}"),
            After::Examples(lines) => writeln!(page, "\n```sh\n{}\n```", lines.join("\n")),
        };
    }
}

fn is_own(arg: &Arg) -> bool {
    !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help"
}

fn flags<'a>(all: impl Iterator<Item = &'a Arg>, page: &mut String) {
    page.push_str("| | |\n|---|---|\n");
    for arg in all {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {help}{} |", names(arg).join("`, `"), values(arg));
    }
}

/// `-n`, `--lines N`.
fn names(arg: &Arg) -> Vec<String> {
    let value = match arg.get_num_args().is_some_and(|count| count.takes_values()) {
        true => arg.get_value_names().unwrap_or_default().join(" "),
        false => String::new(),
    };
    let mut names: Vec<String> = arg.get_short().map(|short| format!("-{short}")).into_iter().collect();
    names.extend(arg.get_long().map(|long| format!("--{long} {value}").trim_end().to_owned()));
    if names.is_empty() { vec![value] } else { names }
}

/// The values that there are, and the one that is taken.
fn values(arg: &Arg) -> String {
    let mut said = Vec::new();
    let takes = arg.get_num_args().is_some_and(|count| count.takes_values());
    let possible: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if takes && !possible.is_empty() {
        said.push(possible.join(", "));
    }
    let default: Vec<String> =
        arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    if takes && !default.is_empty() {
        said.push(format!("default `{}`", default.join(",")));
    }
    if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) }
}
