//! A machine whose programs give scripted answers, for tests of which programs run there and how often.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::{Printed, locked};
use crate::ports::{Exit, Held, Line, Loan, Local, LocalCommand, OnLine, Output, PathKind, Pieces};

pub(crate) type Answer = Result<Output, String>;

/// An answer on standard output with its exit status. A failing program writes to standard error instead.
pub(crate) fn says(text: &str, status: u32) -> Answer {
    let stderr = if status == 0 { String::new() } else { format!("failing: {text}\n") };
    let stdout = if status == 0 { text.to_owned() } else { String::new() };
    Ok(Output { exit: Exit::Status(status), stdout, stderr })
}

/// The machine. Programs without an answer aren't installed.
#[derive(Default)]
pub(crate) struct Shop {
    /// Answers by the beginning of a command line. Each is used once, except the last of its kind.
    answers: Mutex<Vec<(String, Answer)>>,
    /// Files by path. None is executable.
    pub files: BTreeMap<String, String>,
    pub variables: BTreeMap<String, String>,
    /// Programs that print something and then run until they are killed, by the beginning of their command lines.
    pub stay: Vec<(String, String)>,
    /// Files that other processes hold locked.
    pub held: Vec<String>,
    /// Whether there is a terminal to ask on.
    pub terminal: bool,
    ran: Mutex<Vec<LocalCommand>>,
    /// How many programs run now, and the maximum so far.
    running: Mutex<(usize, usize)>,
}

impl Shop {
    pub(crate) fn new(answers: &[(&str, Answer)]) -> Self {
        let answers = answers.iter().map(|(line, answer)| ((*line).to_owned(), answer.clone())).collect();
        Self { answers: Mutex::new(answers), ..Self::default() }
    }

    pub(crate) fn with_file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// Adds an answer that takes precedence over all others.
    pub(crate) fn first(&mut self, line: &str, answer: Answer) {
        locked(&self.answers).insert(0, (line.to_owned(), answer));
    }

    /// The command lines that ran, in order. A line has `!` in front if it may ask, and before that the variables that
    /// it got.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |command: &LocalCommand| {
            let env: String =
                command.env.iter().map(|(name, value)| format!("{name}={} ", value.expose())).collect();
            format!("{env}{}{}", if command.terminal == Loan::Whole { "!" } else { "" }, words(command))
        };
        locked(&self.ran).iter().map(line).collect()
    }

    pub(crate) fn ran(&self) -> Vec<LocalCommand> {
        locked(&self.ran).clone()
    }

    pub(crate) fn at_once(&self) -> usize {
        locked(&self.running).1
    }

    fn answer(&self, line: &str) -> Answer {
        let mut answers = locked(&self.answers);
        let fits = |(begins, _): &&(String, Answer)| line.starts_with(begins.as_str());
        let Some(place) = answers.iter().position(|answer| fits(&answer)) else {
            return Err(format!("nobody knows `{line}` here"));
        };
        let kind = answers[place].0.clone();
        if answers.iter().filter(|(begins, _)| *begins == kind).count() > 1 {
            answers.remove(place).1
        } else {
            answers[place].1.clone()
        }
    }
}

/// Joins words into one line, and quotes those with special characters.
fn words(command: &LocalCommand) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=./:@,".contains(c);
    let word = |word: &String| match word.chars().all(plain) {
        true => word.clone(),
        false => bowline_core::shell::quote(word),
    };
    command.words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[async_trait]
impl Local for Shop {
    async fn run(&self, command: &LocalCommand, on_line: OnLine<'_>) -> Answer {
        locked(&self.ran).push(command.clone());
        if let Some((_, said)) = self.stay.iter().find(|(begins, _)| words(command).starts_with(begins)) {
            on_line(Line::Out(said));
            std::future::pending::<()>().await;
        }
        {
            let mut running = locked(&self.running);
            running.0 += 1;
            running.1 = running.1.max(running.0);
        }
        tokio::task::yield_now().await;
        locked(&self.running).0 -= 1;
        self.answer(&words(command))
    }

    fn pieces(&self, command: &LocalCommand) -> Box<dyn Pieces> {
        locked(&self.ran).push(command.clone());
        Box::new(Printed::of(self.answer(&words(command))))
    }

    fn companion(&self, program: &str) -> String {
        program.into()
    }

    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.files.get(path).cloned())
    }

    fn read_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.read(path)?.map(String::into_bytes))
    }

    fn list(&self, _directory: &str) -> Vec<String> {
        Vec::new()
    }

    fn kind(&self, path: &str) -> Option<PathKind> {
        self.files.contains_key(path).then_some(PathKind::File)
    }

    fn hold(&self, path: &str) -> Result<Option<Held>, String> {
        Ok((!self.held.iter().any(|held| held == path)).then(|| Box::new(()) as Held))
    }

    fn cache(&self) -> Result<String, String> {
        Ok("/cache".into())
    }

    fn has_terminal(&self) -> bool {
        self.terminal
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn now(&self) -> i64 {
        0
    }

    fn random_hex(&self, bytes: usize) -> String {
        "0".repeat(bytes * 2)
    }
}
