//! Asks the user on the terminal itself, even if the standard streams are redirected.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bowline_config::secret::Secret;

use super::{Handle, clean, terminal};

/// Asks on the terminal. The screen is frozen meanwhile.
#[derive(Clone)]
pub struct Asker(Arc<dyn Fn() -> Box<dyn Send + Sync> + Send + Sync>);

impl Asker {
    pub fn new(screen: &Handle) -> Self {
        let screen = screen.clone();
        Self(Arc::new(move || Box::new(screen.hide())))
    }

    pub fn lend(&self) -> Lent {
        if let Ok(tty) = File::options().read(true).write(true).open("/dev/tty") {
            let _ = terminal::remember(&tty);
        }
        Lent { _still: (self.0)() }
    }

    /// Asks for a key's passphrase without echo. Returns `None` if there is no terminal, or no answer.
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

/// A loan of the terminal to a program. Dropping it restores the terminal.
pub struct Lent {
    _still: Box<dyn Send + Sync>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A program that is killed while it asks leaves the terminal without echo.
        terminal::restore();
    }
}
