//! Resolves the values of entries: references from the lines above or the environment, and the output of commands.
//!
//! A shell gets the values that its text refers to through its environment, never in the text, so a value can't become a
//! command. References only look at lines above, so there are no cycles.

use std::ops::Range;

use bowline_config::Diagnostic;
use bowline_config::dotenv::{Command, CommandKind, Part, Piece, Quotes, Variable};
use bowline_config::secret::Secret;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};

use super::trouble::{Trouble, ending};
use super::{Place, Store, call};
use crate::ports::{Loan, Local, LocalCommand};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: Secret,
    /// Whether this is the output of `fetch`, which is always one word, as in Kamal.
    pub(super) fetched: bool,
    /// Whether this comes from our own environment, which every program inherits.
    inherited: bool,
}

impl Value {
    pub(super) fn fetched(text: impl Into<String>) -> Self {
        Self { fetched: true, ..Self::plain(text) }
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: Secret::new(text), fetched: false, inherited: false }
    }
}

/// Why an entry has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    file: usize,
    at: Range<usize>,
    key: String,
    pub(super) trouble: Trouble,
}

impl Failure {
    pub(super) fn problem(&self) -> Diagnostic {
        let (note, help) = (self.trouble.said.clone(), self.trouble.hint.clone());
        let message = format!("{}: {}", self.key, self.trouble.message);
        Diagnostic { note, help, ..Diagnostic::error(self.at.clone(), message) }.in_file(self.file)
    }
}

/// What went wrong and where. `Elsewhere` is the failure of another entry that this one refers to.
pub(super) enum Wrong {
    Here(Range<usize>, Trouble),
    Elsewhere(Failure),
}

#[derive(Clone, Copy)]
pub(super) struct Evaluation<'a> {
    pub(super) store: &'a Store,
    pub(super) local: &'a dyn Local,
}

