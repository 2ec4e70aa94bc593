//! What the engine needs from outside, as traits: servers, the machine it runs on, the wall clock.
//!
//! `remote` implements them with SSH and processes, [`crate::testing`] with a scripted server. Waiting is
//! tokio's own clock, which tests can pause.

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

/// What a program left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub exit: Exit,
    /// The whole standard output (bounded by the implementation; see [`ServerError::TooMuchOutput`]).
    pub stdout: String,
    /// The last lines of standard error (bounded).
    pub stderr: String,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Status(u32),
    /// By a signal (its name without `SIG`).
    Signal(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Status(status) => write!(f, "exit status {status}"),
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
    /// Whether it ended with status 0.
    pub fn success(&self) -> bool {
        self.exit == Exit::Status(0)
    }

    /// The status of our script, if it ended with one of its own.
    pub fn status(&self) -> Option<Status> {
        match self.exit {
            Exit::Status(code) => Status::of(code),
            Exit::Signal(_) => None,
        }
    }

    /// The parsed output of our script.
    pub fn answer<A: FromStr<Err = Unreadable>>(&self) -> Result<A, Unreadable> {
        self.stdout.parse()
    }
}

/// A line a program printed while it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// On standard output.
    Out(&'a str),
    /// On standard error.
    Err(&'a str),
}

/// Receives lines while a step runs. Never blocks.
pub type OnLine<'a> = &'a (dyn Fn(Line<'_>) + Send + Sync);

/// How long something may take, and the key of `timeouts` that gives it more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub time: Duration,
    /// The key.
    pub setting: &'static str,
}

impl Limit {
    /// Waits for a future up to this limit.
    pub async fn bound<T>(
        self,
        work: impl Future<Output = Result<T, ServerError>>,
    ) -> Result<T, ServerError> {
        let late = |_| Err(ServerError::Deadline { limit: self.time, setting: self.setting });
        tokio::time::timeout(self.time, work).await.unwrap_or_else(late)
    }
}

/// Who reads the lines of a program that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A program of ours, which reads lines promptly. If it doesn't, the rest is dropped.
    Prompt,
    /// A person, who may pause. Meanwhile the program on the server waits.
    Pauses,
}

/// One connection to one server. Cheap to share. Up to 8 steps run at a time. A step that waits for its turn
/// hasn't started: its limit starts when it is sent to the server.
#[async_trait]
pub trait Server: Send + Sync {
    /// Runs a step: one round trip. Passes lines on as they come, and returns the whole output at the
    /// end. A non-zero status is not an error here.
    ///
    /// Dropping the future closes the channel, but the program on the server may continue.
    async fn run(
        &self,
        step: &Step,
        limit: Option<Limit>,
        on_line: OnLine<'_>,
    ) -> Result<Output, ServerError>;

    /// Starts a step that lives as long as its channel (the lock's keeper, a log that is followed): its standard input
    /// stays open. The limit is for the start.
    async fn open(&self, step: &Step, limit: Limit, reader: Reader) -> Result<Box<dyn Channel>, ServerError>;

    /// Starts a step whose bytes pass unchanged in both directions, with a terminal on the server if `terminal` is set.
    /// The limit is for the start.
    async fn attach(
        &self,
        step: &Step,
        terminal: Option<&Terminal>,
        limit: Limit,
    ) -> Result<Attached, ServerError>;

    /// Lets programs on the server connect to us, at a port of its `127.0.0.1` that sshd chooses, until the returned value
    /// is dropped. `None` if sshd doesn't allow it.
    async fn listen(&self, accept: Arc<dyn Accept>) -> Result<Option<Listening>, ServerError>;

    /// How the connection was made; `None` where that isn't known.
    async fn entry(&self) -> Option<Entry> {
        None
    }

    /// `GET path` over HTTP/1.1 from an address that the server can reach; gives status and body (≤ 4 MiB).
    /// Used for the proxy's API, whose port is never published.
    async fn http_get(&self, address: SocketAddr, path: &str) -> Result<(u16, String), ServerError>;
}

/// How a connection to a server was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The login, as `USER@HOST` or `USER@HOST:PORT`.
    pub login: String,
    /// The key that logged us in; `None` if the server asked for none.
    pub key: Option<String>,
    /// The server's own key: its type and its fingerprint.
    pub host_key: String,
    /// Whether that key was known before.
    pub known: Known,
}

