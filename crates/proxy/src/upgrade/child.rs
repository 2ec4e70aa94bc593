//! The child's side of an upgrade.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::CHILD;
use super::channel::{self, Line};

/// Whether this process is a child of process 1.
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// What process 1 wants of the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To wait: its predecessor still serves.
    Wait,
    /// To serve.
    Serve,
    /// To drain and end: its successor serves.
    End,
    /// To end at once: process 1 has gone.
    Orphaned,
}

type Asked = (PathBuf, oneshot::Sender<Result<(), String>>);

/// A child's connection to process 1.
#[derive(Clone)]
pub struct Heir {
    wish: watch::Receiver<Wish>,
    ask: mpsc::Sender<Asked>,
    serving: Arc<mpsc::Sender<&'static str>>,
}

impl Heir {
    /// Takes the listeners from process 1. `freeze` is called when its successor is about to read the state, and when there is no successor
    /// after all. Must be called within a runtime.
    pub fn take(freeze: impl Fn(bool) + Send + 'static) -> io::Result<(Self, Vec<TcpListener>)> {
        let channel = channel::inherited()?;
        let listeners = channel::receive_listeners(&channel)?;
        let line = Line::new(channel)?;
        let (wishes, wish) = watch::channel(Wish::Wait);
        let (ask, asked) = mpsc::channel(1);
        let (serving, say) = mpsc::channel(2);
        tokio::spawn(listen(line, wishes, asked, say, freeze));
        Ok((Self { wish, ask, serving: Arc::new(serving) }, listeners))
    }

    /// Says that the state is restored, and returns once process 1 wants this child to serve.
    pub async fn ready(&mut self) -> io::Result<()> {
        let _ = self.serving.send("ready").await;
        let wish = self.wish.wait_for(|wish| *wish != Wish::Wait).await.map_err(io::Error::other)?;
        if *wish == Wish::Serve { Ok(()) } else { Err(io::Error::other("process 1 has gone")) }
    }

    /// Says that requests are served.
    pub async fn serving(&self) {
        let _ = self.serving.send("serving").await;
    }

    /// What process 1 wants, as it changes.
    pub fn wish(&self) -> watch::Receiver<Wish> {
        self.wish.clone()
    }

    /// Asks process 1 for an upgrade. An error says why there was none; otherwise this child is about to drain.
    pub async fn upgrade(&self, path: PathBuf) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let gone = || "process 1 does not answer".to_owned();
        self.ask.try_send((path, answer)).map_err(|_| "another upgrade is under way".to_owned())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn listen(
    mut line: Line,
    wishes: watch::Sender<Wish>,
    mut asked: mpsc::Receiver<Asked>,
    mut say: mpsc::Receiver<&'static str>,
    freeze: impl Fn(bool),
) {
    let mut waiting: Option<oneshot::Sender<Result<(), String>>> = None;
    let answer = |waiting: &mut Option<oneshot::Sender<_>>, result| {
        if let Some(waiting) = waiting.take() {
            let _ = waiting.send(result);
        }
    };
    loop {
        tokio::select! {
            Some(word) = say.recv() => line.say(word, "").await,
            Some((path, sender)) = asked.recv(), if waiting.is_none() => {
                waiting = Some(sender);
                line.say("upgrade", &path.to_string_lossy()).await;
            }
            heard = line.hear() => {
                let Some(heard) = heard else {
                    wishes.send_replace(Wish::Orphaned);
                    return;
                };
                let (word, text) = heard.split_once(' ').unwrap_or((&heard, ""));
                match word {
                    "serve" => drop(wishes.send_replace(Wish::Serve)),
                    "freeze" => {
                        freeze(true);
                        line.say("frozen", "").await;
                    }
                    "failed" => {
                        freeze(false);
                        answer(&mut waiting, Err(text.to_owned()));
                    }
                    "upgraded" => {
                        wishes.send_replace(Wish::End);
                        answer(&mut waiting, Ok(()));
                    }
                    _ => {}
                }
            }
        }
    }
}
