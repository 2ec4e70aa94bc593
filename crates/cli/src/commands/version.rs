//! `version`: answers at once, needing neither a project nor a runtime.

use crate::{exit, ui};

/// Shows Bowline's version.
pub(super) fn run() -> u8 {
    ui::out::stdout([env!("CARGO_PKG_VERSION")]);
    exit::DONE
}
