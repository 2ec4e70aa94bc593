//! The interfaces to everything outside the engine, as traits: servers, the local machine, the wall clock.
//!
//! `remote` implements them with SSH and processes, [`crate::testing`] with simulated servers. Waiting uses tokio's
//! clock, which tests can pause.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bowline_config::secret::Secret;
use bowline_core::commands::answer::Unreadable;
use bowline_core::commands::registry::Layers;
use bowline_core::commands::status::Status;
use bowline_core::plan::step::Step;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub exit: Exit,
    /// All of standard output (bounded by the implementation, see [`ServerError::TooMuchOutput`]).
    pub stdout: String,
    /// The last lines of standard error (bounded).
    pub stderr: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Status(u32),
    /// Killed by a signal (its name without `SIG`).
    Signal(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Status(status) => write!(f, "exit code {status}"),
            Exit::Signal(signal) => write!(f, "killed by SIG{signal}"),
        }
    }
}

impl Default for Exit {
    fn default() -> Self {
        Exit::Status(0)
    }
}

impl Output {
    pub fn success(&self) -> bool {
        self.exit == Exit::Status(0)
    }

    /// The status of one of our scripts, if it ended with one that Bowline defines.
    pub fn status(&self) -> Option<Status> {
        match self.exit {
            Exit::Status(code) => Status::of(code),
            Exit::Signal(_) => None,
        }
    }

