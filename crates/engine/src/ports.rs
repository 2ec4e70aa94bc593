//! What the engine needs of the world, as traits: servers, the machine it runs on, the wall clock.
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
    /// Standard output, whole (bounded by the implementation; see [`ServerError::TooMuchOutput`]).
    pub stdout: String,
    /// Standard error, its last lines (bounded).
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

    /// What our script answered.
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
    /// Waits so long and no longer.
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
    /// A program of ours, which takes every line soon. If it takes none, the rest is dropped.
    Prompt,
    /// A person, who may pause: the program on the server is held up as long.
    Pauses,
}

/// One connection to one server. Cheap to share; steps run side by side, at most 8 at a time. What waits for its turn
/// has not begun: a limit counts from when a step is handed over.
#[async_trait]
pub trait Server: Send + Sync {
    /// Runs a step: one round trip. Lines are handed on as they come and the whole output is returned at the
    /// end. A non-zero status is not an error here.
    ///
    /// Dropping the future closes the channel; what runs on the server may go on.
    async fn run(
        &self,
        step: &Step,
        limit: Option<Limit>,
        on_line: OnLine<'_>,
    ) -> Result<Output, ServerError>;

    /// Starts a step that lives as long as its channel (the lock's keeper, a log that is followed): its standard input
    /// stays open. The limit is that of its start.
    async fn open(&self, step: &Step, limit: Limit, reader: Reader) -> Result<Box<dyn Channel>, ServerError>;

    /// Starts a step whose bytes pass as they are, in both directions, with a terminal there if one is given.
    /// The limit is that of its start.
    async fn attach(
        &self,
        step: &Step,
        terminal: Option<&Terminal>,
        limit: Limit,
    ) -> Result<Attached, ServerError>;

    /// Lets programs on the server connect to us, at a port of its `127.0.0.1` that sshd chooses, for as long as what is
    /// returned lives. `None` if sshd doesn't let us.
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
    /// What we logged in with; `None` if the server asked for no key.
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

/// Takes the connections that programs on a server make.
pub trait Accept: Send + Sync {
    /// Serves one to its end.
    fn accept(&self, stream: Box<dyn Stream>) -> BoxFuture<'static, ()>;
}

/// A port of a server that leads to us.
pub struct Listening {
    pub port: u16,
    /// It leads to us as long as this lives.
    pub held: Held,
}

/// A program on a server whose standard input stays open.
#[async_trait]
pub trait Channel: Send + Sync {
    /// The next line of its standard output; `None` when the program ended. [`ServerError::Lost`] when the
    /// connection broke before that: it may have ended or not.
    async fn next_line(&mut self) -> Result<Option<String>, ServerError>;
    /// Writes one line to its standard input.
    async fn send_line(&mut self, line: &str) -> Result<(), ServerError>;
}

/// A terminal, as a program on a server is to find it.
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

/// A program on a server whose bytes pass through us.
pub struct Attached {
    /// What it prints.
    pub output: Box<dyn FarOutput>,
    /// What it reads.
    pub input: Box<dyn FarInput>,
}

/// What an attached program prints. Dropping it lets the program go.
#[async_trait]
pub trait FarOutput: Send {
    /// The next piece, or how the program ended. As long as nobody asks for a piece, the program is held up
    /// once some (a few MiB at most) are under way: nothing grows. [`ServerError::Lost`] when the connection
    /// broke before its end. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<ControlFlow<Exit, Piece>, ServerError>;
}

/// What an attached program reads. What is sent to one that has ended is lost without an error.
#[async_trait]
pub trait FarInput: Send + Sync {
    /// Sends bytes; waits as long as the program takes none.
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
    /// The command runs, as told: from now on standard input is read, if it is to, and a terminal hands every
    /// key on. An error, with the reason, if the terminal can't.
    fn begin(&self, told: &str, reads: bool) -> Result<(), String>;
    /// The next bytes of standard input; `None` when it has ended.
    async fn read(&self) -> Option<Vec<u8>>;
    /// Waits until the terminal has another size, and gives it.
    async fn resized(&self) -> Size;
    /// Hands a piece on; waits while whoever reads it is slow. An error if nobody reads standard output any
    /// more.
    async fn write(&self, piece: Piece) -> Result<(), Closed>;
    /// Waits until everything is written.
    async fn flush(&self) -> Result<(), Closed>;
    /// The command is over: the terminal is as it was before. `cut_off`: in the middle of whatever it drew.
    fn end(&self, cut_off: bool);
}

/// Nobody reads standard output any more.
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

    /// Takes private keys, each with what it is called, for the connections from now on.
    fn take_keys(&self, keys: Vec<(String, Secret)>);
}

/// What can go wrong between us and a server.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ServerError {
    /// No connection, or none that lets us in: what was tried and what happened. Nothing ran.
    #[error("{reason}")]
    Unreachable { reason: String, hint: Option<String> },
    /// The server is there, and forwards no connections.
    #[error("{reason}")]
    NotForwarded { reason: String },
    /// The connection broke; a step that was running may have run to its end or not.
    #[error("the connection was lost: {reason}")]
    Lost { reason: String },
    /// The step printed more than can be kept.
    #[error("printed more than {limit} bytes")]
    TooMuchOutput { limit: usize },
    /// What is gathered from all servers is more than can be kept.
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
    /// What it has of the terminal. Where standard input is none, it has nothing in any case.
    pub terminal: Loan,
}

