//! `docs`, `schema`: what can stand in the configuration, for people and for editors. Needs no project.

use std::io::IsTerminal;

use bowline_core::config::{docs, schema as json};
use bowline_engine::error::RunError;

use crate::exit::{self, Ended};
use crate::ui::out;

/// Columns where there is no terminal to ask.
const COLUMNS: usize = 100;

/// Shows a section or a key; the root without a name; or all of it as Markdown.
pub(super) fn run(section: Option<&str>, markdown: bool) -> Result<u8, Ended> {
    let text = match markdown {
        true => docs::page(),
        false => docs::text(section, columns())
            .map_err(|unknown| RunError::Usage { message: unknown.to_string(), hint: Some(unknown.hint) })?,
    };
    out::stdout([text.trim_end()]);
    Ok(exit::DONE)
}

/// Prints the JSON Schema.
pub(super) fn schema() -> u8 {
    out::stdout([json::text().trim_end()]);
    exit::DONE
}

fn columns() -> usize {
    if !std::io::stdout().is_terminal() {
        return COLUMNS;
    }
    usize::from(console::Term::stdout().size().1).min(COLUMNS)
}