impl<'a> Evaluation<'a> {
    /// The value of an entry, resolved only once.
    pub(super) fn entry(self, place: Place) -> LocalBoxFuture<'a, Result<Value, Failure>> {
        async move {
            let Some(file) = self.store.files.get(place.file) else { return Ok(Value::plain("")) };
            let (Some(entry), Some(cell)) =
                (file.file.entries.get(place.entry), file.values.get(place.entry))
            else {
                return Ok(Value::plain(""));
            };
            let work = async || match self.parts(place, &entry.parts).await {
                Ok(value) => Ok(value),
                Err(Wrong::Elsewhere(failure)) => Err(failure),
                Err(Wrong::Here(at, trouble)) => {
                    Err(Failure { file: place.file, at, key: entry.key.clone(), trouble })
                }
            };
            cell.get_or_init(work).await.clone()
        }
        .boxed_local()
    }

    async fn parts(self, place: Place, parts: &[Part]) -> Result<Value, Wrong> {
        let values = join_all(parts.iter().map(|part| self.part(place, part))).await;
        let mut values = values.into_iter().collect::<Result<Vec<_>, _>>()?;
        if values.len() == 1
            && let Some(only) = values.pop()
        {
            return Ok(only);
        }
        Ok(Value::plain(values.iter().map(|value| value.text.expose()).collect::<String>()))
    }

    async fn part(self, place: Place, part: &Part) -> Result<Value, Wrong> {
        match part {
            Part::Text(text) => Ok(Value::plain(text.expose())),
            Part::Variable(variable) => self.variable(place, variable).await,
            Part::Command(command) => self.command(place, command).await,
        }
    }

    /// The value of a variable. An unset one is an error.
    pub(super) async fn variable(self, place: Place, variable: &Variable) -> Result<Value, Wrong> {
        let value = self.lookup(place, &variable.name).await?;
        if value.as_ref().is_some_and(|value| value.inherited && is_broken(value.text.expose())) {
            let trouble = Trouble::failed("the value from the environment isn't UTF-8 text").hint(ENCODE);
            return Err(Wrong::Here(variable.at.clone(), trouble));
        }
        value.ok_or_else(|| {
            let what = if variable.telling {
                format!("${} is set neither above in this file nor in the environment", variable.name)
            } else {
                "a name here is set neither above in this file nor in the environment".to_owned()
            };
            let hint = "set it, or put the value into single quotes if the `$` is part of it";
            Wrong::Here(variable.at.clone(), Trouble::unset(what).hint(hint))
        })
    }

    async fn lookup(self, place: Place, name: &str) -> Result<Option<Value>, Wrong> {
        match self.store.above(place, name) {
            Some(above) => self.entry(above).await.map(Some).map_err(Wrong::Elsewhere),
            None => Ok(self.environment(name).map(|text| Value { inherited: true, ..Value::plain(text) })),
        }
    }

    /// A variable of the environment that commands get.
    fn environment(self, name: &str) -> Option<String> {
        let own = self.store.fetcher.environment().iter().find(|(known, _)| known == name);
        own.map(|(_, value)| value.expose().to_owned()).or_else(|| self.local.variable(name))
    }

    pub(super) fn command<'c>(
        self,
        place: Place,
        command: &'c Command,
    ) -> LocalBoxFuture<'c, Result<Value, Wrong>>
    where
        'a: 'c,
    {
        async move {
            match &command.kind {
                CommandKind::Shell(pieces) => {
                    self.shell(place, pieces, None, &command.at).await.map(Value::plain)
                }
                CommandKind::Secrets(found) => call::answer(self, place, found, &command.at).await,
            }
        }
        .boxed_local()
    }

    /// The output of a shell command without its last newline, as in `$(…)`.
    pub(super) async fn shell(
        self,
        place: Place,
        pieces: &[Piece],
        input: Option<Secret>,
        at: &Range<usize>,
    ) -> Result<String, Wrong> {
        let values = join_all(pieces.iter().map(|piece| self.piece(place, piece))).await;
        let values = values.into_iter().collect::<Result<Vec<_>, _>>()?;
        let (text, env) = shell_text(pieces, values);
        let wrong = |trouble: Trouble| Wrong::Here(at.clone(), trouble);
        let first = text.split_whitespace().next().unwrap_or_default().to_owned();
        let command = LocalCommand {
            words: vec!["/bin/sh".into(), "-c".into(), text],
            env: self.store.fetcher.environment().iter().cloned().chain(env).collect(),
            terminal: if input.is_none() { Loan::Whole } else { Loan::None },
            input,
            ..Default::default()
        };
        let _turn = self.store.fetcher.turns.turn(self.local, &first).await;
        let output = self.store.fetcher.turns.run(self.local, &command).await.map_err(wrong)?;
        if !output.success() {
            let trouble = Trouble::failed(format!("the command {}", ending(&output)));
            return Err(wrong(trouble.said(&output.stderr, command.env.iter().map(|(_, value)| value))));
        }
        if is_broken(&output.stdout) {
            return Err(wrong(Trouble::failed("the command's output isn't UTF-8 text").hint(ENCODE)));
        }
        let text = output.stdout.strip_suffix('\n').unwrap_or(&output.stdout);
        Ok(text.strip_suffix('\r').filter(|_| output.stdout.ends_with('\n')).unwrap_or(text).to_owned())
    }

    /// The value that a piece of the shell's text needs. `None` if it needs none, or the variable is not set.
    async fn piece(self, place: Place, piece: &Piece) -> Result<Option<Value>, Wrong> {
        match piece {
            Piece::Text(_) => Ok(None),
            Piece::Variable { name, .. } => self.lookup(place, name).await,
            Piece::Call { call: found, at, .. } => {
                Box::pin(call::answer(self, place, found, at)).await.map(Some)
            }
        }
    }
}

/// Whether a value contains U+FFFD, which replaces bytes that weren't UTF-8. Bowline rejects these values.
fn is_broken(text: &str) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
}

const ENCODE: &str = "encode it, for example with `| base64`";

/// The shell's text, and the variables that it needs.
fn shell_text(pieces: &[Piece], values: Vec<Option<Value>>) -> (String, Vec<(String, Secret)>) {
    let (mut text, mut env) = (String::new(), Vec::new());
    for (number, (piece, value)) in pieces.iter().zip(values).enumerate() {
        let (name, raw, quotes) = match piece {
            Piece::Text(piece) => {
                text.push_str(piece);
                continue;
            }
            Piece::Variable { name, raw, quotes } => (name.clone(), raw.clone(), *quotes),
            Piece::Call { quotes, .. } => {
                let name = format!("BOWLINE_SECRET_{number}");
                (name.clone(), format!("${{{name}}}"), *quotes)
            }
        };
        let ours = matches!(piece, Piece::Call { .. }) || value.as_ref().is_some_and(|value| value.fetched);
        // In `${NAME:-x}`, `raw` is only `${NAME`: the rest is in the text that follows.
        let closed = !raw.starts_with("${") || raw.ends_with('}');
        match quotes {
            // A fetched value is one word, even if it contains spaces.
            Quotes::None if ours && closed => text.push_str(&format!("\"${{{name}}}\"")),
            Quotes::Single if value.is_some() && closed => text.push_str(&format!("'\"${{{name}}}\"'")),
            _ => text.push_str(&raw),
        }
        let exportable = |value: &Value| !value.inherited && !name.starts_with(|c: char| c.is_ascii_digit());
        if let Some(value) = value.filter(exportable) {
            env.push((name, value.text));
        }
    }
    (text, env)
}