/// What a program on this machine has of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loan {
    /// Nothing: it runs in a group of its own, and asks nobody.
    #[default]
    None,
    /// It may open the terminal and read from it; what it says on standard error is kept for us.
    Keyboard,
    /// Standard error too, where that is a terminal: it may ask there.
    Whole,
}

/// Something that is ours until this is dropped.
pub type Held = Box<dyn Send + Sync>;

/// The machine that deploys.
#[async_trait]
pub trait Local: Send + Sync {
    /// Runs a program to its end. `Err` if it could not be started, with the reason. When the future is
    /// dropped, the program and what it started are ended.
    async fn run(&self, command: &LocalCommand, on_line: OnLine<'_>) -> Result<Output, String>;
    /// What a program writes to its standard output, as it comes. That it failed, and what it said, is the reason why there are no
    /// more. When this is dropped, the program and what it started are ended.
    fn pieces(&self, command: &LocalCommand) -> Box<dyn Pieces>;
    /// A program that came with this one: beside it, or else as it is found on `PATH`.
    fn companion(&self, program: &str) -> String;
    /// Reads a text file of the project; `Ok(None)` if there is none.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
    /// Reads a file of the project whole, whatever is in it; `Ok(None)` if there is none.
    fn read_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, String>;
    /// Whether a file exists and may be executed: `None` if there is none.
    fn executable(&self, path: &str) -> Option<bool>;
    /// The names of what is in a directory (the current one if empty); none where it can't be read.
    fn list(&self, directory: &str) -> Vec<String>;
    /// Locks a file for as long as what is returned, or this process, lives; makes it where it is missing. `None` if
    /// another process holds it.
    fn hold(&self, path: &str) -> Result<Option<Held>, String>;
    /// A directory for files of ours that we can make again: it belongs to this user, and no other may look into it.
    ///
    /// # Errors
    /// Why there is none.
    fn cache(&self) -> Result<String, String>;
    /// Whether there is a terminal for programs that may ask.
    fn has_terminal(&self) -> bool;
    /// A variable of this process's environment; U+FFFD stands where it is not UTF-8.
    fn variable(&self, name: &str) -> Option<String>;
    /// The wall clock as seconds since 1970 (UTC).
    fn now(&self) -> i64;
    /// So many random bytes as lower-case hex (two digits a byte).
    fn random_hex(&self, bytes: usize) -> String;
}

/// The images that are kept on this machine, for servers that get theirs from it.
#[async_trait]
pub trait Images: Send + Sync {
    /// A directory for what is built, deleted with what is returned.
    async fn workspace(&self) -> Result<(String, Held), String>;
    /// Takes an image from the directory with an OCI layout that it was built into, and keeps it under its name (`REPO:TAG`).
    async fn take(&self, layout: &str, name: &str) -> Result<(), String>;
    /// Looks into what a user names, for the image of this name: such a directory, or a file as `docker save` writes it, perhaps
    /// compressed. It isn't kept yet.
    async fn look_into(&self, path: &str, name: &str) -> Result<Box<dyn Given>, String>;
    /// Keeps an image that is kept under another name, too.
    async fn keep_as(&self, name: &str, other: &str) -> Result<(), String>;
    /// Takes an image from what `docker save` writes, here or elsewhere, and keeps it under its name.
    async fn receive(&self, saved: &mut dyn Pieces, name: &str) -> Result<(), String>;
    /// The image of this name, whole; `None` if it isn't kept. It is to be offered under another name.
    async fn open(&self, name: &str, offered: &str) -> Result<Option<Arc<dyn Image>>, String>;
    /// Keeps no more than so many images of a repository, and of all no more than there should be room for.
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

/// An image that is kept on this machine.
pub trait Image: Send + Sync {
    /// The bytes of all it consists of.
    fn size(&self) -> u64;
    /// What it is on each of the platforms it is for.
    fn variants(&self) -> Vec<Variant>;
    /// A registry that has it, for one server.
    fn offer(&self) -> Arc<dyn Offer>;
    /// The whole for an architecture (`amd64`), as `docker load` takes it.
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
    /// User and password as HTTP has them: in base64, with a colon between.
    fn auth(&self) -> Secret;
    /// The bytes of the image that have been sent.
    fn sent(&self) -> u64;
    /// It as what takes connections.
    fn accepts(self: Arc<Self>) -> Arc<dyn Accept>;
}

/// Bytes, as they are wanted.
#[async_trait]
pub trait Pieces: Send {
    /// The next, or `None` at the end; the reason if there are no more.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String>;
}

/// New files on the machine that deploys.
pub trait Files {
    /// Whether there is a file or directory of this name.
    fn exists(&self, path: &str) -> bool;
    /// Writes a file, and the directories it is in; `Ok(false)`, and nothing changed, if it is there already.
    fn create(&self, path: &str, text: &str, executable: bool) -> Result<bool, String>;
}
