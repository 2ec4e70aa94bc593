//! What people type and see: the command line `bowline`.
//!
//! Arguments ([`args`]) are resolved once ([`settings`]); a command ([`commands`]) opens an [`invocation`], lets the
//! engine do the work on what [`load`] gives it, and shows what came of it ([`ui`]), or lends it the [`console`]. No rules of
//! deploying are here.
//!
//! It is a library only so that tests and examples reach the parts; nothing else should depend on it.

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

/// Does what the command line says.
pub fn main() -> ExitCode {
    bug::tell_panics();
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

/// Help that was asked for, or that stands in for a missing command, is no error, as with Kamal.
fn usage(error: &clap::Error) -> u8 {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        ui::out::stdout([error.render().to_string().trim_end()]);
        return exit::DONE;
    }
    match args::mistyped::told(error) {
        Some((message, hint)) => {
            let paint = ui::paint::Paint(Surroundings::look().colour_err);
            ui::out::stderr(ui::report::mistake(&message, hint.as_deref(), paint));
        }
        None => drop(error.print()),
    }
    if error.use_stderr() { exit::USAGE } else { exit::DONE }
}
