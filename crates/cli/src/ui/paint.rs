//! Colours for text, if the output stream wants them.

use owo_colors::OwoColorize;

/// Whether the stream wants colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paint(pub bool);

impl Paint {
    pub fn bold(self, text: &str) -> String {
        if self.0 { text.bold().to_string() } else { text.to_owned() }
    }

    pub fn dim(self, text: &str) -> String {
        if self.0 { text.dimmed().to_string() } else { text.to_owned() }
    }

    pub fn red(self, text: &str) -> String {
        if self.0 { text.red().to_string() } else { text.to_owned() }
    }

    pub fn green(self, text: &str) -> String {
        if self.0 { text.green().to_string() } else { text.to_owned() }
    }

    pub fn yellow(self, text: &str) -> String {
        if self.0 { text.yellow().to_string() } else { text.to_owned() }
    }

    pub fn cyan(self, text: &str) -> String {
        if self.0 { text.cyan().to_string() } else { text.to_owned() }
    }
}
