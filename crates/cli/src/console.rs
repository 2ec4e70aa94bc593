//! Our end of a command with attached streams: this process's standard input and outputs.
//!
//! Each direction has a thread, because a terminal or a pipe may block without a limit, and a queue of a few pieces,
//! which limits the memory. While a command has the console, nothing else is written to it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bowline_core::commands::exec::Mode;
use bowline_engine::ports::{Closed, Console, Piece, Size, Terminal};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::settings::{Settings, Verbosity};
use crate::ui::{Handle, Hidden, out, terminal};

/// The maximum number of bytes to read at once.
const PIECE: usize = 32 * 1024;
/// The maximum number of queued pieces per direction.
const WAITING: usize = 4;
/// How long to wait for a pipe that another program made non-blocking.
const PAUSE: Duration = Duration::from_millis(5);

enum Job {
    Write(Piece),
    /// Answered when everything before it is written.
    Flush(oneshot::Sender<()>),
}

pub struct StandardStreams {
    terminal: Option<Terminal>,
    /// Whether to announce the start of a command.
    announces: bool,
    taken: AtomicBool,
    screen: Handle,
    hidden: Mutex<Option<Hidden>>,
    typed: mpsc::Sender<Vec<u8>>,
    input: tokio::sync::Mutex<mpsc::Receiver<Vec<u8>>>,
    resizes: tokio::sync::Mutex<Option<Signal>>,
    jobs: mpsc::Sender<Job>,
}

impl StandardStreams {
    /// Inspects the streams without reading or changing anything. Must be called inside the runtime.
    pub fn new(settings: &Settings, screen: Handle) -> Self {
        let (typed, input) = mpsc::channel(WAITING);
        let (jobs, receiver) = mpsc::channel(WAITING);
        std::thread::spawn(move || write_all(receiver));
        let terminal = terminal::size(io::stdin())
            .map(|size| Terminal { kind: std::env::var("TERM").unwrap_or_else(|_| "dumb".into()), size });
        let resizes = terminal.as_ref().and_then(|_| signal(SignalKind::window_change()).ok());
        Self {
            terminal,
            announces: settings.verbosity != Verbosity::Quiet,
            taken: AtomicBool::new(false),
            screen,
            hidden: Mutex::new(None),
            typed,
            input: tokio::sync::Mutex::new(input),
            resizes: tokio::sync::Mutex::new(resizes),
            jobs,
        }
    }

    pub fn mode(&self) -> Mode {
        if self.terminal.is_some() { Mode::Terminal } else { Mode::Piped }
    }
}

#[async_trait]
impl Console for StandardStreams {
    fn terminal(&self) -> Option<Terminal> {
        self.terminal.clone()
    }

    fn begin(&self, title: &str, reads: bool) -> Result<(), String> {
        *self.hidden.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.screen.hide());
        if !reads {
            return Ok(());
        }
        if self.terminal.is_some() {
            if self.announces {
                out::stderr([crate::ui::clean::line(title)]);
            }
            terminal::make_raw(io::stdin()).map_err(|error| error.to_string())?;
            self.taken.store(true, Ordering::Relaxed);
        }
        let typed = self.typed.clone();
        std::thread::spawn(move || read_all(&typed));
        Ok(())
    }

    async fn read(&self) -> Option<Vec<u8>> {
        // An empty piece marks the end, as `typed` is never dropped.
        self.input.lock().await.recv().await.filter(|piece| !piece.is_empty())
    }

    async fn resized(&self) -> Size {
        let mut resizes = self.resizes.lock().await;
        loop {
            match resizes.as_mut() {
                Some(resizes) => resizes.recv().await,
                None => std::future::pending().await,
            };
            if let Some(size) = terminal::size(io::stdin()) {
                return size;
            }
        }
    }

    async fn write(&self, piece: Piece) -> Result<(), Closed> {
        self.jobs.send(Job::Write(piece)).await.map_err(|_| Closed)
    }

    async fn flush(&self) -> Result<(), Closed> {
        let (done, flushed) = oneshot::channel();
        self.jobs.send(Job::Flush(done)).await.map_err(|_| Closed)?;
        flushed.await.map_err(|_| Closed)
    }

    fn end(&self, cut_off: bool) {
        terminal::restore();
        if cut_off && self.taken.load(Ordering::Relaxed) {
            // The cursor may not be at the start of a line.
            out::stderr([""]);
        }
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A stream of this process without the standard library's buffer.
fn bare(stream: BorrowedFd<'_>) -> io::Result<File> {
    Ok(File::from(stream.try_clone_to_owned()?))
}

/// Sends standard input piece by piece, and an empty piece at its end.
fn read_all(typed: &mpsc::Sender<Vec<u8>>) {
    let Ok(mut stdin) = bare(io::stdin().as_fd()) else { return };
    let mut piece = vec![0; PIECE];
    loop {
        match stdin.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            read => {
                let count = read.unwrap_or(0);
                if typed.blocking_send(piece[..count].to_vec()).is_err() || count == 0 {
                    return;
                }
            }
        }
    }
}

/// Writes the pieces until the reader of standard output is gone. Continues without a reader of standard error.
fn write_all(mut jobs: mpsc::Receiver<Job>) {
    let (Ok(mut stdout), Ok(mut stderr)) = (bare(io::stdout().as_fd()), bare(io::stderr().as_fd())) else {
        return;
    };
    while let Some(job) = jobs.blocking_recv() {
        match job {
            Job::Write(Piece::Out(bytes)) => {
                if put(&mut stdout, &bytes).is_err() {
                    return;
                }
            }
            Job::Write(Piece::Err(bytes)) => {
                let _ = put(&mut stderr, &bytes);
            }
            Job::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

fn put(stream: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
