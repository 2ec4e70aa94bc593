//! One SSH connection: handshake, host key, login, and then its channels.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bowline_config::Timeouts;
use bowline_engine::ports::{Entry, Known, ServerError};
use russh::client::{self, ChannelOpenHandle, Config, DisconnectReason, Handle, Handler, Msg};
use russh::keys::PublicKey;
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::Result;
use crate::auth::{Credentials, Login};
use crate::backlog::Backlog;
use crate::budget::Budget;
use crate::channel::{Opened, Start};
use crate::descriptors::Descriptors;
use crate::forward::{self, Forwards};
use crate::keys::KeyStore;
use crate::known_hosts::{self, Asks, HostName, KnownHosts, Sources};
use crate::ssh_config::Algorithms;
use crate::stream::{Bytes, Cut, Guarded, Heard};

/// After this many unanswered keepalives, and one more interval, a connection is dead.
const KEEPALIVES: u32 = 4;

/// After this much silence, a connection may be dead. Usually a keepalive gets a response every five seconds.
const QUIET: Duration = Duration::from_secs(8);

/// If more channels than this were abandoned while their program ran, steps use a new connection: sshd counts those
/// sessions until the programs end, and refuses more than ten (`MaxSessions`).
const LEFT_BEHIND: usize = 2;

pub(crate) struct Target {
    /// The name of its key in known_hosts files.
    pub(crate) name: HostName,
    pub(crate) known_hosts: KnownHosts,
    pub(crate) sources: Sources,
    pub(crate) command: Option<known_hosts::Command>,
    pub(crate) credentials: Credentials,
    pub(crate) algorithms: Algorithms,
    pub(crate) channels: usize,
    pub(crate) timeouts: Timeouts,
}

pub(crate) struct Way {
    pub(crate) stream: Box<dyn Bytes>,
    /// The proxy command behind the stream, as the shell got it.
    pub(crate) command: Option<String>,
    /// Permits for its own descriptors, if it has any, and for the agent's during the login.
    pub(crate) room: Option<OwnedSemaphorePermit>,
    /// How many of these permits are for the agent.
    pub(crate) agent: u32,
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) via: Option<Arc<Session>>,
}

/// Why the connection ended, once it has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending(Arc<Mutex<Option<String>>>);

