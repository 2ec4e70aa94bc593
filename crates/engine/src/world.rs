//! The surroundings of every run, and its options.

use std::sync::Arc;
use std::time::Duration;

use bowline_config::Timeouts;
use bowline_core::selection::Filters;
use tokio::sync::watch;

use crate::error::{Failure, RunError};
use crate::event::Events;
use crate::ports::{Images, Local, Network, Output};
pub use crate::proxy::kamal::image::OwnImage;

pub struct World {
    pub network: Arc<dyn Network>,
    pub local: Arc<dyn Local>,
    pub images: Arc<dyn Images>,
    pub events: Arc<dyn Events>,
    pub stop: StopSignal,
    pub own_proxy: OwnImage,
    /// How long to wait for a deploy lock that another run holds.
    pub lock_wait: Duration,
    /// All other time limits.
    pub timeouts: Timeouts,
}

impl World {
    /// Waits for work that an interrupt can drop, because it leaves nothing to undo.
    pub(crate) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, RunError> {
        tokio::select! {
            done = work => Ok(done),
            () = self.stop.triggered() => Err(RunError::interrupted()),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--hosts`, `--roles`, `--primary`.
    pub filters: Filters,
    pub version: Option<String>,
    /// `--skip-push`: neither build nor push.
    pub skip_push: bool,
    /// `--image-archive`: a file or directory that contains the image, instead of a build.
    pub image_archive: Option<String>,
    /// `--no-cache`: build without the layers of earlier builds.
    pub no_cache: bool,
    /// `--skip-hooks`.
    pub skip_hooks: bool,
    /// The command's first word, for hooks (`deploy`, `app`, …).
    pub command: String,
    /// The command's second word, if it is a subcommand (`boot` in `app boot`).
    pub subcommand: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostOutput {
    pub host: String,
    pub role: Option<String>,
    pub output: Output,
}

impl HostOutput {
    /// A message from Bowline about a server.
    pub fn said(host: &str, role: Option<&str>, text: &str) -> Self {
        let output = Output { stdout: format!("{text}\n"), ..Output::default() };
        Self { host: host.into(), role: role.map(Into::into), output }
    }
}

/// The output of servers, and the servers that failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gathered {
    pub outputs: Vec<HostOutput>,
    /// Failed servers and roles. None of them is in `outputs`.
    pub failures: Vec<Failure>,
    pub total: usize,
}

impl Gathered {
    pub fn error(&self) -> Option<RunError> {
        (!self.failures.is_empty()).then(|| RunError::servers(self.failures.clone(), self.total))
    }
}

/// Asks a run to stop: undo unfinished steps, release the lock, end.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<bool>);

#[derive(Debug)]
pub struct StopTrigger(watch::Sender<bool>);

impl StopSignal {
    pub fn new() -> (StopTrigger, StopSignal) {
        let (sender, receiver) = watch::channel(false);
        (StopTrigger(sender), StopSignal(receiver))
    }

    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is triggered; forever, if the trigger is dropped.
    pub async fn triggered(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl StopTrigger {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}
