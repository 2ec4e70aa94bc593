//! The child's side of an upgrade.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::CHILD;
use super::channel::{self, Line};
use crate::drain::Limits;

const IN_PROGRESS: &str = "another upgrade is in progress";

pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// What process 1 wants the child to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Wait: the predecessor still serves.
    Wait,
    Serve,
    /// Drain and end: the successor serves. The limits are those of the command, if there was one.
    End(Option<Limits>),
    /// End immediately: process 1 is gone.
    Orphaned,
}

/// What a child does for its successor.
pub trait Predecessor: Send + 'static {
    /// Stops changes, because the successor is about to read the state; or allows them again, after a failed upgrade.
    fn freeze(&self, frozen: bool);
    /// Follows a change by the successor. The future completes once this process no longer needs what it removes.
    fn follow(&self, change: &str) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

struct UpgradeRequest {
    path: PathBuf,
    limits: Limits,
    done: oneshot::Sender<Result<(), String>>,
}

type Told = (String, oneshot::Sender<()>);

/// A child's connection to process 1.
#[derive(Clone)]
pub struct ParentLink {
    wish: watch::Receiver<Wish>,
    ask: mpsc::Sender<UpgradeRequest>,
    tell: mpsc::UnboundedSender<Told>,
    serving: Arc<mpsc::Sender<&'static str>>,
}

impl ParentLink {
    /// Receives the listeners from process 1. Must be called within a Tokio runtime.
    pub fn take(predecessor: impl Predecessor) -> io::Result<(Self, Vec<TcpListener>)> {
        let channel = channel::inherited()?;
        let listeners = channel::receive_listeners(&channel)?;
        let line = Line::new(channel)?;
        let (wishes, wish) = watch::channel(Wish::Wait);
        let (ask, asked) = mpsc::channel(1);
        let (tell, told) = mpsc::unbounded_channel();
        let (serving, say) = mpsc::channel(2);
        let conversation = Conversation {
            line,
            wishes,
            predecessor,
            frozen: false,
            upgrading: None,
            following: HashMap::new(),
            changes: 0,
        };
        tokio::spawn(conversation.run(Outbox { asked, told, say }));
        Ok((Self { wish, ask, tell, serving: Arc::new(serving) }, listeners))
    }

    /// Reports that the state is restored. Returns once process 1 lets this child serve.
    pub async fn ready(&mut self) -> io::Result<()> {
        let _ = self.serving.send("ready").await;
        let wish = self.wish.wait_for(|wish| *wish != Wish::Wait).await.map_err(io::Error::other)?;
        if *wish == Wish::Serve { Ok(()) } else { Err(io::Error::other("process 1 has gone")) }
    }

    pub async fn serving(&self) {
        let _ = self.serving.send("serving").await;
    }

    /// What process 1 wants, as it changes.
    pub fn wish(&self) -> watch::Receiver<Wish> {
        self.wish.clone()
    }

    /// Asks process 1 for an upgrade. On success, this child drains within the limits. The error says why there was
    /// no upgrade.
    pub async fn upgrade(&self, path: PathBuf, limits: Limits) -> Result<(), String> {
        let (done, upgraded) = oneshot::channel();
        let request = UpgradeRequest { path, limits, done };
        self.ask.try_send(request).map_err(|_| IN_PROGRESS.to_owned())?;
        upgraded.await.map_err(|_| "process 1 does not respond".to_owned())?
    }

    /// Passes a change on to the predecessors, in the order of calls. The future completes once all followed or ended.
    pub fn tell(&self, change: String) -> impl Future<Output = ()> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let told = self.tell.send((change, answer));
        async move {
            if told.is_ok() {
                let _ = answered.await;
            }
        }
    }
}

/// What the rest of the child sends to process 1.
struct Outbox {
    asked: mpsc::Receiver<UpgradeRequest>,
    told: mpsc::UnboundedReceiver<Told>,
    say: mpsc::Receiver<&'static str>,
}

struct Conversation<P> {
    line: Line,
    wishes: watch::Sender<Wish>,
    predecessor: P,
    /// Since an upgrade began, whether by a command or by SIGHUP, unless it failed.
    frozen: bool,
    /// The command that started the upgrade in progress.
    upgrading: Option<UpgradeRequest>,
    /// Wait for predecessors, by the number of the change.
    following: HashMap<u64, oneshot::Sender<()>>,
    changes: u64,
}

impl<P: Predecessor> Conversation<P> {
    async fn run(mut self, mut outbox: Outbox) {
        let (followed, mut done) = mpsc::unbounded_channel::<String>();
        loop {
            tokio::select! {
                Some(word) = outbox.say.recv() => self.line.say(word, "").await,
                Some(request) = outbox.asked.recv() => self.ask(request).await,
                Some((change, sender)) = outbox.told.recv() => {
                    self.changes += 1;
                    self.following.insert(self.changes, sender);
                    self.line.say("follow", &format!("{} {change}", self.changes)).await;
                }
                Some(ticket) = done.recv() => self.line.say("followed", &ticket).await,
                heard = self.line.hear() => {
                    let Some(heard) = heard else {
                        self.wishes.send_replace(Wish::Orphaned);
                        return;
                    };
                    self.hear(&heard, &followed).await;
                }
            }
        }
    }

    /// Passes on a request for an upgrade, unless there is one already.
    async fn ask(&mut self, request: UpgradeRequest) {
        if self.frozen || self.upgrading.is_some() {
            let _ = request.done.send(Err(IN_PROGRESS.to_owned()));
            return;
        }
        self.line.say("upgrade", &request.path.to_string_lossy()).await;
        self.upgrading = Some(request);
    }

    async fn hear(&mut self, heard: &str, followed: &mpsc::UnboundedSender<String>) {
        let (word, text) = super::word(heard);
        match word {
            "serve" => drop(self.wishes.send_replace(Wish::Serve)),
            "freeze" => {
                self.freeze(true);
                self.line.say("frozen", "").await;
            }
            "failed" => {
                self.freeze(false);
                self.upgraded(Err(text.to_owned()));
            }
            "upgraded" => {
                let limits = self.upgrading.as_ref().map(|request| request.limits);
                self.wishes.send_replace(Wish::End(limits));
                self.upgraded(Ok(()));
            }
            "follow" => {
                let (ticket, change) = text.split_once(' ').unwrap_or((text, ""));
                let (following, ticket) = (self.predecessor.follow(change), ticket.to_owned());
                let followed = followed.clone();
                tokio::spawn(async move {
                    following.await;
                    followed.send(ticket)
                });
            }
            "followed" => {
                let waiting = text.parse().ok().and_then(|number| self.following.remove(&number));
                // A command that has stopped waiting doesn't need it.
                waiting.map(|waiting| waiting.send(()));
            }
            _ => {}
        }
    }

    fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
        self.predecessor.freeze(frozen);
    }

    fn upgraded(&mut self, result: Result<(), String>) {
        if let Some(request) = self.upgrading.take() {
            let _ = request.done.send(result);
        }
    }
}
