//! The daemon's side of the control socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::{Command, ControlRequest, LINE, Reply, VERSION};
use crate::drain::Limits;
use crate::gate::Notice;
use crate::log;
use crate::service::{self, Services};
use crate::state::Store;

/// How long a client may take to send its command, and to read the reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// Performs `upgrade PATH`. The error says why the running binary stays.
pub type Upgrade =
    Arc<dyn Fn(PathBuf, Limits) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Executes the commands that arrive on the control socket.
#[derive(Clone)]
pub struct Control {
    pub services: Services,
    /// [`keep`] saves each change here.
    pub store: Arc<Store>,
    pub upgrade: Upgrade,
    pub busy: Busy,
}

/// The number of commands in progress.
#[derive(Clone, Debug, Default)]
pub struct Busy(Arc<watch::Sender<usize>>);

impl Busy {
    fn begin(&self) -> Begun {
        self.0.send_modify(|commands| *commands += 1);
        Begun(self.clone())
    }

    /// Returns once no command is in progress, or after `limit`.
    pub async fn idle(&self, limit: Duration) {
        let mut commands = self.0.subscribe();
        let _ = tokio::time::timeout(limit, commands.wait_for(|commands| *commands == 0)).await;
    }
}

struct Begun(Busy);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.0.send_modify(|commands| *commands -= 1);
    }
}

/// Opens the socket, accessible only to its owner. Replaces one that a former daemon left behind.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    // Created under another name and then renamed: at no moment can others connect, or is the socket missing.
    let temporary = path.with_extension("sock.new");
    remove(&temporary)?;
    let listener = UnixListener::bind(&temporary)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&temporary, path)?;
    Ok(listener)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Restores the services from the state file. From then on, saves each change before it takes effect.
pub fn keep(store: Store, services: &Services) -> Arc<Store> {
    let store = Arc::new(store);
    services.restore(store.load());
    store.restored(&services.snapshot());
    let saving = Arc::clone(&store);
    services.keep_in(move |state| saving.save(&state).map_err(|error| error.to_string()));
    store
}

impl Control {
    /// Serves commands until dropped.
    pub async fn serve(self, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(self.clone().answer(stream))),
                Err(error) => {
                    log::error("Error accepting control connection", &[("error", &error)]);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn answer(self, stream: UnixStream) {
        let _begun = self.busy.begin();
        let (read, mut write) = stream.into_split();
        let mut line = Vec::new();
        let mut read = BufReader::new(read.take(LINE as u64));
        let whole = tokio::time::timeout(PATIENCE, read.read_until(b'\n', &mut line)).await;
        let reply = match whole {
            Ok(Ok(0)) => return,
            Ok(Ok(_)) if line.ends_with(b"\n") => self.reply(&line).await,
            Ok(Ok(_)) => refusal("the command is incomplete or too long".to_owned()),
            Ok(Err(_)) | Err(_) => return,
        };
        let mut text = serde_json::to_vec(&reply).unwrap_or_default();
        text.push(b'\n');
        // The client may be gone.
        let _ = tokio::time::timeout(PATIENCE, write.write_all(&text)).await;
    }

    async fn reply(&self, line: &[u8]) -> Reply {
        match read(line) {
            Ok(command) => match self.run(command).await {
                Ok(data) => Reply { version: VERSION, error: None, data },
                Err(error) => refusal(error),
            },
            Err(error) => refusal(error),
        }
    }

    async fn run(&self, command: Command) -> Result<Value, String> {
        match command {
            Command::List => return json(&self.services.list()),
            Command::Stats { service } => return json(&self.services.stats(&service).map_err(text)?),
            Command::Upgrade { path, drain } => (self.upgrade)(path, drain).await?,
            Command::Remove { service } => self.remove(&service)?,
            other => self.change(other).await.map_err(text)?,
        }
        Ok(Value::Null)
    }

    /// A service that could not be restored exists only in the file, and can be removed from there.
    fn remove(&self, service: &str) -> Result<(), String> {
        let removed = self.services.remove(service);
        if !self.store.forget(service) {
            return removed.map_err(text);
        }
        self.services.save().map_err(text)
    }

    async fn change(&self, command: Command) -> Result<(), service::Error> {
        let services = &self.services;
        match command {
            Command::Deploy(deploy) => services.deploy(*deploy).await,
            Command::Prepare(deploy) => services.prepare(*deploy).await,
            Command::Switch { service } => services.switch(&service).await,
            Command::Pause { service, drain, wait } => services.pause(&service, drain, wait).await,
            Command::Stop { service, drain, message, retry_after } => {
                services.stop(&service, drain, Notice { message: message.into(), retry_after }).await
            }
            Command::Resume { service } => services.resume(&service),
            Command::RolloutDeploy(set) => {
                services.rollout_deploy(&set.service, &set.targets, &set.readers, set.deployment).await
            }
            Command::RolloutSet { service, percentage, allowlist } => {
                services.rollout_set(&service, percentage, allowlist)
            }
            Command::RolloutStop { service } => services.rollout_stop(&service),
            Command::List | Command::Stats { .. } | Command::Upgrade { .. } | Command::Remove { .. } => {
                Ok(())
            }
        }
    }
}

/// Parses a command. Fails if the line is of another version or not a command.
pub fn read(line: &[u8]) -> Result<Command, String> {
    /// The part that is the same in all versions.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let not_ours = |error: serde_json::Error| format!("invalid command: {error}");
    let Versioned { version } = serde_json::from_slice(line).map_err(not_ours)?;
    if version != VERSION {
        return Err(format!(
            "this command uses version {version} of the control protocol, but the running proxy uses version {VERSION}: run the proxy's own command"
        ));
    }
    Ok(serde_json::from_slice::<ControlRequest>(line).map_err(not_ours)?.command)
}

fn refusal(error: String) -> Reply {
    Reply { version: VERSION, error: Some(error), data: Value::Null }
}

fn json(data: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(data).map_err(|error| error.to_string())
}

fn text(error: service::Error) -> String {
    error.to_string()
}