impl Ending {
    fn set(&self, why: String) {
        let mut ending = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        ending.get_or_insert(why);
    }

    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

/// A live connection. Dropping it ends it.
pub(crate) struct Session {
    handle: Handle<Client>,
    ending: Ending,
    permits: Arc<Semaphore>,
    /// The total number of permits.
    limit: AtomicUsize,
    /// A channel opened ahead, for the next step.
    spare: (mpsc::Sender<Opened>, tokio::sync::Mutex<mpsc::Receiver<Opened>>),
    /// The number of channels with long-running programs.
    kept: watch::Sender<usize>,
    /// The number of such programs and forwarded ports, each of which keeps the connection in use.
    stays: AtomicUsize,
    /// The number of its descriptors, and the place where they are counted.
    room: (usize, Arc<Descriptors>),
    left: AtomicUsize,
    broken: AtomicBool,
    /// Whether the login shell has run one of our programs.
    runs: AtomicBool,
    heard: Heard,
    timeouts: Timeouts,
    backlog: Backlog,
    forwards: Forwards,
    entry: Entry,
    _cut: Cut,
    _via: Option<Arc<Session>>,
}

impl Session {
    pub(crate) async fn open(
        way: Way,
        mut target: Target,
        keys: &KeyStore,
        mut budget: Budget,
    ) -> Result<Self> {
        let Way { stream, command, mut room, agent, descriptors, via } = way;
        let by_command = command.as_deref();
        // The agent's permits are released after the login.
        let for_login = room.as_mut().and_then(|room| room.split(agent as usize));
        let room = room.filter(|room| room.num_permits() > 0);
        let places = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let backlog = Backlog::default();
        let (stream, cut, heard) = Guarded::new(stream, target.timeouts.silence, backlog.clone(), room);
        if let Some(command) = &target.command {
            let printed = command.run(&target.name, Asks::Types).await?;
            target.sources.take(&command.words.join(" "), &printed);
        }
        let (ending, forwards) = (Ending::default(), Forwards::new(backlog.clone()));
        let shown = Arc::default();
        let client = Client {
            name: target.name.clone(),
            known_hosts: target.known_hosts.clone(),
            sources: target.sources.clone(),
            command: target.command.clone(),
            ending: ending.clone(),
            accepted: None,
            shown: Arc::clone(&shown),
            silence: target.timeouts.silence,
            forwards: forwards.clone(),
        };
        let config = config(&target)?;
        let connecting = client::connect_stream(Arc::new(config), stream, client);
        let mut handle = match budget.spend(connecting).await {
            Ok(Ok(handle)) => handle,
            Ok(Err(ClientError::Host(error))) => return Err(error),
            Ok(Err(ClientError::Ssh(error))) => return Err(handshake(&target.name, by_command, &error)),
            Err(why) => return Err(silent(&target.name, by_command, &why)),
        };
        let login = Login::new(&mut handle, &target.credentials, keys, &mut budget).run().await;
        let key = login.map_err(|refused| {
            let why = ending.get().map(|why| format!(" ({why})")).unwrap_or_default();
            ServerError::Unreachable { reason: format!("{}{why}", refused.reason), hint: Some(refused.hint) }
        })?;
        let (host_key, known) = shown.get().cloned().unwrap_or((String::new(), Known::New));
        let login = format!("{}@{}", target.credentials.user, target.name);
        drop(for_login);
        let (sender, receiver) = mpsc::channel(1);
        Ok(Self {
            handle,
            ending,
            permits: Arc::new(Semaphore::new(target.channels)),
            limit: AtomicUsize::new(target.channels),
            spare: (sender, tokio::sync::Mutex::new(receiver)),
            kept: watch::Sender::new(0),
            stays: AtomicUsize::new(0),
            room: (places, descriptors),
            left: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            runs: AtomicBool::new(false),
            heard,
            timeouts: target.timeouts,
            backlog,
            forwards,
            entry: Entry { login, key, host_key, known },
            _cut: cut,
            _via: via,
        })
    }

    pub(crate) fn usable(&self) -> bool {
        !self.handle.is_closed()
            && !self.broken.load(Ordering::Relaxed)
            && self.left.load(Ordering::Relaxed) <= LEFT_BEHIND
    }

    pub(crate) fn runs_programs(&self) -> bool {
        self.runs.load(Ordering::Relaxed)
    }

    pub(crate) fn ran_a_program(&self) {
        self.runs.store(true, Ordering::Relaxed);
    }

