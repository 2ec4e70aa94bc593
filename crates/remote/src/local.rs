//! The local machine: its programs, files, environment variables and clock.

use std::fs::{DirBuilder, OpenOptions, Permissions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IsTerminal, Read, Write};
use std::iter;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bowline_config::secret::Secret;
use bowline_engine::ports::{Exit, Files, Held, Loan, Local, LocalCommand, OnLine, Output, PathKind, Pieces};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

use crate::lines::Capture;

/// How long to wait for the output of a program that has ended. Its background processes may keep the pipes open.
const LINGER: Duration = Duration::from_millis(500);
/// The time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// How many bytes of standard error to keep if a program's standard output is data.
const SAID: usize = 16 * 1024;

/// Why an operation failed, in the words of the system, without the number that Rust adds.
pub(crate) fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::InvalidData {
        return "it is not UTF-8 text".to_owned();
    }
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

#[derive(Clone, Default)]
pub struct LocalMachine {
    lend: Option<Arc<dyn Fn() -> Held + Send + Sync>>,
}

impl LocalMachine {
    /// Lends the terminal to programs that ask questions, and holds the result of `lend` while they run.
    pub fn lending(lend: impl Fn() -> Held + Send + Sync + 'static) -> Self {
        Self { lend: Some(Arc::new(lend)) }
    }
}

#[async_trait]
impl Local for LocalMachine {
    async fn run(&self, command: &LocalCommand, on_line: OnLine<'_>) -> Result<Output, String> {
        let asks = command.terminal != Loan::None && self.has_terminal();
        let _lent = self.lend.as_ref().filter(|_| asks).map(|lend| lend());
        let mut running = Running::start(command)?;
        let watched = running.watch(command.input.as_ref(), on_line).await;
        if watched.is_ok()
            && let Some(processes) = running.processes.take()
        {
            processes.let_go();
        }
        watched
    }

    fn pieces(&self, command: &LocalCommand) -> Box<dyn Pieces> {
        Box::new(Printed { running: Running::start(command).map(Some), said: Vec::new() })
    }

    fn cache(&self) -> Result<String, String> {
        let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || std::env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".cache"));
        let Some(caches) = caches.or_else(home) else {
            return Err("neither XDG_CACHE_HOME nor HOME is an absolute path".to_owned());
        };
        private(&caches.join("bowline"))
    }

    fn has_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn read(&self, path: &str) -> Result<Option<String>, String> {
        let text = |bytes| {
            String::from_utf8(bytes).map_err(|e| {
                let sound = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
                let line = 1 + sound.iter().filter(|byte| **byte == b'\n').count();
                format!("{path} is not UTF-8 text (line {line})")
            })
        };
        self.read_bytes(path)?.map(text).transpose()
    }

    fn read_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("can't read {path}: {}", reason(&e))),
        }
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let directory = if directory.is_empty() { "." } else { directory };
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn companion(&self, program: &str) -> String {
        let beside = std::env::current_exe().ok().map(|own| own.with_file_name(program));
        let beside =
            beside.filter(|path| path.is_file()).and_then(|path| path.into_os_string().into_string().ok());
        beside.unwrap_or_else(|| program.into())
    }

    fn kind(&self, path: &str) -> Option<PathKind> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(match metadata.permissions().mode() & 0o111 {
            _ if metadata.is_dir() => PathKind::Directory,
            0 => PathKind::File,
            _ => PathKind::Program,
        })
    }

    fn hold(&self, path: &str) -> Result<Option<Held>, String> {
        let failed = |e: io::Error| format!("can't lock {path}: {}", reason(&e));
        if let Some(directory) = Path::new(path).parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn now(&self) -> i64 {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs());
        seconds.ok().and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or_default()
    }

    fn random_hex(&self, bytes: usize) -> String {
        // Unique enough for names, but not fit for secrets.
        let name = || iter::repeat_with(|| RandomState::new().build_hasher().finish().to_le_bytes()[0]);
        secret_hex(bytes).unwrap_or_else(|_| hex(name().take(bytes)))
    }
}

/// Random bytes that no one can guess, as lower-case hex.
pub(crate) fn secret_hex(bytes: usize) -> Result<String, String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|e| format!("this machine has no random bytes: {e}"))?;
    Ok(hex(random))
}

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    bytes.into_iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Creates a directory that no other user can read. Makes an existing one private if it is ours.
fn private(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let failed = |e: io::Error| format!("can't create {shown}: {}", reason(&e));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed(e)),
        _ => {}
    }
    let us = rustix::process::geteuid().as_raw();
    // The owner of a link can redirect it, and the owner of the directory can change its contents.
    let link = std::fs::symlink_metadata(path).map_err(failed)?;
    let directory = std::fs::metadata(path).map_err(failed)?;
    for owner in [link.uid(), directory.uid()] {
        if owner != us {
            return Err(format!("{shown} belongs to another user (uid {owner}; yours is {us})"));
        }
    }
    if directory.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(shown.to_string())
}