/// Whether a server's key was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Known,
    New,
}

/// A connection that a program on a server made to us.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Accepts the connections that programs on a server make.
pub trait Accept: Send + Sync {
    /// Serves one to its end.
    fn accept(&self, stream: Box<dyn Stream>) -> BoxFuture<'static, ()>;
}

/// A port of a server whose connections come to us.
pub struct Listening {
    pub port: u16,
    /// Dropping this closes the port.
    pub held: Held,
}

/// A program on a server whose standard input stays open.
#[async_trait]
pub trait Channel: Send + Sync {
    /// The next line of its standard output; `None` when the program ended. [`ServerError::Lost`] when the
    /// connection broke before that, so that the program may still run.
    async fn next_line(&mut self) -> Result<Option<String>, ServerError>;
    /// Writes one line to its standard input.
    async fn send_line(&mut self, line: &str) -> Result<(), ServerError>;
}

/// A terminal for a program on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// Its type: the variable `TERM`.
    pub kind: String,
    /// Its size at the beginning.
    pub size: Size,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
    /// Width in pixels; 0 if it isn't known.
    pub width: u32,
    /// Height in pixels; 0 if it isn't known.
    pub height: u32,
}

/// A piece of what a program prints, in the order in which it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Of its standard output; everything, if it has a terminal.
    Out(Vec<u8>),
    /// Of its standard error.
    Err(Vec<u8>),
}

/// A program on a server that is connected to this side.
pub struct Attached {
    /// What it prints.
    pub output: Box<dyn FarOutput>,
    /// What it reads.
    pub input: Box<dyn FarInput>,
}

/// The output of an attached program. Dropping it detaches from the program.
#[async_trait]
pub trait FarOutput: Send {
    /// The next piece, or how the program ended. Until the caller asks for a piece, the program waits
    /// once a few MiB are in transit, so memory stays bounded. [`ServerError::Lost`] when the connection
    /// broke before its end. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<ControlFlow<Exit, Piece>, ServerError>;
}

/// The input of an attached program. Input to a program that has ended is lost without an error.
#[async_trait]
pub trait FarInput: Send + Sync {
    /// Sends bytes, and waits until the program reads them.
    async fn send(&self, bytes: Vec<u8>);
    /// Nothing more will come.
    async fn end(&self);
    async fn resize(&self, size: Size);
}

/// This side of an attached command: the terminal of the person at the keyboard, or pipes.
#[async_trait]
pub trait Console: Send + Sync {
    /// The terminal that standard input is; `None` if it is none.
    fn terminal(&self) -> Option<Terminal>;
    /// The command runs: start to read standard input, if the command gets it, and let the terminal pass on every
    /// key. Reports an error, with the reason, if the terminal can't.
    fn begin(&self, told: &str, reads: bool) -> Result<(), String>;
    /// The next bytes of standard input; `None` when it has ended.
    async fn read(&self) -> Option<Vec<u8>>;
    /// Waits until the terminal has another size, and gives it.
    async fn resized(&self) -> Size;
    /// Passes a piece on, and waits for a slow reader. Reports an error if standard output has no reader any
    /// more.
    async fn write(&self, piece: Piece) -> Result<(), Closed>;
    /// Waits until everything is written.
    async fn flush(&self) -> Result<(), Closed>;
    /// The command has ended: restores the terminal. `cut_off`: the command may have been in the middle of drawing.
    fn end(&self, cut_off: bool);
}

