//! Resolves the command line in its environment: terminals, colours, verbosity, filters.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use bowline_core::selection::Filters;
use bowline_engine::template::Templates;
use bowline_engine::world::Options;

use crate::args::Globals;
use crate::ui::paint::Paint;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// A picture of all servers on a terminal, drawn again and again.
    Live,
    Plain,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Only results and errors.
    Quiet,
    /// Also events.
    Normal,
    /// Also every command, its output and its time.
    Verbose,
}

#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// Whether standard error is a terminal that supports cursor movement.
    pub drawable: bool,
    pub colour_out: bool,
    pub colour_err: bool,
}

impl Surroundings {
    /// Inspects this process's terminals, `NO_COLOR`, `CLICOLOR_FORCE` and `TERM`.
    pub fn look() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == *"dumb" || term.is_empty());
        Self {
            drawable: std::io::stderr().is_terminal() && !dumb,
            colour_out: AutoStream::choice(&std::io::stdout()) != ColorChoice::Never,
            colour_err: AutoStream::choice(&std::io::stderr()) != ColorChoice::Never,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub config_file: String,
    pub destination: Option<String>,
    pub options: Options,
    pub lock_wait: Duration,
    /// The output of programs in templates of the configuration that ran already.
    pub templates: Arc<Templates>,
    pub view: View,
    pub verbosity: Verbosity,
    pub out: Paint,
    pub err: Paint,
}

impl Settings {
    pub fn new(globals: &Globals, path: &[String], around: Surroundings) -> Self {
        // As in Kamal, `--quiet` takes precedence.
        let verbosity = match (globals.quiet, globals.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let view = match (globals.json, verbosity) {
            (true, _) => View::Json,
            (false, Verbosity::Normal) if around.drawable => View::Live,
            _ => View::Plain,
        };
        let colour = !globals.no_color && !globals.json;
        Self {
            config_file: globals.config_file.clone(),
            destination: globals.destination.clone(),
            options: Options {
                filters: Filters {
                    hosts: patterns(&globals.hosts),
                    roles: patterns(&globals.roles),
                    primary: globals.primary,
                },
                version: globals.version.clone(),
                skip_push: false,
                image_archive: None,
                no_cache: false,
                skip_hooks: globals.skip_hooks,
                command: path.first().cloned().unwrap_or_default(),
                subcommand: path.get(1).cloned(),
            },
            lock_wait: Duration::from_secs(globals.lock_wait.unwrap_or_default()),
            templates: Arc::default(),
            view,
            verbosity,
            out: Paint(colour && around.colour_out),
            err: Paint(colour && around.colour_err),
        }
    }

    pub fn with(&self, change: impl FnOnce(&mut Options)) -> Self {
        let mut settings = self.clone();
        change(&mut settings.options);
        settings
    }
}

fn patterns(given: &[String]) -> Vec<String> {
    given.iter().map(|pattern| pattern.trim()).filter(|pattern| !pattern.is_empty()).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Surroundings = Surroundings { drawable: true, colour_out: true, colour_err: true };
    const PIPE: Surroundings = Surroundings { drawable: false, colour_out: false, colour_err: false };

    #[test]
    fn the_live_view_is_for_terminals_without_v_and_q() {
        let view = |around, change: fn(&mut Globals)| {
            let mut globals = Globals::default();
            change(&mut globals);
            let settings = Settings::new(&globals, &[], around);
            (settings.view, settings.verbosity, settings.err.0)
        };
        assert_eq!(view(TERMINAL, |_| ()), (View::Live, Verbosity::Normal, true));
        assert_eq!(view(TERMINAL, |globals| globals.verbose = true), (View::Plain, Verbosity::Verbose, true));
        assert_eq!(view(TERMINAL, |globals| globals.quiet = true), (View::Plain, Verbosity::Quiet, true));
        assert_eq!(view(TERMINAL, |globals| globals.no_color = true), (View::Live, Verbosity::Normal, false));
        assert_eq!(view(TERMINAL, |globals| globals.json = true), (View::Json, Verbosity::Normal, false));
        assert_eq!(view(PIPE, |_| ()), (View::Plain, Verbosity::Normal, false));
        let both = |globals: &mut Globals| (globals.quiet, globals.verbose) = (true, true);
        assert_eq!(view(PIPE, both).1, Verbosity::Quiet);
    }

    #[test]
    fn empty_patterns_are_none() {
        let globals = Globals { hosts: vec![" a ".into(), String::new()], ..Globals::default() };
        assert_eq!(Settings::new(&globals, &[], PIPE).options.filters.hosts, ["a"]);
    }
}
