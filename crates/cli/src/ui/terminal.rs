//! The user's terminal: its size, and the attributes to restore however the process ends.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use bowline_engine::ports::Size;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

static BEFORE: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// Saves a terminal's attributes, in place of any saved before.
pub fn remember(terminal: impl AsFd) -> std::io::Result<()> {
    let terminal = terminal.as_fd().try_clone_to_owned()?;
    let attributes = tcgetattr(&terminal)?;
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some((terminal, attributes));
    Ok(())
}

/// Restores saved attributes. Doesn't wait for output, because a terminal that accepts none must not block us.
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((terminal, attributes)) = before {
        let _ = tcsetattr(&terminal, OptionalActions::Now, &attributes);
    }
}

/// Saves a terminal's attributes, and makes it pass on every key unprocessed. Keeps what was typed already.
pub fn make_raw(terminal: impl AsFd) -> std::io::Result<()> {
    let mut attributes = tcgetattr(&terminal)?;
    remember(&terminal)?;
    attributes.make_raw();
    Ok(tcsetattr(&terminal, OptionalActions::Now, &attributes)?)
}

/// The size of a terminal. `None` if it isn't one.
pub fn size(terminal: impl AsFd) -> Option<Size> {
    let size = tcgetwinsize(terminal).ok()?;
    Some(Size {
        columns: size.ws_col.into(),
        rows: size.ws_row.into(),
        width: size.ws_xpixel.into(),
        height: size.ws_ypixel.into(),
    })
}