    /// Keeps new steps off this connection.
    pub(crate) fn give_up(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_descriptors(&self) -> bool {
        self.room.0 > 0
    }

    /// Marks it as in use until the returned value is dropped.
    pub(crate) fn stay(self: &Arc<Self>, what: Stay) -> Staying {
        if what == Stay::Channel {
            self.kept.send_modify(|kept| *kept += 1);
        }
        if self.stays.fetch_add(1, Ordering::SeqCst) == 0 {
            self.room.1.keep(self.room.0);
        }
        Staying { session: Arc::clone(self), what }
    }

    /// Waits until long-running programs use all its channels, so that none will become free.
    async fn only_kept(&self) {
        let full = |kept: &usize| *kept >= self.limit.load(Ordering::SeqCst);
        // Can't fail: the sender lives as long as `self`.
        let _ = self.kept.subscribe().wait_for(full).await;
    }

    pub(crate) fn handle(&self) -> &Handle<Client> {
        &self.handle
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    pub(crate) fn forwards(&self) -> &Forwards {
        &self.forwards
    }

    pub(crate) fn leave_behind(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    pub(crate) fn why(&self, otherwise: &str) -> String {
        self.ending.get().unwrap_or_else(|| otherwise.to_owned())
    }

    pub(crate) fn lost(&self) -> ServerError {
        ServerError::Lost { reason: self.why("the channel closed without a status") }
    }

    /// Returns a channel for a step: the spare one, or a new one when a permit is free.
    pub(crate) async fn channel(self: &Arc<Self>) -> Result<Opened, Start> {
        let spare = async { self.spare.1.lock().await.recv().await };
        let mut opened = tokio::select! {
            biased;
            Some(opened) = spare => opened,
            opened = self.open_channel() => opened?,
        };
        // sshd can be set to close idle channels (ChannelTimeout). And if the connection was silent for a while,
        // opening a new channel checks that the server responds before the step is sent: a step can't be sent twice.
        if opened.has_ended().await || self.heard.elapsed() > QUIET {
            drop(opened);
            opened = self.open_channel().await?;
        }
        self.prepare();
        Ok(opened)
    }

    /// Opens a spare channel in the background if a permit is free, which saves the next step a round trip.
    pub(crate) fn prepare(self: &Arc<Self>) {
        let (Ok(permit), Ok(place)) =
            (Arc::clone(&self.permits).try_acquire_owned(), self.spare.0.clone().try_reserve_owned())
        else {
            return;
        };
        let session = Arc::clone(self);
        tokio::spawn(async move {
            if let Ok(channel) = session.handle.channel_open_session().await {
                place.send(Opened::new(&session, channel, permit));
            }
        });
    }

    async fn open_channel(self: &Arc<Self>) -> Result<Opened, Start> {
        loop {
            let permit = tokio::select! {
                biased;
                permit = Arc::clone(&self.permits).acquire_owned() => permit,
                () = self.only_kept() => {
                    self.give_up();
                    return Err(Start::Full);
                }
            };
            let permit = permit.map_err(|_| Start::NotSent("no channels".to_owned()))?;
            match self.open_with(permit).await {
                Ok(opened) => return Ok(opened),
                Err((permit, russh::Error::ChannelOpenFailure(why))) => self.refused(permit, &why)?,
                Err((_, error)) => return Err(Start::NotSent(self.why(&error.to_string()))),
            }
        }
    }

    /// Opens a channel in a separate task. If its step has gone by then, the channel closes when it opens.
    async fn open_with(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Opened, (Option<OwnedSemaphorePermit>, russh::Error)> {
        let session = Arc::clone(self);
        let opening = tokio::spawn(async move {
            match session.handle.channel_open_session().await {
                Ok(channel) => Ok(Opened::new(&session, channel, permit)),
                Err(error) => Err((Some(permit), error)),
            }
        });
        opening.await.unwrap_or(Err((None, russh::Error::Disconnect)))
    }

    /// Handles a refusal to open more channels. Returns `Ok` to wait until another one closes.
    fn refused(&self, permit: Option<OwnedSemaphorePermit>, why: &ChannelOpenFailure) -> Result<(), Start> {
        if self.left.load(Ordering::Relaxed) > 0 {
            self.give_up();
            return Err(Start::NotSent("abandoned programs still use its sessions".to_owned()));
        }
        let limit = self.limit.load(Ordering::SeqCst);
        let open = limit.saturating_sub(self.permits.available_permits());
        let kept = *self.kept.borrow();
        if kept > 0 && open <= kept + 1 {
            // The server allows only the sessions of long-running programs (MaxSessions).
            self.give_up();
            return Err(Start::Full);
        }
        if open > 1 {
            // The server allows fewer sessions than the limit, so lower the limit.
            self.limit.fetch_sub(1, Ordering::SeqCst);
            self.kept.send_modify(|_| {});
            if let Some(permit) = permit {
                permit.forget();
            }
            return Ok(());
        }
        Err(Start::Refused(ServerError::Unreachable {
            reason: format!("logged in, but the server refused a session: {why:?}"),
            hint: Some("check MaxSessions in its sshd_config".into()),
        }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// A program that runs as long as its channel is open.
    Channel,
    Port,
}

pub(crate) struct Staying {
    session: Arc<Session>,
    what: Stay,
}

impl Drop for Staying {
    fn drop(&mut self) {
        let session = &self.session;
        if self.what == Stay::Channel {
            session.kept.send_modify(|kept| *kept -= 1);
        }
        if session.stays.fetch_sub(1, Ordering::SeqCst) == 1 {
            session.room.1.unkeep(session.room.0);
        }
    }
}

fn config(target: &Target) -> Result<Config> {
    let keys = target.known_hosts.preferred(&target.sources, &target.name)?;
    Ok(Config {
        preferred: target.algorithms.preferred(keys)?,
        keepalive_interval: Some(target.timeouts.silence / (KEEPALIVES + 1)),
        keepalive_max: KEEPALIVES as usize,
        inactivity_timeout: None,
        nodelay: true,
        ..Config::default()
    })
}

/// The error of a handshake. `command` is the proxy command that carries the connection.
fn handshake(name: &HostName, command: Option<&str>, error: &russh::Error) -> ServerError {
    use russh::Error;
    let (reason, hint) = match (error, command) {
        (Error::Version | Error::HUP | Error::Disconnect | Error::IO(_), Some(line)) => (
            format!("the proxy command `{line}` did not connect to {name}: {error}"),
            "run the command yourself: it should print a line that starts with `SSH-2.0`".to_owned(),
        ),
        (Error::Version, None) => {
            (format!("{name} does not speak SSH"), "is another service on this port?".to_owned())
        }
        (Error::NoCommonAlgo { kind, theirs, .. }, _) => (
            format!("no {kind:?} algorithm in common with {name}, which has {}", theirs.join(", ")),
            "its OpenSSH may be too old".to_owned(),
        ),
        (Error::HUP | Error::Disconnect | Error::IO(_), None) => (
            format!("{name} hung up during the handshake: {error}"),
            "sshd may be overloaded (MaxStartups), or a firewall may block this address".to_owned(),
        ),
        (error, _) => {
            (format!("the handshake with {name} failed: {error}"), format!("does `ssh -v {name}` work?"))
        }
    };
    ServerError::Unreachable { reason, hint: Some(hint) }
}

fn silent(name: &HostName, command: Option<&str>, why: &str) -> ServerError {
    let (reason, hint) = match command {
        Some(line) => (
            format!("the proxy command `{line}` started, but {name} sent nothing: {why}"),
            "run the command yourself: it should print a line that starts with `SSH-2.0`",
        ),
        None => (
            format!("{name} accepted the connection but sent nothing: {why}"),
            "does sshd listen on this port? Is the server overloaded?",
        ),
    };
    ServerError::Unreachable { reason, hint: Some(hint.into()) }
}

#[derive(Debug)]
pub(crate) struct Client {
    name: HostName,
    known_hosts: KnownHosts,
    sources: Sources,
    command: Option<known_hosts::Command>,
    ending: Ending,
    /// The host key that was checked. The server shows it again in each key exchange.
    accepted: Option<PublicKey>,
    /// The fingerprint of the first accepted key, and whether it was known.
    shown: Arc<OnceLock<(String, Known)>>,
    silence: Duration,
    forwards: Forwards,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    #[error(transparent)]
    Host(ServerError),
}

impl Handler for Client {
    type Error = ClientError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, ClientError> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        if self.accepted.as_ref().is_some_and(|accepted| accepted.key_data() == key.key_data()) {
            return Ok(true);
        }
        if let Some(command) = &self.command {
            let printed = command.run(&self.name, Asks::Key(key)).await.map_err(ClientError::Host)?;
            self.sources.take(&command.words.join(" "), &printed);
        }
        let known = self.known_hosts.check(&self.sources, &self.name, key).map_err(ClientError::Host)?;
        self.shown.get_or_init(|| (known_hosts::fingerprint(key), known));
        self.accepted = Some(key.clone());
        Ok(true)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), ClientError> {
        forward::pass(&self.forwards, port, channel, reply);
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<ClientError>) -> Result<(), ClientError> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.ending.set(format!("the server said: {}", info.message.trim()));
                Ok(())
            }
            DisconnectReason::Error(error) => {
                self.ending.set(match &error {
                    ClientError::Ssh(russh::Error::KeepaliveTimeout) => {
                        format!("no sign of life for {} s", self.silence.as_secs_f32())
                    }
                    ClientError::Ssh(russh::Error::HUP | russh::Error::Disconnect) => {
                        "closed by the other side".to_owned()
                    }
                    // A server that shuts down may close the connection without a message.
                    ClientError::Ssh(russh::Error::IO(error))
                        if error.kind() == std::io::ErrorKind::UnexpectedEof =>
                    {
                        "closed by the other side".to_owned()
                    }
                    error => error.to_string(),
                });
                Err(error)
            }
        }
    }
}
