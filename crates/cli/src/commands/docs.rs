//! `docs` and `schema`: the documentation of the configuration, for users and for editors. They need no project.

use std::io::IsTerminal;

use bowline_config::{docs, schema};
use clap::Args;

use super::topic;
use crate::exit::{self, Ended};
use crate::settings::{Settings, View};
use crate::ui::{json, out};

/// The width without a terminal, and the maximum width.
const COLUMNS: usize = 100;

/// Show the documentation of the configuration.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bowline docs                 # the keys at the root, and a list of sections
  bowline docs proxy           # a section
  bowline docs boot/limit      # a key
  bowline docs hooks           # hooks; also: assets, destinations, secrets, templates
  bowline docs drain           # the keys and commands that mention a word")]
pub(crate) struct Docs {
    /// A section, a key by its path, or a word to look for.
    section: Option<String>,
    /// Print the whole documentation as a Markdown page.
    #[arg(long, conflicts_with = "section")]
    pub(super) markdown: bool,
}

impl Docs {
    pub(super) fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let text = match self.markdown {
            true => docs::page(),
            false => match docs::text(self.section.as_deref(), columns()) {
                Ok(text) => text,
                Err(unknown) => match topic::places(&unknown.name) {
                    Some(places) => {
                        let heading = format!("`{}` is mentioned in:", unknown.name);
                        [&[heading][..], &places].concat().join("\n")
                    }
                    None => return Err(exit::usage(unknown.to_string(), unknown.hint).into()),
                },
            },
        };
        match settings.view {
            View::Json => out::stdout([json::said(text.trim_end()).to_string()]),
            _ => out::stdout([text.trim_end()]),
        };
        Ok(exit::DONE)
    }
}

/// Print a JSON Schema of the configuration, for editors.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bowline schema > deploy.schema.json

The first line of config/deploy.yml tells the YAML language server where the schema is:
`# yaml-language-server: $schema=../deploy.schema.json`")]
pub(crate) struct Schema;

impl Schema {
    pub(super) fn run(self) -> u8 {
        out::stdout([schema::text().trim_end()]);
        exit::DONE
    }
}

pub(super) fn columns() -> usize {
    if !std::io::stdout().is_terminal() {
        return COLUMNS;
    }
    usize::from(console::Term::stdout().size().1).min(COLUMNS)
}
