//! Runs a step on an SSH channel, and tracks whether it may have run.
//!
//! Until the command line is sent, a failure means that nothing ran ([`Start::NotSent`]), and the step may use a new
//! connection. After that, a broken connection is [`ServerError::Lost`]: the step may have run to its end or not.

mod attached;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bowline_core::shell::{Input, Script};
use bowline_engine::ports::{Channel, Exit, Local, OnLine, Output, Reader, ServerError, Terminal};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use crate::LocalMachine;
use crate::Result;
use crate::backlog::Backlog;
use crate::begin::Begins;
use crate::lines::{Capture, Lines, Room};
use crate::session::{Session, Stay, Staying};

/// How many lines of a kept channel can wait to be read.
const WAITING_LINES: usize = 1024;
/// How long a full queue may wait before further lines are dropped.
const TAKEN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum Start {
    /// The connection ended before the step was sent.
    NotSent(String),
    /// Long-running programs use all channels of the connection.
    Full,
    Refused(ServerError),
}

/// An open channel and its permit: the number of channels per connection is limited.
pub(crate) struct Opened {
    reader: ChannelReadHalf,
    channel: Leaving,
    permit: OwnedSemaphorePermit,
}

impl Opened {
    pub(crate) fn new(
        session: &Arc<Session>,
        channel: russh::Channel<Msg>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let (reader, writer) = channel.split();
        let channel = Leaving {
            session: Arc::downgrade(session),
            writer: Arc::new(writer),
            started: false,
            ended: Arc::new(AtomicBool::new(false)),
        };
        Self { reader, channel, permit }
    }

    pub(crate) async fn has_ended(&mut self) -> bool {
        tokio::select! {
            biased;
            message = self.reader.wait() => matches!(message, None | Some(ChannelMsg::Close)),
            () = std::future::ready(()) => false,
        }
    }
}

/// The writing side of a channel. Closes the channel if dropped before the program's end, because russh doesn't.
struct Leaving {
    /// Weak to avoid a cycle: the session keeps a channel for later.
    session: Weak<Session>,
    writer: Arc<ChannelWriteHalf<Msg>>,
    started: bool,
    ended: Arc<AtomicBool>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        if let Some(session) = self.session.upgrade()
            && self.started
        {
            session.leave_behind();
        }
        let writer = Arc::clone(&self.writer);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { writer.close().await });
        }
    }
}

pub(crate) struct Running {
    session: Arc<Session>,
    reader: ChannelReadHalf,
    channel: Leaving,
    input: Input,
    begins: Begins,
    permit: OwnedSemaphorePermit,
}

impl Running {
    pub(crate) async fn start(
        session: &Arc<Session>,
        opened: Opened,
        script: Script,
        terminal: Option<&Terminal>,
    ) -> Result<Self, Start> {
        let Opened { reader, mut channel, permit } = opened;
        let not_sent = |_| Start::NotSent(session.why("the connection ended"));
        if let Some(terminal) = terminal {
            attached::request(&channel.writer, terminal).await.map_err(not_sent)?;
        }
        let word = LocalMachine::default().random_hex(8);
        channel.writer.exec(true, script.over_ssh(&word)).await.map_err(not_sent)?;
        channel.started = true;
        let begins = Begins::new(&word);
        Ok(Self { session: Arc::clone(session), reader, channel, input: script.input, begins, permit })
    }

