use clap::Args;

use crate::exit;
use crate::settings::Settings;
use crate::ui::results::say;

/// Show the version of Bowline.
#[derive(Debug, Args)]
pub(crate) struct Version;

impl Version {
    pub(super) fn run(self, settings: &Settings) -> u8 {
        say(settings, env!("CARGO_PKG_VERSION"));
        exit::DONE
    }
}
