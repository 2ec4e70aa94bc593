//! The connections of this process: one per server, shared by all steps, and reopened if it breaks between two.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bowline_config::secret::Secret;
use bowline_config::ssh::Ssh;
use bowline_core::plan::step::Step;
use bowline_engine::ports::{
    Accept, Attached, Channel, Entry, Limit, Listening, Network, OnLine, Output, Reader, Server, ServerError,
    Terminal,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::Result;
use crate::auth::Credentials;
use crate::budget::Budget;
use crate::channel::{Running, Start};
use crate::descriptors::Descriptors;
use crate::jump::{self, Hop, Route};
use crate::keys::KeyStore;
use crate::known_hosts::{self, HostName, Sources, Store};
use crate::lines::{Room, TOGETHER_LIMIT};
use crate::options::{Options, Prompt};
use crate::session::{Session, Target, Way};
use crate::ssh_config::{ConfigReader, Endpoint, HostSettings, Tokens};
use crate::starts::{Gate, Starts};
use crate::stream::Bytes;
use crate::{dial, forward, http};

pub struct SshNetwork {
    shared: Arc<Shared>,
}

struct Shared {
    ssh: Ssh,
    options: Options,
    config: ConfigReader,
    keys: KeyStore,
    room: Room,
    known_hosts: Store,
    starts: Starts,
    descriptors: Arc<Descriptors>,
    slots: Mutex<HashMap<Vec<Endpoint>, Arc<Slot>>>,
}

#[derive(Default)]
struct Slot {
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    /// The last failure. Steps that were waiting at that time get the same error, without another attempt.
    failed: Option<(Instant, ServerError)>,
}

impl SshNetwork {
    /// `ssh` comes from `deploy.yml`. Doesn't connect or read anything yet.
    pub fn new(ssh: Ssh, options: Options, prompt: Arc<dyn Prompt>) -> Self {
        let options = options.for_project(&ssh);
        let shared = Shared {
            config: ConfigReader::new(options.clone()),
            keys: KeyStore::new(prompt),
            room: Room::new(TOGETHER_LIMIT),
            known_hosts: Store::default(),
            starts: Starts::new(options.starts),
            descriptors: Arc::new(Descriptors::new(options.connections)),
            slots: Mutex::default(),
            ssh,
            options,
        };
        Self { shared: Arc::new(shared) }
    }
}

#[async_trait]
impl Network for SshNetwork {
    async fn connect(&self, host: &str) -> Result<Arc<dyn Server>> {
        let shared = Arc::clone(&self.shared);
        let route = Arc::new(Route::plan(host, &shared.ssh, &shared.config).await?);
        let server = SshServer { shared, route };
        server.session().await?.prepare();
        Ok(Arc::new(server))
    }

    async fn resolve(&self, name: &str) -> std::result::Result<Vec<IpAddr>, String> {
        let found = dial::addresses(name, 443, self.shared.options.timeouts.connect).await;
        found.map(|all| all.iter().map(SocketAddr::ip).collect()).map_err(|error| error.to_string())
    }

    fn take_keys(&self, keys: Vec<(String, Secret)>) {
        self.shared.keys.take(keys);
    }
}

/// A server, independent of its current connection.
struct SshServer {
    shared: Arc<Shared>,
    route: Arc<Route>,
}

impl SshServer {
    async fn session(&self) -> Result<Arc<Session>> {
        self.shared.session(&self.route, self.route.hops.len() - 1).await
    }

    /// Starts a step. If a dying connection doesn't accept it, tries a new one.
    async fn start(&self, step: &Step, terminal: Option<&Terminal>) -> Result<Running> {
        let mut first = true;
        loop {
            let session = self.session().await?;
            let started = match session.channel().await {
                Ok(opened) => Running::start(&session, opened, step.script(), terminal).await,
                Err(error) => Err(error),
            };
            match started {
                Ok(running) => return Ok(running),
                Err(Start::Refused(error)) => return Err(error),
                // Long-running programs use all its channels. The next attempt opens a new connection.
                Err(Start::Full) => {}
                Err(Start::NotSent(_)) if first => {
                    session.give_up();
                    first = false;
                }
                Err(Start::NotSent(reason)) => return Err(ServerError::Lost { reason }),
            }
        }
    }
}

#[async_trait]
impl Server for SshServer {
    async fn run(&self, step: &Step, limit: Option<Limit>, on_line: OnLine<'_>) -> Result<Output> {
        let room = step.is_gathered().then_some(&self.shared.room);
        let running = self.start(step, None).await?.finish(on_line, room);
        match limit {
            Some(limit) => limit.bound(running).await,
            None => running.await,
        }
    }

    async fn open(&self, step: &Step, limit: Limit, reader: Reader) -> Result<Box<dyn Channel>> {
        limit.bound(self.start(step, None).await?.keep(reader)).await
    }

    async fn attach(&self, step: &Step, terminal: Option<&Terminal>, limit: Limit) -> Result<Attached> {
        limit.bound(self.start(step, terminal).await?.attach(terminal.is_some())).await
    }

    async fn listen(&self, accept: Arc<dyn Accept>) -> Result<Option<Listening>> {
        forward::listen(self.session().await?, accept).await
    }

    async fn entry(&self) -> Option<Entry> {
        Some(self.session().await.ok()?.entry().clone())
    }

    async fn http_get(&self, address: SocketAddr, path: &str) -> Result<(u16, String)> {
        let session = self.session().await?;
        match http::get(&session, address, path).await {
            // A `GET` request can be repeated.
            Err(ServerError::Lost { .. }) => {
                session.give_up();
                http::get(&*self.session().await?, address, path).await
            }
            answer => answer,
        }
    }
}

impl Shared {
    fn session<'a>(
        &'a self,
        route: &'a Route,
        index: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Session>>> + Send + 'a>> {
        Box::pin(async move {
            let slot = self.slot(route, index);
            let asked = Instant::now();
            let mut state = slot.state.lock().await;
            if let Some(session) = state.session.as_ref().filter(|session| session.usable()) {
                return Ok(Arc::clone(session));
            }
            if let Some((at, error)) = &state.failed
                && *at >= asked
            {
                return Err(error.clone());
            }
            // Steps that use the old connection keep it open.
            state.session = None;
            match self.connect(route, index).await {
                Ok(session) => {
                    let session = Arc::new(session);
                    state.session = Some(Arc::clone(&session));
                    Ok(session)
                }
                Err(error) => {
                    state.failed = Some((Instant::now(), error.clone()));
                    Err(error)
                }
            }
        })
    }

    fn slot(&self, route: &Route, index: usize) -> Arc<Slot> {
        let way = route.hops[..=index].iter().map(|hop| hop.endpoint.clone()).collect();
        let mut slots = self.slots.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Arc::clone(slots.entry(way).or_default())
    }

    async fn connect(&self, route: &Route, index: usize) -> Result<Session> {
        let Some(hop) = route.hops.get(index) else {
            return Err(ServerError::Unreachable { reason: "there is no route to it".into(), hint: None });
        };
        // Before waiting for a turn: the previous hop waits for its own turn, which could depend on ours.
        let via = match index.checked_sub(1) {
            Some(before) => {
                Some(self.session(route, before).await.map_err(|error| on_the_way(error, route, before))?)
            }
            None => None,
        };
        // Waiting for a turn doesn't use up the budget. Waiting for the other side does.
        let mut budget = Budget::new(self.options.timeouts);
        let settings = &hop.settings;
        let agent = u32::from(settings.agent.is_some());
        let mut command = None;
        let (stream, room, _turn) = match (via.as_ref(), &route.proxy_command) {
            (Some(via), _) => {
                let room = if agent > 0 { Some(self.room(agent).await?) } else { None };
                let behind = route.hops[..index].iter().map(|hop| hop.endpoint.clone()).collect();
                let turn = self.starts.turn(Gate::Jump(behind)).await;
                let stream = budget.spend(jump::through(via, settings)).await;
                (stream.map_err(|why| through(settings, &why))??, room, turn)
            }
            (None, Some(line)) => {
                let room = self.room(COMMAND + agent).await?;
                let turn = self.starts.turn(Gate::Command).await;
                let (stream, line) = jump::command(line, hop, &self.options)?;
                command = Some(line);
                (stream, Some(room), turn)
            }
            (None, None) => {
                let room = self.room(1 + agent).await?;
                let (stream, turn) = self.dial(settings, &mut budget).await?;
                (stream, Some(room), turn)
            }
        };
        let way = Way { stream, command, room, agent, descriptors: Arc::clone(&self.descriptors), via };
        Session::open(way, self.target(hop)?, &self.keys, budget).await
    }

    /// Waits for a turn, and connects to the first of a host's addresses that responds.
    async fn dial(
        &self,
        settings: &HostSettings,
        budget: &mut Budget,
    ) -> Result<(Box<dyn Bytes>, Option<OwnedSemaphorePermit>)> {
        let failed = |reason| ServerError::Unreachable { reason, hint: None };
        let within = budget.left();
        let found = budget.spend(dial::addresses(&settings.hostname, settings.port, within)).await;
        let addresses = settings.ends.fitting(&settings.hostname, found.map_err(failed)??)?;
        let turn = match addresses.first() {
            Some(address) => self.starts.turn(Gate::Address(*address)).await,
            None => None,
        };
        let within = budget.left();
        let dialled = budget.spend(dial::tcp(&addresses, &settings.ends, within)).await;
        Ok((Box::new(dialled.map_err(failed)??), turn))
    }

    async fn room(&self, descriptors: u32) -> Result<OwnedSemaphorePermit> {
        self.descriptors.take(descriptors, || self.close_an_idle_one()).await
    }

    /// Closes an unused connection. Returns `false` if there is none.
    fn close_an_idle_one(&self) -> bool {
        let slots = self.slots.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        slots.values().any(|slot| {
            let Ok(mut state) = slot.state.try_lock() else { return false };
            // Its users hold references, which they get under this lock. Behind a jump host it has no descriptor.
            let idle =
                |session: &mut Arc<Session>| Arc::strong_count(session) == 1 && session.has_descriptors();
            state.session.take_if(idle).is_some()
        })
    }

    fn target(&self, hop: &Hop) -> Result<Target> {
        let settings = &hop.settings;
        let name = match &settings.alias {
            Some(alias) => HostName::new(alias, 22),
            None => HostName::new(&settings.hostname, settings.port),
        };
        let tokens = Tokens { options: &self.options, endpoint: &hop.endpoint, settings };
        let words = settings.known_hosts.command.as_ref().map(|line| tokens.known_hosts_command(line));
        let words = words.transpose().map_err(|why| ServerError::Unreachable {
            reason: format!("KnownHostsCommand can't be used: {why}"),
            hint: Some("ssh_config(5) lists its tokens".into()),
        })?;
        Ok(Target {
            name,
            known_hosts: settings.known_hosts.clone(),
            sources: Sources::of(&self.known_hosts),
            command: words.map(|words| known_hosts::Command { words, limit: self.options.timeouts.connect }),
            credentials: self.credentials(settings),
            algorithms: settings.algorithms.clone(),
            channels: self.options.channels.max(1),
            timeouts: self.options.timeouts,
        })
    }

    fn credentials(&self, settings: &HostSettings) -> Credentials {
        let (ssh, options) = (&self.ssh, &self.options);
        let usual: Vec<PathBuf> = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"]
            .iter()
            .map(|path| options.expand(path))
            .collect();
        let mut named: Vec<PathBuf> = ssh.keys.iter().map(|path| options.expand(path)).collect();
        let mut defaults = usual.clone();
        if ssh.keys_only {
            defaults.clear();
        } else {
            // Without configured files, `ssh -G` lists the default ones. A configured file replaces them.
            let configured = settings.identity_files.iter().filter(|file| !is_default(options, file));
            let before = named.len();
            named.extend(configured.cloned());
            if named.len() > before {
                defaults.retain(|file| settings.identity_files.contains(file));
            }
        }
        Credentials {
            user: settings.user.clone(),
            named,
            defaults,
            certificates: settings.certificate_files.clone(),
            agent: settings.agent.clone().filter(|_| settings.keyless.is_none()),
            keyless: settings.keyless,
            pkcs11: settings.pkcs11.clone(),
            agent_only_files: ssh.keys_only || settings.identities_only,
        }
    }
}

/// The descriptors of a proxy command: two pipes and the process handle.
const COMMAND: u32 = 3;

fn through(settings: &HostSettings, why: &str) -> ServerError {
    ServerError::Unreachable {
        reason: format!("could not connect to {} from the jump host: {why}", settings.hostname),
        hint: Some(format!("can the jump host reach port {}?", settings.port)),
    }
}

fn is_default(options: &Options, file: &std::path::Path) -> bool {
    const NAMES: [&str; 8] =
        ["rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "xmss", "dsa", "mldsa44_ed25519"];
    NAMES.iter().any(|name| file == options.expand(&format!("~/.ssh/id_{name}")))
}

fn on_the_way(error: ServerError, route: &Route, index: usize) -> ServerError {
    let host = route.hops.get(index).map(|hop| hop.endpoint.host.as_str()).unwrap_or_default();
    match error {
        ServerError::Unreachable { reason, hint } => {
            ServerError::Unreachable { reason: format!("jump host {host}: {reason}"), hint }
        }
        other => other,
    }
}
