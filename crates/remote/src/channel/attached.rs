//! A step whose input and output are streamed, with or without a terminal. It has the connection to itself.
//!
//! Output is read from the channel on demand, which slows down the program to the pace of its reader: while nothing
//! reads, russh stops reading the connection, the server's TCP window fills, and the program has to wait. (The
//! channel's own window doesn't help, as russh reopens it when data arrives, read or not.) This also blocks
//! keepalives, so a server with `ClientAliveInterval` gives up on a reader that pauses for long.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bowline_engine::ports::{Attached, Exit, FarInput, FarOutput, Piece, ServerError, Size, Terminal};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelWriteHalf};

use super::{Running, feed, not_run, signal};
use crate::Result;
use crate::backlog::Backlog;
use crate::session::{Stay, Staying};

/// Requests a terminal without modes: interactive programs, Docker's client among them, set their own.
pub(super) async fn request(writer: &ChannelWriteHalf<Msg>, terminal: &Terminal) -> Result<(), russh::Error> {
    let Size { columns, rows, width, height } = terminal.size;
    writer.request_pty(true, &terminal.kind, columns, rows, width, height, &[]).await
}

fn no_terminal() -> ServerError {
    ServerError::Unreachable {
        reason: "logged in, but the server refused a terminal".into(),
        hint: Some(
            "check PermitTTY in its sshd_config, and `no-pty` or `restrict` in authorized_keys".into(),
        ),
    }
}

impl Running {
    pub(crate) async fn attach(mut self, terminal: bool) -> Result<Attached> {
        if terminal {
            self.agreed(no_terminal).await?;
        }
        self.agreed(not_run).await?;
        let backlog = self.session.backlog().clone();
        feed(&self.channel.writer, &backlog, &self.input, false).await;
        let input = AttachedInput { writer: Arc::clone(&self.channel.writer), backlog };
        let _staying = self.session.stay(Stay::Channel);
        Ok(Attached {
            input: Box::new(input),
            output: Box::new(AttachedOutput { running: self, exit: None, _staying }),
        })
    }
}

struct AttachedOutput {
    running: Running,
    /// Set when the server reports it. Output may still follow.
    exit: Option<Exit>,
    _staying: Staying,
}

#[async_trait]
impl FarOutput for AttachedOutput {
    async fn next(&mut self) -> Result<ControlFlow<Exit, Piece>> {
        loop {
            match self.running.reader.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    let own = self.running.own(&data);
                    if !own.is_empty() {
                        return Ok(ControlFlow::Continue(Piece::Out(own)));
                    }
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let own = self.running.begins.err.own(&data);
                    if !own.is_empty() {
                        return Ok(ControlFlow::Continue(Piece::Err(own)));
                    }
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => self.exit = Some(Exit::Status(exit_status)),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    self.exit = Some(Exit::Signal(signal(&signal_name)));
                }
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
        }
        self.running.channel.ended.store(true, Ordering::Relaxed);
        match self.exit.take() {
            Some(_) if !self.running.begins.out.has_begun() => Err(self.running.begins.never("ended")),
            Some(exit) => Ok(ControlFlow::Break(exit)),
            None => Err(self.running.session.lost()),
        }
    }
}

/// Ignores errors: the reader of the output notices that the connection is gone.
struct AttachedInput {
    writer: Arc<ChannelWriteHalf<Msg>>,
    backlog: Backlog,
}

#[async_trait]
impl FarInput for AttachedInput {
    async fn send(&self, bytes: Vec<u8>) {
        let _ = self.backlog.write(&self.writer, &bytes).await;
    }

    async fn end(&self) {
        let _ = self.writer.eof().await;
    }

    async fn resize(&self, size: Size) {
        let _ = self.writer.window_change(size.columns, size.rows, size.width, size.height).await;
    }
}
