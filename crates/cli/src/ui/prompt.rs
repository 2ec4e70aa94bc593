//! Asking the person at the keyboard, on the terminal itself, whatever standard input and output are.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bowline_core::secret::Secret;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{Handle, clean};

/// How the terminal was before something was asked without echo.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Asks on the terminal, and keeps the screen still meanwhile.
#[derive(Clone)]
pub struct Asker(Arc<dyn Fn() -> Box<dyn Send> + Send + Sync>);

impl Asker {
    /// Asks while this screen is hidden.
    pub fn new(screen: &Handle) -> Self {
        // A channel's sender is shared between threads, which one at a time are those that ask.
        let screen = screen.clone();
        Self(Arc::new(move || Box::new(screen.hide())))
    }

    /// Asks for a key's passphrase without echo; `None` if there is no terminal, or it is left empty or ended.
    pub fn passphrase(&self, key: &Path) -> Option<Secret> {
        let tty = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let _still = (self.0)();
        remember(&tty);
        let path = clean::line(&key.display().to_string());
        let answer = rpassword::prompt_password(format!("Passphrase for {path}: "));
        restore();
        answer.ok().filter(|answer| !answer.is_empty()).map(Secret::new)
    }
}

fn remember(tty: &File) {
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = tcgetattr(tty).ok();
}

/// Puts the terminal back as it was, if someone left while being asked. Does nothing otherwise.
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before
        && let Ok(tty) = File::options().write(true).open("/dev/tty")
    {
        let _ = tcsetattr(&tty, OptionalActions::Now, &before);
    }
}