    pub(crate) async fn finish(mut self, on_line: OnLine<'_>, room: Option<&Room>) -> Result<Output> {
        let mut capture = Capture::new(on_line).within(room);
        let mut exit = None;
        let writer = Arc::clone(&self.channel.writer);
        let input = std::mem::take(&mut self.input);
        let backlog = self.session.backlog().clone();
        let writing = feed(&writer, &backlog, &input, true);
        tokio::pin!(writing);
        let mut fed = false;
        // Hold the input back until the program has started: a shell that reads it as commands would print a secret.
        let unsafe_yet = input != Input::None && !self.session.runs_programs();
        let until = Instant::now() + self.session.timeouts().silence;
        loop {
            let begun = self.begins.out.has_begun();
            let message = tokio::select! {
                message = self.reader.wait() => message,
                () = tokio::time::sleep_until(until), if !begun => return Err(self.never_began()),
                () = &mut writing, if !fed && (begun || !unsafe_yet) => {
                    fed = true;
                    continue;
                }
            };
            match message {
                Some(ChannelMsg::Data { data }) => capture.out(&self.own(&data))?,
                Some(ChannelMsg::ExtendedData { data, .. }) => capture.err(&self.begins.err.own(&data)),
                Some(ChannelMsg::ExitStatus { exit_status }) => exit = Some(Exit::Status(exit_status)),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    exit = Some(Exit::Signal(signal(&signal_name)));
                }
                Some(ChannelMsg::Failure) => return Err(not_run()),
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
        }
        self.channel.ended.store(true, Ordering::Relaxed);
        match exit {
            Some(_) if !self.begins.out.has_begun() => Err(self.begins.never("ended")),
            Some(exit) => Ok(capture.finish(exit)),
            None => Err(self.session.lost()),
        }
    }

    /// The part of these bytes that the program itself wrote. Once it has written any, the session knows that the
    /// login shell runs our programs.
    fn own(&mut self, data: &[u8]) -> Vec<u8> {
        let own = self.begins.out.own(data);
        if self.begins.out.has_begun() {
            self.session.ran_a_program();
        }
        own
    }

    fn never_began(&self) -> ServerError {
        let silence = self.session.timeouts().silence.as_secs_f32();
        self.begins.never(&format!("has been running for {silence} s (`timeouts: {{silence: SECONDS}}`)"))
    }

    /// Waits until the program has started, and returns its output since then. A server may report the exit status of
    /// a quick program before it sends the output.
    async fn begun(&mut self, marks: &Marks) -> Result<Vec<u8>> {
        let until = Instant::now() + self.session.timeouts().silence;
        loop {
            let message = tokio::select! {
                message = self.reader.wait() => message,
                () = tokio::time::sleep_until(until) => return Err(self.never_began()),
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    let own = self.own(&data);
                    if self.begins.out.has_begun() {
                        return Ok(own);
                    }
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => drop(self.begins.err.own(&data)),
                Some(ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. }) => {
                    marks.exited.store(true, Ordering::Relaxed);
                }
                Some(ChannelMsg::Close) | None => {
                    marks.ended.store(true, Ordering::Relaxed);
                    let exited = marks.exited.load(Ordering::Relaxed);
                    return Err(if exited { self.begins.never("ended") } else { self.session.lost() });
                }
                Some(_) => {}
            }
        }
    }

    /// Waits until the server confirms the last request. Returns `refused` if it denies the request.
    async fn agreed(&mut self, refused: fn() -> ServerError) -> Result<()> {
        loop {
            match self.reader.wait().await {
                Some(ChannelMsg::Success) => return Ok(()),
                Some(ChannelMsg::Failure) => return Err(refused()),
                Some(ChannelMsg::Close) | None => {
                    self.channel.ended.store(true, Ordering::Relaxed);
                    return Err(self.session.lost());
                }
                Some(_) => {}
            }
        }
    }

    /// Keeps the program running, with its standard input open.
    pub(crate) async fn keep(mut self, by: Reader) -> Result<Box<dyn Channel>> {
        let staying = self.session.stay(Stay::Channel);
        self.agreed(not_run).await?;
        let marks = Marks { ended: Arc::clone(&self.channel.ended), ..Marks::default() };
        let first = self.begun(&marks).await?;
        feed(&self.channel.writer, self.session.backlog(), &self.input, false).await;
        let (sender, lines) = mpsc::channel(WAITING_LINES);
        tokio::spawn(pump(self.reader, first, sender, by, marks.clone()));
        Ok(Box::new(Kept {
            session: self.session,
            lines,
            marks,
            channel: self.channel,
            _permit: self.permit,
            _staying: staying,
        }))
    }
}

