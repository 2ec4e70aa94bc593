//! Runs a vendor's command without a shell, so its arguments pass unchanged. Shows its error messages with known values redacted.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bowline_config::secret::Secret;
use serde::de::DeserializeOwned;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::adapters::SignedIn;
use super::trouble::{Trouble, ending};
use crate::local::{Limit, within};
use crate::ports::{Loan, Local, LocalCommand, Output};

#[derive(Debug)]
pub(super) struct Vendor {
    /// The vault's name for messages.
    pub(super) title: &'static str,
    pub(super) program: &'static str,
    /// The argument that prints the program's version, to check that it is installed.
    pub(super) version: &'static str,
    pub(super) home: &'static str,
}

/// Schedules the use of the terminal. A command that asks for input runs alone. So does the first run of any other program,
/// because it may log in: the user then answers one login at a time.
pub(super) struct Turns {
    limit: Limit,
    terminal: RwLock<()>,
    seen: Mutex<BTreeSet<String>>,
}

/// The right to use the terminal, until it is dropped.
pub(super) enum Turn<'a> {
    Alone { _guard: RwLockWriteGuard<'a, ()> },
    Shared { _guard: RwLockReadGuard<'a, ()> },
}

impl Turns {
    /// `time` limits each command, including the user's answers.
    pub(super) fn new(time: Duration) -> Self {
        let limit = Limit { time, setting: "`timeouts: {secrets: SECONDS}`", quoted: false };
        Self { limit, terminal: RwLock::default(), seen: Mutex::default() }
    }

    pub(super) async fn run(&self, local: &dyn Local, command: &LocalCommand) -> Result<Output, Trouble> {
        within(local, command, self.limit, &|_| {}).await.map_err(Trouble::failed)
    }

    async fn alone(&self) -> Turn<'_> {
        Turn::Alone { _guard: self.terminal.write().await }
    }

    pub(super) async fn turn(&self, local: &dyn Local, program: &str) -> Turn<'_> {
        let first = || self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(program.to_owned());
        if local.has_terminal() && first() {
            return self.alone().await;
        }
        Turn::Shared { _guard: self.terminal.read().await }
    }
}

pub(super) struct Tool<'a> {
    local: &'a dyn Local,
    turns: &'a Turns,
    vendor: &'static Vendor,
    env: Vec<(String, Secret)>,
    /// Values in the command's arguments, to redact in messages.
    hidden: Vec<Secret>,
}

impl<'a> Tool<'a> {
    pub(super) fn new(
        local: &'a dyn Local,
        turns: &'a Turns,
        vendor: &'static Vendor,
        env: Vec<(String, Secret)>,
    ) -> Self {
        Self { local, turns, vendor, env, hidden: Vec::new() }
    }

    /// The same tool, with the variables of a session.
    pub(super) fn within(&self, session: &SignedIn) -> Self {
        let env = self.env.iter().chain(&session.env).cloned().collect();
        Tool { env, hidden: session.token.iter().cloned().collect(), ..*self }
    }

    /// A variable as the command sees it.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let own = self.env.iter().find(|(known, _)| known == name);
        own.map(|(_, value)| value.expose().to_owned()).or_else(|| self.local.variable(name))
    }

    pub(super) async fn check(&self) -> Result<(), Trouble> {
        let Vendor { title, program, version, home } = self.vendor;
        match self.run(&[version], Loan::None).await {
            Ok(output) if output.success() => Ok(()),
            answer => {
                let trouble = match answer {
                    Ok(output) => Trouble::failed(format!(
                        "the {title} CLI is not installed: `{program} {version}` {}",
                        ending(&output)
                    ))
                    .said(&output.stderr, &[]),
                    Err(trouble) => Trouble::failed(format!(
                        "the {title} CLI is needed, but `{program} {version}` failed: {}",
                        trouble.message
                    )),
                };
                Err(trouble.hint(format!("see {home}")))
            }
        }
    }

    /// Runs the command and returns its output, whatever its exit status.
    pub(super) async fn output(&self, words: &[&str]) -> Result<Output, Trouble> {
        self.run(words, Loan::None).await
    }

    /// Runs the command with the terminal to itself, because it may ask for a password.
    pub(super) async fn ask(&self, words: &[&str]) -> Result<Output, Trouble> {
        let _turn = self.turns.alone().await;
        self.run(words, Loan::Whole).await
    }

    /// Runs the login like [`Tool::ask`], and requires it to succeed.
    pub(super) async fn log_in(&self, words: &[&str]) -> Result<Output, Trouble> {
        let output = self.ask(words).await?;
        if output.success() { Ok(output) } else { Err(self.not_logged_in(&output)) }
    }

    /// The command's output, which must succeed. `what` is for the error message.
    pub(super) async fn read(&self, words: &[&str], what: &str) -> Result<String, Trouble> {
        let _turn = self.turns.turn(self.local, self.vendor.program).await;
        // The command may ask for a password again, a second factor, or a fingerprint.
        let output = self.run(words, Loan::Keyboard).await?;
        if output.success() { Ok(output.stdout) } else { Err(self.failed(what, &output)) }
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, words: &[&str], what: &str) -> Result<T, Trouble> {
        let text = self.read(words, what).await?;
        self.parse(&text, what)
    }

    /// Like [`Tool::json`], with the terminal to itself, because it may ask for a password.
    pub(super) async fn ask_json<T: DeserializeOwned>(
        &self,
        words: &[&str],
        what: &str,
    ) -> Result<T, Trouble> {
        let output = self.ask(words).await?;
        if output.success() { self.parse(&output.stdout, what) } else { Err(self.failed(what, &output)) }
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, text: &str, what: &str) -> Result<T, Trouble> {
        // The library's own message may contain a value.
        serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Trouble::failed(format!(
                "{what}: the output of `{}` is not the expected JSON ({place})",
                self.vendor.program
            ))
        })
    }

    pub(super) fn failed(&self, what: &str, output: &Output) -> Trouble {
        let values = self.env.iter().map(|(_, value)| value).chain(&self.hidden);
        Trouble::failed(format!("{what}: `{}` {}", self.vendor.program, ending(output)))
            .said(&output.stderr, values)
    }

    fn not_logged_in(&self, output: &Output) -> Trouble {
        let trouble = self.failed(&format!("could not log in to {}", self.vendor.title), output);
        if self.local.has_terminal() {
            return trouble;
        }
        trouble.hint(format!("`{}` can't ask without a terminal: log in first", self.vendor.program))
    }

    async fn run(&self, words: &[&str], terminal: Loan) -> Result<Output, Trouble> {
        let words = std::iter::once(&self.vendor.program).chain(words).map(|word| (*word).to_owned());
        let command =
            LocalCommand { words: words.collect(), env: self.env.clone(), terminal, ..Default::default() };
        self.turns.run(self.local, &command).await
    }
}
