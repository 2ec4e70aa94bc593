//! The aliases for command lines in a project's configuration (`aliases:`).
//!
//! They are looked up only for an unknown command, in the configuration that `-c` and `-d` select.

mod expand;

use std::cell::Cell;
use std::ffi::OsString;
use std::sync::Arc;

use bowline_config::Pairs;
use bowline_engine::template::Templates;
use clap::error::{ContextKind, ContextValue};

use crate::settings::Surroundings;
use crate::{args, commands, exit, hints, load, signals, ui};
use expand::{Expanded, Unknown};

/// Runs the alias in a command line, and returns the exit status. `unknown` is clap's error for the unknown command.
pub(crate) fn run(words: &[OsString], unknown: clap::Error) -> u8 {
    let templates = Arc::<Templates>::default();
    let colour = Surroundings::look().colour_err && !words.iter().any(|word| word == "--no-color");
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return crate::usage(&unknown);
    };
    let interrupted = Cell::new(false);
    let lookup = |file: &str, destination: Option<&str>| {
        let aliases = load::aliases(file, destination, &templates, colour);
        runtime.block_on(signals::unless_interrupted(aliases)).unwrap_or_else(|_| {
            interrupted.set(true);
            Ok(Pairs::new())
        })
    };
    let expanded = expand::expand(words, lookup);
    if interrupted.get() {
        return exit::INTERRUPTED;
    }
    let (line, suggestion) = match expanded {
        Ok(line) => (line, None),
        Err(Unknown::NoAlias { line, suggestion }) => (line, suggestion),
        Err(Unknown::Unusable(message)) => {
            ui::out::stderr([format!("error: {message}")]);
            return exit::USAGE;
        }
        Err(Unknown::Lookup(followed, error)) => {
            if followed.is_empty() {
                crate::usage(&unknown);
                ui::out::stderr(["", "the project's aliases can't be read:"]);
            }
            ui::out::stderr([error.text.trim_end()]);
            print_followed(&followed);
            return exit::USAGE;
        }
    };
    match args::parse(line.words.clone()) {
        Ok(cli) => commands::run(cli, templates),
        Err(error) => unusable(error, suggestion, &line),
    }
}

/// The command line of an alias in `config/deploy.yml`.
pub(crate) fn text(name: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let templates = Templates::default();
    let aliases = load::aliases(args::CONFIG_FILE, None, &templates, false);
    let aliases = runtime.block_on(signals::unless_interrupted(aliases)).ok()?.ok()?;
    aliases.into_iter().find(|(known, _)| known == name).map(|(_, text)| text)
}

fn unusable(mut error: clap::Error, suggestion: Option<String>, line: &Expanded) -> u8 {
    if let Some(suggestion) = suggestion {
        let mut all = vec![suggestion];
        match error.remove(ContextKind::SuggestedSubcommand) {
            Some(ContextValue::String(one)) => all.push(one),
            Some(ContextValue::Strings(more)) => all.extend(more),
            _ => {}
        }
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(all));
    }
    let status = crate::usage(&error);
    if status != exit::DONE {
        print_followed(&line.followed);
    }
    status
}

fn print_followed(followed: &Pairs) {
    ui::out::stderr(followed.iter().map(|(name, text)| hints::alias(name, text)));
}