impl Files for LocalMachine {
    fn exists(&self, path: &str) -> bool {
        std::fs::symlink_metadata(path).is_ok()
    }

    fn create(&self, path: &str, text: &str, executable: bool) -> Result<bool, String> {
        let failed = |e: io::Error| format!("can't write {path}: {}", reason(&e));
        if let Some(directory) = Path::new(path).parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let mode = if executable { 0o777 } else { 0o666 };
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
            Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true).map_err(failed),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(failed(e)),
        }
    }
}

/// A process group that we created. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Option<Pid>,
    /// The child is in our own group, where it can use the terminal. Only the child gets signals.
    alone: bool,
}

impl Group {
    /// The group of a child that was started with `process_group(0)`.
    pub(crate) fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: id.and_then(Pid::from_raw), alone: false }
    }

    /// Runs a command in a separate group. Its background processes may outlive it, unless this is dropped first.
    pub(crate) async fn output(command: &mut Command) -> io::Result<std::process::Output> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let child = command.spawn()?;
        let group = Self::of(&child);
        let output = child.wait_with_output().await;
        group.let_go();
        output
    }

    pub(crate) fn let_go(mut self) {
        self.leader = None;
    }

    fn signal(&self, signal: Signal) {
        let _ = match self.leader {
            Some(leader) if self.alone => kill_process(leader, signal),
            Some(leader) => kill_process_group(leader, signal),
            None => Ok(()),
        };
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// A program and its processes, which end when this is dropped.
struct Running {
    child: Option<Child>,
    /// `None` once the program has ended on its own: its background processes are meant to stay.
    processes: Option<Group>,
}

impl Running {
    fn start(command: &LocalCommand) -> Result<Self, String> {
        let Some((program, arguments)) = command.words.split_first() else {
            return Err("there is no program to run".to_owned());
        };
        // A background group is stopped when it reads from the terminal.
        let at_terminal =
            command.terminal != Loan::None && command.input.is_none() && io::stdin().is_terminal();
        let path = command.directory.as_deref().unwrap_or(Path::new("")).join(program);
        let child = match Self::spawn(command, program, arguments, at_terminal) {
            // A script without `#!` runs in `sh`, as with shells and `execvp`.
            Err(e) if e.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) && is_text(&path) => {
                let arguments: Vec<String> = iter::once(program).chain(arguments).cloned().collect();
                Self::spawn(command, "/bin/sh", &arguments, at_terminal)
            }
            started => started,
        };
        let child = child.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => match interpreter(&path).filter(|_| program.contains('/')) {
                Some(interpreter) => format!("{program} needs {interpreter:?}, which is not installed"),
                None => format!("{program} is not installed, or its directory is missing"),
            },
            _ => format!("{program} can't be started: {}", reason(&e)),
        })?;
        let mut group = Group::of(&child);
        group.alone = at_terminal;
        Ok(Self { processes: Some(group), child: Some(child) })
    }

    fn spawn(
        command: &LocalCommand,
        program: &str,
        arguments: &[String],
        at_terminal: bool,
    ) -> io::Result<Child> {
        let mut process = Command::new(program);
        process.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        process.stdin(if command.input.is_some() { Stdio::piped() } else { Stdio::null() });
        for name in &command.without {
            process.env_remove(name);
        }
        process.envs(command.env.iter().map(|(name, value)| (name, value.expose())));
        if let Some(directory) = &command.directory {
            process.current_dir(directory);
        }
        if at_terminal {
            process.stdin(Stdio::inherit());
            if command.terminal == Loan::Whole && io::stderr().is_terminal() {
                process.stderr(Stdio::inherit());
            }
        } else {
            process.process_group(0);
        }
        process.kill_on_drop(true).spawn()
    }

    async fn watch(&mut self, input: Option<&Secret>, on_line: OnLine<'_>) -> Result<Output, String> {
        let Some(child) = self.child.as_mut() else { return Err("it has ended".to_owned()) };
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let feeding = feed(child.stdin.take(), input);
        tokio::pin!(feeding);
        let mut capture = Capture::new(on_line);
        let (mut out, mut err) = ([0; 16 * 1024], [0; 16 * 1024]);
        let (mut fed, mut status) = (false, None);
        while stdout.is_some() || stderr.is_some() || status.is_none() {
            tokio::select! {
                () = &mut feeding, if !fed => fed = true,
                count = read(&mut stdout, &mut out), if stdout.is_some() => match count {
                    0 => stdout = None,
                    count => capture.out(&out[..count]).map_err(|e| e.to_string())?,
                },
                count = read(&mut stderr, &mut err), if stderr.is_some() => match count {
                    0 => stderr = None,
                    count => capture.err(&err[..count]),
                },
                ended = child.wait(), if status.is_none() => {
                    status = Some(ended.map_err(|e| e.to_string())?);
                }
                () = tokio::time::sleep(LINGER), if status.is_some() => break,
            }
        }
        Ok(capture.finish(exit(status)))
    }
}

