//! Asking the person at the keyboard, on the terminal itself, whatever standard input and output are.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bowline_config::secret::Secret;

use super::{Handle, clean, terminal};

/// Asks on the terminal, and keeps the screen still meanwhile.
#[derive(Clone)]
pub struct Asker(Arc<dyn Fn() -> Box<dyn Send + Sync> + Send + Sync>);

impl Asker {
    /// Asks while this screen is hidden.
    pub fn new(screen: &Handle) -> Self {
        // A channel's sender is shared between threads, which one at a time are those that ask.
        let screen = screen.clone();
        Self(Arc::new(move || Box::new(screen.hide())))
    }

    /// Lends the terminal to a program, until what it gives is dropped.
    pub fn lend(&self) -> Lent {
        if let Ok(tty) = File::options().read(true).write(true).open("/dev/tty") {
            let _ = terminal::remember(&tty);
        }
        Lent { _still: (self.0)() }
    }

    /// Asks for a key's passphrase without echo; `None` if there is no terminal, or it is left empty or ended.
    pub fn passphrase(&self, key: &Path) -> Option<Secret> {
        let tty = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let _still = (self.0)();
        terminal::remember(&tty).ok()?;
        let path = clean::line(&key.display().to_string());
        let answer = rpassword::prompt_password(format!("Passphrase for {path}: "));
        terminal::restore();
        answer.ok().filter(|answer| !answer.is_empty()).map(Secret::new)
    }
}

/// The terminal is a program's as long as this lives, and then as it was before.
pub struct Lent {
    _still: Box<dyn Send + Sync>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A program that is ended while it asks leaves the terminal without echo.
        terminal::restore();
    }
}
