//! The command line `bowline`: what users type and see. This crate has no rules about deploying.
//!
//! [`settings`] resolves the arguments ([`args`]). A command ([`commands`]) opens an [`invocation`], calls the engine
//! with what [`load`] provides, and shows the result ([`ui`]) or attaches the [`console`].
//!
//! It is a library only so that tests and examples can use its parts. Nothing else should depend on it.

mod alias;
pub mod args;
pub mod bug;
mod commands;
pub mod console;
pub mod exit;
mod hints;
pub mod invocation;
pub mod load;
pub mod settings;
pub mod signals;
pub mod ui;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;

use settings::Surroundings;

pub fn main() -> ExitCode {
    bug::report_panics();
    let words: Vec<OsString> = std::env::args_os().collect();
    let status = match args::parse(words.clone()) {
        Ok(cli) => commands::run(cli, Arc::default()),
        Err(error) if error.kind() == ErrorKind::InvalidSubcommand => {
            commands::topic::help(&words).unwrap_or_else(|| alias::run(&words, error))
        }
        Err(error) => usage(&error),
    };
    ui::terminal::restore();
    ExitCode::from(status)
}

/// Prints a usage error, or help. Help is not an error, even if it replaces a missing command, as in Kamal.
fn usage(error: &clap::Error) -> u8 {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        ui::out::stdout([error.render().to_string().trim_end()]);
        return exit::DONE;
    }
    match args::mistyped::describe(error) {
        Some((message, hint)) => {
            let paint = ui::paint::Paint(Surroundings::look().colour_err);
            ui::out::stderr(ui::report::mistake(&message, hint.as_deref(), paint));
        }
        None => drop(error.print()),
    }
    if error.use_stderr() { exit::USAGE } else { exit::DONE }
}