/// A program whose standard output is data.
struct Printed {
    /// `None` once it has ended. The error says why it couldn't start.
    running: Result<Option<Running>, String>,
    /// The start of its standard error.
    said: Vec<u8>,
}

#[async_trait]
impl Pieces for Printed {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let Some(running) = self.running.as_mut().map_err(|reason| reason.clone())? else { return Ok(None) };
        let Some(child) = running.child.as_mut() else { return Ok(None) };
        let (mut piece, mut said) = (vec![0; 64 * 1024], [0; 4096]);
        while child.stdout.is_some() {
            tokio::select! {
                count = read(&mut child.stdout, &mut piece) => match count {
                    0 => child.stdout = None,
                    count => {
                        piece.truncate(count);
                        return Ok(Some(piece));
                    }
                },
                count = read(&mut child.stderr, &mut said), if child.stderr.is_some() => match count {
                    0 => child.stderr = None,
                    count => keep(&mut self.said, &said[..count]),
                },
            }
        }
        let status = child.wait().await.map_err(|e| e.to_string())?;
        while let Ok(count @ 1..) = tokio::time::timeout(LINGER, read(&mut child.stderr, &mut said)).await {
            keep(&mut self.said, &said[..count]);
        }
        if let Some(processes) = running.processes.take() {
            processes.let_go();
        }
        self.running = Ok(None);
        if status.success() {
            return Ok(None);
        }
        let said = String::from_utf8_lossy(&self.said).trim().to_owned();
        Err(if said.is_empty() { exit(Some(status)).to_string() } else { said })
    }
}

fn keep(kept: &mut Vec<u8>, said: &[u8]) {
    let room = SAID.saturating_sub(kept.len()).min(said.len());
    kept.extend_from_slice(&said[..room]);
}

impl Drop for Running {
    /// Sends SIGTERM to the group now and SIGKILL after [`GRACE`], or immediately if the runtime ends too.
    fn drop(&mut self) {
        let (Some(group), Some(mut child)) = (self.processes.take(), self.child.take()) else { return };
        group.signal(Signal::TERM);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(GRACE, child.wait()).await;
                drop(group);
            });
        }
    }
}

/// Whether a file could be a script: a binary for another platform has a NUL near its start.
fn is_text(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(512).read_to_end(&mut start));
    read.is_ok() && !start.contains(&0)
}

/// The interpreter in a script's first line, parsed as the kernel does.
fn interpreter(path: &Path) -> Option<String> {
    let mut start = Vec::new();
    std::fs::File::open(path).ok()?.take(512).read_to_end(&mut start).ok()?;
    let text = String::from_utf8_lossy(&start).into_owned();
    let line = text.strip_prefix("#!")?.split('\n').next()?;
    Some(line.trim_matches([' ', '\t']).split([' ', '\t']).next()?.to_owned())
}

async fn feed(stdin: Option<ChildStdin>, input: Option<&Secret>) {
    if let (Some(mut stdin), Some(input)) = (stdin, input) {
        // Ignore a program that doesn't read its input: its exit status says more.
        let _ = stdin.write_all(input.expose().as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
}

async fn read<R: AsyncRead + Unpin>(from: &mut Option<R>, buffer: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

fn exit(status: Option<ExitStatus>) -> Exit {
    let Some(status) = status else { return Exit::default() };
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Status(u32::try_from(code).unwrap_or(1)),
        (None, signal) => Exit::Signal(signal_name(signal.unwrap_or_default())),
    }
}

/// A signal's name without `SIG`, or its number if it isn't in the list.
fn signal_name(number: i32) -> String {
    const NAMES: [(Signal, &str); 9] = [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::ABORT, "ABRT"),
        (Signal::KILL, "KILL"),
        (Signal::SEGV, "SEGV"),
        (Signal::PIPE, "PIPE"),
        (Signal::ALARM, "ALRM"),
        (Signal::TERM, "TERM"),
    ];
    let named = NAMES.iter().find(|(signal, _)| signal.as_raw() == number);
    named.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}