/// Standard output has no reader any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader of the output is gone")]
pub struct Closed;

/// Opens connections.
#[async_trait]
pub trait Network: Send + Sync {
    /// Connects and authenticates. Concurrent calls are fine, for as many servers as there are.
    async fn connect(&self, host: &str) -> Result<Arc<dyn Server>, ServerError>;

    /// The addresses of a name, as this machine resolves it.
    ///
    /// # Errors
    /// Why it has none.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, String>;

    /// Sets private keys, each with a name for messages, for later connections.
    fn take_keys(&self, keys: Vec<(String, Secret)>);
}

/// What can go wrong with a connection.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ServerError {
    /// No connection or no login. The text says what was tried and what happened. Nothing ran.
    #[error("{reason}")]
    Unreachable { reason: String, hint: Option<String> },
    /// The server responds, but forwards no connections.
    #[error("{reason}")]
    NotForwarded { reason: String },
    /// The connection broke; a step that was running may have run to its end or not.
    #[error("the connection was lost: {reason}")]
    Lost { reason: String },
    /// The step printed more than the limit.
    #[error("printed more than {limit} bytes")]
    TooMuchOutput { limit: usize },
    /// The output of all servers together exceeds the limit.
    #[error("together the servers printed more than {limit} bytes")]
    TooMuchTogether { limit: usize },
    /// A deadline passed. `setting` is the key of `timeouts` that gives it more.
    #[error("did not answer within {} s", .limit.as_secs_f32())]
    Deadline { limit: Duration, setting: &'static str },
}

/// A program to run on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalCommand {
    /// Program and arguments; run without a shell.
    pub words: Vec<String>,
    /// Variables added to this process's environment.
    pub env: Vec<(String, Secret)>,
    /// Variables of this process's environment that it doesn't get.
    pub without: Vec<String>,
    /// Its standard input; closed when `None`.
    pub input: Option<Secret>,
    /// Where it runs; this process's directory when `None`.
    pub directory: Option<PathBuf>,
    /// Its access to the terminal. If standard input isn't a terminal, it has none.
    pub terminal: Loan,
}

/// A local program's access to the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loan {
    /// None: it runs in a process group of its own and can't ask questions.
    #[default]
    None,
    /// It may open the terminal and read from it. We read its standard error.
    Keyboard,
    /// It may also write to standard error, if that is a terminal, for example to ask for a password.
    Whole,
}

/// A lock or directory that we own until this is dropped.
pub type Held = Box<dyn Send + Sync>;

