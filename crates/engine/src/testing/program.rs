//! The commands of a simulated server, by their first word, and the console that they are attached to.
//!
//! `echo`, `cat`, `yes` and `exit N` do what they say. `both` writes to both outputs, `hang` never ends, and under
//! `lose` the connection breaks.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::locked;
use super::machine::Machine;
use crate::ports::{
    Attached, Closed, Console, Exit, FarInput, FarOutput, Output, Piece, ServerError, Size, Terminal,
};

pub(super) async fn run(words: &[String]) -> Output {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hang"] => std::future::pending().await,
        ["exit", status] => Output { exit: status_of(status), ..Output::default() },
        words => Output { stdout: format!("{}\n", words[1..].join(" ")), ..Output::default() },
    }
}

pub(super) fn words(line: &str) -> Vec<String> {
    line.split(' ').map(Into::into).collect()
}

fn status_of(word: &str) -> Exit {
    Exit::Status(word.parse().unwrap_or(255))
}

/// Starts an attached command. The machine records what happens to it.
pub(super) fn attach(
    machine: Arc<Mutex<Machine>>,
    words: Vec<String>,
    terminal: Option<&Terminal>,
) -> Attached {
    let shown = terminal.map(|Terminal { kind, size }| format!(" {kind} {}x{}", size.columns, size.rows));
    note(&machine, format!("attach{}", shown.unwrap_or_default()));
    let (sender, received) = mpsc::unbounded_channel();
    Attached {
        output: Box::new(FakeOutput { machine: machine.clone(), words, received, said: 0 }),
        input: Box::new(FakeInput { machine, sender }),
    }
}

fn note(machine: &Mutex<Machine>, text: String) {
    locked(machine).attached.push(text);
}

struct FakeOutput {
    machine: Arc<Mutex<Machine>>,
    words: Vec<String>,
    /// Pieces of input, then `None` at its end.
    received: mpsc::UnboundedReceiver<Option<Vec<u8>>>,
    said: usize,
}

#[async_trait]
impl FarOutput for FakeOutput {
    async fn next(&mut self) -> Result<ControlFlow<Exit, Piece>, ServerError> {
        let say = |piece| Ok(ControlFlow::Continue(piece));
        sleep(Duration::from_millis(1)).await;
        self.said += 1;
        locked(&self.machine).pieces += 1;
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match (words.as_slice(), self.said) {
            (["cat"], _) => match self.received.recv().await.flatten() {
                Some(bytes) => say(Piece::Out(bytes)),
                None => Ok(ControlFlow::Break(Exit::Status(0))),
            },
            (["yes"], _) => say(Piece::Out(b"y\n".to_vec())),
            (["both"], 1) => say(Piece::Out(b"out".to_vec())),
            (["both"], 2) => say(Piece::Err(b"err".to_vec())),
            (["exit", status], _) => Ok(ControlFlow::Break(status_of(status))),
            (["lose"], _) => Err(ServerError::Lost { reason: "cut".into() }),
            (["hang"], _) => std::future::pending().await,
            _ => Ok(ControlFlow::Break(Exit::Status(0))),
        }
    }
}

impl Drop for FakeOutput {
    fn drop(&mut self) {
        note(&self.machine, "let go".into());
    }
}

/// A program that reads all its input and ends with this output.
pub(super) fn load(machine: Arc<Mutex<Machine>>, ended: Output) -> Attached {
    let (sender, received) = mpsc::unbounded_channel();
    let output = FakeLoad { received, ended, said: false };
    Attached { output: Box::new(output), input: Box::new(FakeInput { machine, sender }) }
}

struct FakeLoad {
    received: mpsc::UnboundedReceiver<Option<Vec<u8>>>,
    ended: Output,
    said: bool,
}

#[async_trait]
impl FarOutput for FakeLoad {
    async fn next(&mut self) -> Result<ControlFlow<Exit, Piece>, ServerError> {
        if self.said {
            return Ok(ControlFlow::Break(self.ended.exit.clone()));
        }
        while self.ended.success() && self.received.recv().await.flatten().is_some() {}
        self.said = true;
        Ok(ControlFlow::Continue(Piece::Out(self.ended.stdout.clone().into_bytes())))
    }
}

struct FakeInput {
    machine: Arc<Mutex<Machine>>,
    sender: mpsc::UnboundedSender<Option<Vec<u8>>>,
}

#[async_trait]
impl FarInput for FakeInput {
    async fn send(&self, bytes: Vec<u8>) {
        let _ = self.sender.send(Some(bytes));
    }

    async fn end(&self) {
        note(&self.machine, "end of input".into());
        let _ = self.sender.send(None);
    }

    async fn resize(&self, size: Size) {
        note(&self.machine, format!("resize {}x{}", size.columns, size.rows));
    }
}

/// A console with scripted input, which records its output.
#[derive(Default)]
pub(crate) struct FakeConsole {
    pub terminal: Option<Terminal>,
    /// The input, piece by piece. It never ends at a terminal.
    pub input: Mutex<VecDeque<Vec<u8>>>,
    pub sizes: Mutex<VecDeque<Size>>,
    /// How many pieces are read before the reader of the output is gone.
    pub takes: Option<usize>,
    /// Whether the reader of the output never reads, but stays.
    pub stuck: bool,
    pub written: Mutex<Vec<Piece>>,
    /// The text that the command began with, and whether it has ended.
    pub began: Mutex<Option<(String, bool)>>,
}

impl FakeConsole {
    /// Whether a command began here and ended, so that the terminal is restored.
    pub(crate) fn is_restored(&self) -> bool {
        matches!(*locked(&self.began), Some((_, true)))
    }
}

#[async_trait]
impl Console for FakeConsole {
    fn terminal(&self) -> Option<Terminal> {
        self.terminal.clone()
    }

    fn begin(&self, title: &str, _: bool) -> Result<(), String> {
        *locked(&self.began) = Some((title.into(), false));
        Ok(())
    }

    async fn read(&self) -> Option<Vec<u8>> {
        let next = locked(&self.input).pop_front();
        match next {
            None if self.terminal.is_some() => std::future::pending().await,
            next => next,
        }
    }

    async fn resized(&self) -> Size {
        let next = locked(&self.sizes).pop_front();
        match next {
            Some(size) => size,
            None => std::future::pending().await,
        }
    }

    async fn write(&self, piece: Piece) -> Result<(), Closed> {
        if self.stuck {
            std::future::pending::<()>().await;
        }
        let mut written = locked(&self.written);
        if self.takes == Some(written.len()) {
            return Err(Closed);
        }
        written.push(piece);
        Ok(())
    }

    async fn flush(&self) -> Result<(), Closed> {
        Ok(())
    }

    fn end(&self, _: bool) {
        if let Some((_, ended)) = locked(&self.began).as_mut() {
            *ended = true;
        }
    }
}