/// Writes the program's input. Ignores errors: a program may end without reading it, and its exit status says more.
async fn feed(writer: &ChannelWriteHalf<Msg>, backlog: &Backlog, input: &Input, end: bool) {
    let _ = backlog.write(writer, input.expose()).await;
    if end {
        let _ = writer.eof().await;
    }
}

fn signal(signal: &russh::Sig) -> String {
    match signal {
        russh::Sig::Custom(name) => name.clone(),
        other => format!("{other:?}"),
    }
}

fn not_run() -> ServerError {
    ServerError::Unreachable {
        reason: "logged in, but the server refused to run a command".into(),
        hint: Some("check ForceCommand in its sshd_config, and `command=` in authorized_keys".into()),
    }
}

#[derive(Clone, Default)]
struct Marks {
    /// The queue of lines stayed full for too long, and lines were dropped.
    overflowed: Arc<AtomicBool>,
    /// The server reported an exit status or signal.
    exited: Arc<AtomicBool>,
    /// The channel is closed, for any reason.
    ended: Arc<AtomicBool>,
}

/// Reads a kept channel in a separate task: while a channel goes unread, russh stops reading the whole connection,
/// keepalives included. Waits up to [`TAKEN`] for a reader that keeps reading, since output may come in bursts. For
/// one that pauses ([`Reader::Pauses`]) it waits without a limit, and so does the server.
async fn pump(
    mut reader: ChannelReadHalf,
    first: Vec<u8>,
    sender: mpsc::Sender<String>,
    by: Reader,
    marks: Marks,
) {
    let mut lines = Lines::default();
    let mut whole = Vec::new();
    lines.push(&first, |line| whole.push(line.to_owned()));
    pass(whole, &sender, by, &marks).await;
    while let Some(message) = reader.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                let mut whole = Vec::new();
                lines.push(&data, |line| whole.push(line.to_owned()));
                pass(whole, &sender, by, &marks).await;
            }
            ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. } => {
                marks.exited.store(true, Ordering::Relaxed);
            }
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    marks.ended.store(true, Ordering::Relaxed);
    // A broken connection may cut a line short. So pass on an unterminated line only after a regular exit.
    if marks.exited.load(Ordering::Relaxed) {
        let mut last = Vec::new();
        lines.finish(|line| last.push(line.to_owned()));
        pass(last, &sender, by, &marks).await;
    }
}

async fn pass(lines: Vec<String>, sender: &mpsc::Sender<String>, by: Reader, marks: &Marks) {
    for line in lines {
        if by == Reader::Pauses {
            // Fails only if the reader is gone, which also closes the channel.
            let _ = sender.send(line).await;
            continue;
        }
        if marks.overflowed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(mpsc::error::SendTimeoutError::Timeout(_)) = sender.send_timeout(line, TAKEN).await {
            marks.overflowed.store(true, Ordering::Relaxed);
        }
    }
}

struct Kept {
    session: Arc<Session>,
    lines: mpsc::Receiver<String>,
    marks: Marks,
    channel: Leaving,
    _permit: OwnedSemaphorePermit,
    _staying: Staying,
}

#[async_trait]
impl Channel for Kept {
    async fn next_line(&mut self) -> Result<Option<String>> {
        if self.marks.overflowed.load(Ordering::Relaxed) {
            return Err(ServerError::TooMuchOutput { limit: WAITING_LINES * crate::lines::LINE_LIMIT });
        }
        match self.lines.recv().await {
            Some(line) => Ok(Some(line)),
            None if self.marks.exited.load(Ordering::Relaxed) => Ok(None),
            None => Err(self.session.lost()),
        }
    }

    async fn send_line(&mut self, line: &str) -> Result<()> {
        if self.marks.ended.load(Ordering::Relaxed) {
            return Err(self.session.lost());
        }
        let sending = self.channel.writer.data_bytes(format!("{line}\n").into_bytes());
        let limit = self.session.timeouts().silence;
        match tokio::time::timeout(limit, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.session.lost()),
            Err(_) => Err(ServerError::Deadline { limit, setting: "silence" }),
        }
    }
}