    pub fn answer<A: FromStr<Err = Unreadable>>(&self) -> Result<A, Unreadable> {
        self.stdout.parse()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    Out(&'a str),
    Err(&'a str),
}

/// Receives lines while a step runs. Never blocks.
pub type OnLine<'a> = &'a (dyn Fn(Line<'_>) + Send + Sync);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub time: Duration,
    /// The key of `timeouts` that raises the limit.
    pub setting: &'static str,
}

impl Limit {
    pub async fn bound<T>(
        self,
        work: impl Future<Output = Result<T, ServerError>>,
    ) -> Result<T, ServerError> {
        let late = |_| Err(ServerError::Deadline { limit: self.time, setting: self.setting });
        tokio::time::timeout(self.time, work).await.unwrap_or_else(late)
    }
}

/// The reader of a program's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Bowline, which reads promptly. If it falls behind, the rest is dropped.
    Prompt,
    /// A person, who may pause. Meanwhile, the program on the server waits.
    Pauses,
}

/// One connection to one server. Cheap to share. Up to 8 steps run at a time. The time limit of a step that waits
/// for its turn starts when it is sent to the server.
#[async_trait]
pub trait Server: Send + Sync {
    /// Runs a step in one round trip. Passes lines on as they come, and returns the whole output at the end. A
    /// non-zero status is not an error here.
    ///
    /// Dropping the future closes the channel, but the program on the server may continue.
    async fn run(
        &self,
        step: &Step,
        limit: Option<Limit>,
        on_line: OnLine<'_>,
    ) -> Result<Output, ServerError>;

    /// Starts a step that lives as long as its channel (the lock's keeper, a log that is followed). Its standard
    /// input stays open. The limit applies to the start.
    async fn open(&self, step: &Step, limit: Limit, reader: Reader) -> Result<Box<dyn Channel>, ServerError>;

    /// Starts a step whose bytes pass unchanged in both directions, with a terminal on the server if `terminal` is
    /// set. The limit applies to the start.
    async fn attach(
        &self,
        step: &Step,
        terminal: Option<&Terminal>,
        limit: Limit,
    ) -> Result<Attached, ServerError>;

    /// Lets programs on the server connect to us, at a port of its `127.0.0.1` that sshd chooses, until the
    /// returned value is dropped. `None` if sshd doesn't allow it.
    async fn listen(&self, accept: Arc<dyn Accept>) -> Result<Option<Listening>, ServerError>;

    /// How the connection was made; `None` if that isn't known.
    async fn entry(&self) -> Option<Entry> {
        None
    }

    /// Sends `GET path` over HTTP/1.1 to an address that the server can reach, and returns the status and the body
    /// (≤ 4 MiB). For the proxy's API, whose port is never published.
    async fn http_get(&self, address: SocketAddr, path: &str) -> Result<(u16, String), ServerError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As `USER@HOST` or `USER@HOST:PORT`.
    pub login: String,
    /// The key that we logged in with; `None` if the server required none.
    pub key: Option<String>,
    /// The type and fingerprint of the server's host key.
    pub host_key: String,
    pub known: Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Known,
    New,
}

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Accepts connections from programs on a server.
pub trait Accept: Send + Sync {
    /// Serves one connection until it ends.
    fn accept(&self, stream: Box<dyn Stream>) -> BoxFuture<'static, ()>;
}

/// A port on a server whose connections are forwarded to us.
pub struct Listening {
    pub port: u16,
    /// Dropping this closes the port.
    pub held: Held,
}

/// A program on a server whose standard input stays open.
#[async_trait]
pub trait Channel: Send + Sync {
    /// The next line of standard output; `None` when the program ended. [`ServerError::Lost`] if the connection
    /// broke before that: the program may still run.
    async fn next_line(&mut self) -> Result<Option<String>, ServerError>;
    async fn send_line(&mut self, line: &str) -> Result<(), ServerError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// The value of `TERM`.
    pub kind: String,
    /// The initial size.
    pub size: Size,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub columns: u32,
    pub rows: u32,
    /// In pixels; 0 if unknown.
    pub width: u32,
    /// In pixels; 0 if unknown.
    pub height: u32,
}

/// A piece of a program's output, in the order in which it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Standard output. With a terminal, all output.
    Out(Vec<u8>),
    Err(Vec<u8>),
}

/// A program on a server whose input and output are connected to this side.
pub struct Attached {
    pub output: Box<dyn FarOutput>,
    pub input: Box<dyn FarInput>,
}

/// The output of an attached program. Dropping it detaches from the program.
#[async_trait]
pub trait FarOutput: Send {
    /// The next piece, or how the program ended. Once a few MiB are in transit, the program waits until the caller
    /// asks for a piece, so memory stays bounded. [`ServerError::Lost`] if the connection broke before the program
    /// ended. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<ControlFlow<Exit, Piece>, ServerError>;
}

/// The input of an attached program. Input to a program that has ended is silently dropped.
#[async_trait]
pub trait FarInput: Send + Sync {
    /// Sends bytes, and waits until the program reads them.
    async fn send(&self, bytes: Vec<u8>);
    /// Closes standard input.
    async fn end(&self);
    async fn resize(&self, size: Size);
}

/// This side of an attached command: the user's terminal, or pipes.
#[async_trait]
pub trait Console: Send + Sync {
    /// The terminal on standard input; `None` if standard input isn't one.
    fn terminal(&self) -> Option<Terminal>;
    /// Called when the command runs. Starts to read standard input if `reads` is set, and lets the terminal pass on
    /// every key. Returns an error, with the reason, if the terminal can't do that.
    fn begin(&self, title: &str, reads: bool) -> Result<(), String>;
    /// The next bytes of standard input; `None` when it has ended.
    async fn read(&self) -> Option<Vec<u8>>;
    /// Waits until the terminal's size changes, and returns the new size.
    async fn resized(&self) -> Size;
    /// Passes a piece on, and waits for a slow reader. Returns an error if standard output no longer has a reader.
    async fn write(&self, piece: Piece) -> Result<(), Closed>;
    async fn flush(&self) -> Result<(), Closed>;
    /// Called when the command has ended: restores the terminal. `cut_off`: the command may have been drawing.
    fn end(&self, cut_off: bool);
}

/// Standard output no longer has a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader of the output is gone")]
pub struct Closed;

#[async_trait]
pub trait Network: Send + Sync {
    /// Connects and authenticates. May be called concurrently for any number of servers.
    async fn connect(&self, host: &str) -> Result<Arc<dyn Server>, ServerError>;

    /// The addresses of a name, as this machine resolves it. The error is the reason why it has none.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, String>;

    /// Sets private keys, each with a name for messages, for later connections.
    fn take_keys(&self, keys: Vec<(String, Secret)>);
}

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ServerError {
    /// Connecting or logging in failed, so nothing ran. The text says what was tried and what happened.
    #[error("{reason}")]
    Unreachable { reason: String, hint: Option<String> },
    /// The server responds, but doesn't forward connections.
    #[error("{reason}")]
    NotForwarded { reason: String },
    /// The connection broke. A step that was running may or may not have finished.
    #[error("the connection was lost: {reason}")]
    Lost { reason: String },
    /// The step printed more than the limit.
    #[error("printed more than {limit} bytes")]
    TooMuchOutput { limit: usize },
    /// The output of all servers together exceeds the limit.
    #[error("together the servers printed more than {limit} bytes")]
    TooMuchTogether { limit: usize },
    /// `setting` is the key of `timeouts` that raises the limit.
    #[error("did not respond within {} s", .limit.as_secs_f32())]
    Deadline { limit: Duration, setting: &'static str },
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalCommand {
    /// Program and arguments. It runs without a shell.
    pub words: Vec<String>,
    /// Variables added to this process's environment.
    pub env: Vec<(String, Secret)>,
    /// Variables removed from this process's environment.
    pub without: Vec<String>,
    /// Standard input; closed if `None`.
    pub input: Option<Secret>,
    /// The working directory; this process's if `None`.
    pub directory: Option<PathBuf>,
    /// If standard input isn't a terminal, the program has no access to one.
    pub terminal: Loan,
}

/// A local program's access to the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loan {
    /// None: it runs in its own process group and can't ask questions.
    #[default]
    None,
    /// It may open the terminal and read from it. Bowline reads its standard error.
    Keyboard,
    /// It may also write to standard error if that is a terminal, for example to ask for a password.
    Whole,
}

/// A lock, directory or port that we own until this is dropped.
pub type Held = Box<dyn Send + Sync>;

/// The machine that Bowline runs on.
#[async_trait]
pub trait Local: Send + Sync {
    /// Runs a program until it ends. `Err` is the reason why it couldn't start. Dropping the future ends the
    /// program and the processes that it started.
    async fn run(&self, command: &LocalCommand, on_line: OnLine<'_>) -> Result<Output, String>;
    /// The standard output of a program, piece by piece. If the program fails, the last piece is an error with what
    /// it wrote to standard error. Dropping this ends the program and the processes that it started.
    fn pieces(&self, command: &LocalCommand) -> Box<dyn Pieces>;
    /// The path of a program that was installed with this one, in the same directory; otherwise its name, for
    /// `PATH`.
    fn companion(&self, program: &str) -> String;
    /// Reads a text file of the project; `Ok(None)` if it doesn't exist.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
    /// Reads a file of the project; `Ok(None)` if it doesn't exist.
    fn read_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, String>;
    /// What is at a path; `None` if nothing is.
    fn kind(&self, path: &str) -> Option<PathKind>;
    /// The names of a directory's entries (the current directory if empty); empty if it can't be read.
    fn list(&self, directory: &str) -> Vec<String>;
    /// Creates a file if necessary, and locks it until the returned value is dropped or this process ends. `None`
    /// if another process holds the lock.
    fn hold(&self, path: &str) -> Result<Option<Held>, String>;
    /// A directory for files that we can recreate. It belongs to this user, and no other user can read it. The
    /// error is the reason why there is none.
    fn cache(&self) -> Result<String, String>;
    /// Whether there is a terminal for programs that ask questions.
    fn has_terminal(&self) -> bool;
    /// A variable of this process's environment, with U+FFFD in place of bytes that aren't UTF-8.
    fn variable(&self, name: &str) -> Option<String>;
    /// The wall clock, in seconds since 1970 (UTC).
    fn now(&self) -> i64;
    /// Random bytes as lower-case hex (two digits per byte).
    fn random_hex(&self, bytes: usize) -> String;
}

/// The images kept on this machine, for servers that get theirs without a registry.
#[async_trait]
pub trait Images: Send + Sync {
    /// A directory for a build, which is deleted when the returned value is dropped.
    async fn workspace(&self) -> Result<(String, Held), String>;
    /// Keeps an image under its name (`REPO:TAG`), from the OCI layout directory that it was built into.
    async fn take(&self, layout: &str, name: &str) -> Result<(), String>;
    /// Looks for the image of this name in an OCI layout directory or an archive from `docker save`, perhaps
    /// compressed. Doesn't keep it yet.
    async fn look_into(&self, path: &str, name: &str) -> Result<Box<dyn Given>, String>;
    /// Keeps an image under a second name too.
    async fn keep_as(&self, name: &str, other: &str) -> Result<(), String>;
    /// Keeps an image under its name, from the output of `docker save` on this machine or on a server.
    async fn receive(&self, saved: &mut dyn Pieces, name: &str) -> Result<(), String>;
    /// Opens the image of this name, to be served under the name `offered`; `None` if it is missing.
    async fn open(&self, name: &str, offered: &str) -> Result<Option<Arc<dyn Image>>, String>;
    /// Removes all but the newest `images` of a repository, and the oldest images if all together exceed the limit.
    async fn tidy(&self, repository: &str, images: usize) -> Result<(), String>;
}

/// An image that the user supplied as a file or directory.
pub trait Given: Send + Sync {
    /// One per platform of the image.
    fn variants(&self) -> Vec<Variant>;
    /// Keeps it under the name that was looked for. The error is the reason why it can't be kept.
    fn keep(&self) -> Result<(), String>;
}

/// An image kept on this machine.
pub trait Image: Send + Sync {
    /// In bytes.
    fn size(&self) -> u64;
    /// One per platform of the image.
    fn variants(&self) -> Vec<Variant>;
    /// A registry that serves it to one server.
    fn offer(&self) -> Arc<dyn Offer>;
    /// The image for one architecture (`amd64`), in the format that `docker load` reads.
    fn archive(&self, name: &str, architecture: &str) -> Box<dyn Pieces>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// For example `linux/arm64/v8`.
    pub platform: String,
    pub image: Layers,
    pub service: Option<String>,
}

/// A registry that serves one image to one server.
pub trait Offer: Accept {
    /// User and password as in HTTP's basic authentication: joined by a colon, in base64.
    fn auth(&self) -> Secret;
    /// The number of bytes of the image sent so far.
    fn sent(&self) -> u64;
    /// The registry as an acceptor of connections.
    fn accepts(self: Arc<Self>) -> Arc<dyn Accept>;
}

#[async_trait]
pub trait Pieces: Send {
    /// The next bytes; `None` at the end. The error is the reason why they ended early.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String>;
}

/// What is at a path. Symbolic links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    Directory,
    /// A file that isn't executable.
    File,
    Program,
}

pub trait Files {
    fn exists(&self, path: &str) -> bool;
    /// Writes a file and creates its directories. Returns `Ok(false)`, without a change, if the file exists.
    fn create(&self, path: &str, text: &str, executable: bool) -> Result<bool, String>;
}
