use clap::Args;

use crate::exit;
use crate::ui::out;

/// Show the version of Bowline.
#[derive(Debug, Args)]
pub(crate) struct Version;

impl Version {
    /// Answers at once, needing neither a project nor a runtime.
    pub(super) fn run(self) -> u8 {
        out::stdout([env!("CARGO_PKG_VERSION")]);
        exit::DONE
    }
}
