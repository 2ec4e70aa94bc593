//! Simulated servers: they behave like real ones as far as the engine can see, with time that tests can pause, and can
//! kill a run at every step.
//!
//! Each server is a small model of a machine with Docker, Traefik and a home directory. It carries out steps effect by
//! effect, answers in the same text as the real scripts, and records every moment in which a client could have lost a
//! request. A test can also make it do what servers do by themselves. A *boundary* is before and after every effect
//! that changes something. A test can end the run for good at the n-th boundary, as `kill -9` would.

mod assets;
mod beside;
mod channel;
mod docker;
mod images;
mod kamal;
mod machine;
mod network;
mod program;
mod server;
mod shop;
mod spontaneous;
mod steps;
mod takeover;
mod traefik;

pub(crate) use docker::FakeDocker;
pub(crate) use images::{FakeImages, Printed};
pub(crate) use kamal::{FakeProgram, Upgrades};
pub(crate) use machine::{Behaviour, FakeLock, Machine, Present};
pub(crate) use network::{FakeNetwork, Garbled, How, Silent};
pub(crate) use program::FakeConsole;
pub(crate) use shop::{Answer, Shop, says};
pub(crate) use spontaneous::{Addresses, Happens, What};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bowline_config::{SourceFile, load};

use crate::call::Call;
use crate::event::{Event, Events};
use crate::ports::{Held, Line, Local, LocalCommand, OnLine, Output, PathKind, Pieces};
use crate::project::Project;
use crate::secrets::Store;
use crate::world::{Options, OwnImage, StopSignal, StopTrigger, World};

/// Locks a mutex, even a poisoned one.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

impl Events for Recorder {
    fn emit(&self, event: Event) {
        locked(&self.0).push(event);
    }
}

impl Recorder {
    pub(crate) fn events(&self) -> Vec<Event> {
        locked(&self.0).clone()
    }
}

/// A machine to deploy from, with the files, hooks and programs that a test sets. The programs in `programs` print that
/// they ran. Others only succeed, unless `answers` or `otherwise` says more.
#[derive(Debug, Default)]
pub(crate) struct FakeLocal {
    pub files: BTreeMap<String, String>,
    /// Executable files by path, with their exit statuses.
    pub programs: BTreeMap<String, u32>,
    /// The results of other programs, by their last word.
    pub answers: BTreeMap<String, Output>,
    /// The result of programs that `answers` lacks.
    pub otherwise: Output,
    /// A program with a word that contains this never ends.
    pub hangs: Option<String>,
    /// How long programs take, by path.
    pub takes: BTreeMap<String, std::time::Duration>,
    pub variables: BTreeMap<String, String>,
    pub ran: Mutex<Vec<LocalCommand>>,
    pub counter: Mutex<u64>,
}

#[async_trait]
impl Local for FakeLocal {
    async fn run(&self, command: &LocalCommand, on_line: OnLine<'_>) -> Result<Output, String> {
        locked(&self.ran).push(command.clone());
        if self.hangs.as_ref().is_some_and(|text| command.words.iter().any(|word| word.contains(text))) {
            std::future::pending::<()>().await;
        }
        if let Some(time) = command.words.first().and_then(|word| self.takes.get(word)) {
            tokio::time::sleep(*time).await;
        }
        if let Some((path, status)) = command.words.first().and_then(|word| self.programs.get_key_value(word))
        {
            on_line(Line::Out(&format!("{path} was here")));
            return Ok(Output { exit: crate::ports::Exit::Status(*status), ..Output::default() });
        }
        if command.words.last().is_some_and(|word| word == "--reference") {
            return Ok(Output { stdout: "bowline-proxy:v10.0.1.0\n".into(), ..Output::default() });
        }
        let answer = command.words.last().and_then(|word| self.answers.get(word));
        Ok(answer.unwrap_or(&self.otherwise).clone())
    }

    fn pieces(&self, command: &LocalCommand) -> Box<dyn Pieces> {
        locked(&self.ran).push(command.clone());
        Box::new(Printed::of(Ok(self.otherwise.clone())))
    }