/// The machine that deploys.
#[async_trait]
pub trait Local: Send + Sync {
    /// Runs a program to its end. `Err` if it could not be started, with the reason. When the future is
    /// dropped, the program and what it started are ended.
    async fn run(&self, command: &LocalCommand, on_line: OnLine<'_>) -> Result<Output, String>;
    /// The standard output of a program, piece by piece. If the program fails, the last piece is an error with what it wrote to standard
    /// error. Dropping this ends the program and what it started.
    fn pieces(&self, command: &LocalCommand) -> Box<dyn Pieces>;
    /// A program that was installed with this one: in the same directory, or else from `PATH`.
    fn companion(&self, program: &str) -> String;
    /// Reads a text file of the project; `Ok(None)` if there is none.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
    /// Reads any file of the project as bytes; `Ok(None)` if there is none.
    fn read_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, String>;
    /// Whether a file exists and may be executed: `None` if there is none.
    fn executable(&self, path: &str) -> Option<bool>;
    /// The names of the entries of a directory (the current one if empty); empty if it can't be read.
    fn list(&self, directory: &str) -> Vec<String>;
    /// Locks a file until the returned value is dropped or this process ends, and creates it if necessary. `None` if
    /// another process holds it.
    fn hold(&self, path: &str) -> Result<Option<Held>, String>;
    /// A directory for files that we can recreate. It belongs to this user, and no other user can read it.
    ///
    /// # Errors
    /// Why there is none.
    fn cache(&self) -> Result<String, String>;
    /// Whether there is a terminal for programs that ask questions.
    fn has_terminal(&self) -> bool;
    /// A variable of this process's environment, with U+FFFD in place of bytes that aren't UTF-8.
    fn variable(&self, name: &str) -> Option<String>;
    /// The wall clock as seconds since 1970 (UTC).
    fn now(&self) -> i64;
    /// So many random bytes as lower-case hex (two digits a byte).
    fn random_hex(&self, bytes: usize) -> String;
}

/// The images on this machine, for servers that get theirs from it.
#[async_trait]
pub trait Images: Send + Sync {
    /// A directory for a build, which is deleted when the returned value is dropped.
    async fn workspace(&self) -> Result<(String, Held), String>;
    /// Takes an image from the directory with an OCI layout that it was built into, and keeps it under its name (`REPO:TAG`).
    async fn take(&self, layout: &str, name: &str) -> Result<(), String>;
    /// Looks into what a user names, for the image of this name: such a directory, or a file as `docker save` writes it, perhaps
    /// compressed. It isn't kept yet.
    async fn look_into(&self, path: &str, name: &str) -> Result<Box<dyn Given>, String>;
    /// Stores an image under another name too.
    async fn keep_as(&self, name: &str, other: &str) -> Result<(), String>;
    /// Takes an image from what `docker save` writes, here or elsewhere, and keeps it under its name.
    async fn receive(&self, saved: &mut dyn Pieces, name: &str) -> Result<(), String>;
    /// The image with this name, to be served under another name; `None` if it is missing.
    async fn open(&self, name: &str, offered: &str) -> Result<Option<Arc<dyn Image>>, String>;
    /// Removes all but so many images of a repository, and the oldest images if all together exceed the limit.
    async fn tidy(&self, repository: &str, images: usize) -> Result<(), String>;
}

/// An image that a user gave.
pub trait Given: Send + Sync {
    /// What it is on each of the platforms it is for.
    fn variants(&self) -> Vec<Variant>;
    /// Keeps it under the name that was looked for.
    ///
    /// # Errors
    /// Why it can't be kept.
    fn keep(&self) -> Result<(), String>;
}

/// A stored image.
pub trait Image: Send + Sync {
    /// Its size in bytes.
    fn size(&self) -> u64;
    /// What it is on each of the platforms it is for.
    fn variants(&self) -> Vec<Variant>;
    /// A registry that serves it to one server.
    fn offer(&self) -> Arc<dyn Offer>;
    /// The whole image for an architecture (`amd64`), as `docker load` reads it.
    fn archive(&self, name: &str, architecture: &str) -> Box<dyn Pieces>;
}

/// An image on one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// `linux/arm64/v8`.
    pub platform: String,
    /// Its architecture and layers.
    pub image: Layers,
    /// Its label `service`.
    pub service: Option<String>,
}

/// A registry for one server.
pub trait Offer: Accept {
    /// User and password as in HTTP's basic authentication: in base64, with a colon between them.
    fn auth(&self) -> Secret;
    /// The bytes of the image that have been sent.
    fn sent(&self) -> u64;
    /// The registry as an acceptor of connections.
    fn accepts(self: Arc<Self>) -> Arc<dyn Accept>;
}

/// Bytes on demand.
#[async_trait]
pub trait Pieces: Send {
    /// The next bytes, or `None` at the end. The error is the reason why they ended early.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String>;
}

/// New files on the machine that deploys.
pub trait Files {
    /// Whether there is a file or directory of this name.
    fn exists(&self, path: &str) -> bool;
    /// Writes a file, and creates its directories. Returns `Ok(false)` without a change if the file exists.
    fn create(&self, path: &str, text: &str, executable: bool) -> Result<bool, String>;
}
