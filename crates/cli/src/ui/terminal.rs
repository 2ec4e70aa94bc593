//! The person's terminal: its size, and how it was before a program changed it, so that it is put back whatever
//! ends us.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use bowline_engine::ports::Size;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The terminal that was changed, and how it was.
static BEFORE: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// Remembers how a terminal is; what was remembered before is forgotten.
pub fn remember(terminal: impl AsFd) -> std::io::Result<()> {
    let terminal = terminal.as_fd().try_clone_to_owned()?;
    let attributes = tcgetattr(&terminal)?;
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some((terminal, attributes));
    Ok(())
}

/// Puts the terminal back as it was remembered, at once: one that takes no output any more must not hold us up.
/// Does nothing if there is nothing to put back.
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((terminal, attributes)) = before {
        let _ = tcsetattr(&terminal, OptionalActions::Now, &attributes);
    }
}

/// Makes a terminal hand every key on as it is, and remembers how it was. What was typed already is kept.
pub fn make_raw(terminal: impl AsFd) -> std::io::Result<()> {
    let mut attributes = tcgetattr(&terminal)?;
    remember(&terminal)?;
    attributes.make_raw();
    Ok(tcsetattr(&terminal, OptionalActions::Now, &attributes)?)
}

/// How large a terminal is; `None` if it is none.
pub fn size(terminal: impl AsFd) -> Option<Size> {
    let size = tcgetwinsize(terminal).ok()?;
    Some(Size {
        columns: size.ws_col.into(),
        rows: size.ws_row.into(),
        width: size.ws_xpixel.into(),
        height: size.ws_ypixel.into(),
    })
}