    fn companion(&self, program: &str) -> String {
        program.into()
    }

    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.files.get(path).cloned())
    }

    fn read_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        if path.starts_with("/cache/proxy-image-") {
            return Ok(Some(b"archive".into()));
        }
        Ok(self.read(path)?.map(String::into_bytes))
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let within = |path: &String| {
            path.strip_prefix(directory).filter(|name| !name.contains('/')).map(str::to_owned)
        };
        self.files.keys().filter_map(within).collect()
    }

    fn kind(&self, path: &str) -> Option<PathKind> {
        let file = || self.files.contains_key(path).then_some(PathKind::File);
        let inside = |name: &&String| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        let directory = || self.files.keys().find(inside).map(|_| PathKind::Directory);
        self.programs.contains_key(path).then_some(PathKind::Program).or_else(file).or_else(directory)
    }

    fn hold(&self, _: &str) -> Result<Option<Held>, String> {
        Ok(Some(Box::new(())))
    }

    fn cache(&self) -> Result<String, String> {
        Ok("/cache".into())
    }

    fn has_terminal(&self) -> bool {
        false
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn now(&self) -> i64 {
        1_750_000_000
    }

    fn random_hex(&self, bytes: usize) -> String {
        let mut counter = locked(&self.counter);
        *counter += 1;
        let text = format!("{:016x}", *counter);
        text.repeat(bytes.div_ceil(8)).chars().take(bytes * 2).collect()
    }
}

impl FakeLocal {
    /// The programs that ran so far: each one's path and environment.
    pub(crate) fn ran(&self) -> Vec<(String, BTreeMap<String, String>)> {
        let program = |command: &LocalCommand| {
            let env = command.env.iter().map(|(key, value)| (key.clone(), value.expose().to_string()));
            (command.words.first().cloned().unwrap_or_default(), env.collect())
        };
        locked(&self.ran).iter().map(program).collect()
    }
}

pub(crate) struct Scripted {
    pub world: World,
    pub network: Arc<FakeNetwork>,
    /// The machine to deploy from.
    pub local: Arc<FakeLocal>,
    /// The images on that machine.
    pub images: Arc<FakeImages>,
    pub recorder: Arc<Recorder>,
    pub trigger: StopTrigger,
}

impl Scripted {
    /// Creates empty servers.
    pub(crate) fn new(hosts: &[&str]) -> Self {
        Self::on(Arc::new(FakeNetwork::new(hosts)), FakeLocal::default())
    }

    /// Another process that deploys to the same servers.
    pub(crate) fn on(network: Arc<FakeNetwork>, local: FakeLocal) -> Self {
        let recorder = Arc::new(Recorder::default());
        let (trigger, stop) = StopSignal::new();
        *locked(&local.counter) = network.next_process();
        let local = Arc::new(local);
        let images = Arc::new(FakeImages::default());
        let world = World {
            timeouts: bowline_config::Timeouts::default(),
            network: Arc::new(network::Wires(network.clone())),
            own_proxy: OwnImage::new(local.clone()),
            local: local.clone(),
            images: images.clone(),
            events: recorder.clone(),
            stop,
            lock_wait: std::time::Duration::ZERO,
        };
        Self { world, network, local, images, recorder, trigger }
    }

    pub(crate) fn call<'a>(&'a self, project: &'a Project, options: &'a Options) -> Call<'a> {
        Call { world: &self.world, project, options }
    }

    /// Descriptions of all moments in which clients could have lost requests.
    pub(crate) fn losses(&self) -> Vec<String> {
        self.network.hosts().iter().flat_map(|host| self.network.machine(host).losses.clone()).collect()
    }
}

/// A project from the text of a `deploy.yml`, with a registry login and one secret.
///
/// # Panics
/// If the text isn't a valid configuration.
#[allow(clippy::panic)] // A test's own text that is wrong is a mistake in the test.
pub(crate) fn project(yaml: &str) -> Project {
    project_with(yaml, "")
}

/// Like [`project`], with additional lines in the secrets file.
///
/// # Panics
/// If the text isn't a valid configuration.
#[allow(clippy::panic)] // As above.
pub(crate) fn project_with(yaml: &str, secrets: &str) -> Project {
    let text = format!("registry:\n  server: r.test\n  username: u\n  password: [PW]\n{yaml}");
    let files = [(".kamal/secrets".to_string(), format!("PW=sentinel-pw\n{secrets}"))].into();
    let local = FakeLocal { files, ..FakeLocal::default() };
    match load(SourceFile::new("config/deploy.yml", text), None) {
        Ok(loaded) => Project {
            secrets: Arc::new(Store::load(&local, &loaded.config)),
            config: loaded.config,
            secret_uses: loaded.secrets,
        },
        Err(errors) => panic!("{}", errors.render(false)),
    }
}
