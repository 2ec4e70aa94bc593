//! Streams one command's input and output between a server and the console.
//!
//! Nothing is buffered: a piece is requested when the previous one was passed on, so a slow reader makes the program on the
//! server wait. There is no deadline, because a person may take any time to type. A dead connection is detected separately.

use std::convert::Infallible;
use std::future::pending;
use std::ops::ControlFlow;

use bowline_core::commands::exec::{GRACE, Mode};

use super::work::{Command, Work};
use crate::error::{Failure, Result, RunError};
use crate::ports::{Attached, Closed, Console, Exit, FarInput, FarOutput, ServerError};
use crate::world::World;

/// Why the transfer ended.
enum Over {
    Exit(Exit),
    /// The reader of the output has gone away.
    Closed,
    Stopped,
    Lost(ServerError),
}

impl From<Closed> for Over {
    fn from(_: Closed) -> Self {
        Over::Closed
    }
}

/// Runs the first command of this work, which has no others.
pub(crate) async fn run(world: &World, work: &Work, console: &dyn Console) -> Result<Exit> {
    let servers = |failures| RunError::servers(failures, work.total);
    let Some(command) = work.commands.first() else { return Err(servers(work.failures.clone())) };
    let host = command.host.as_str();
    let role = command.role.as_deref();
    let terminal = if command.mode == Mode::Terminal { console.terminal() } else { None };
    let starting = async {
        work.prepare(command).await.map_err(|failure| servers(vec![failure]))?;
        command.set_runs(true);
        let attached = work.fleet.attach(host, role, &command.step, terminal.as_ref()).await;
        attached.map_err(|failure| servers(vec![failure]))
    };
    let started = world.unless_stopped(starting).await.flatten();
    let (attached, began) = match started {
        Ok(started) => started,
        Err(error) => {
            work.end(GRACE).await;
            return Err(error);
        }
    };
    let over = pass(world, command, attached, console).await;
    let done = matches!(over, Ok(Over::Exit(Exit::Status(0))));
    work.fleet.ended(host, role, &command.step, began, done);
    match over? {
        Over::Exit(exit) => Ok(exit),
        Over::Closed => {
            // A program that writes to a closed pipe ends immediately.
            work.end(0).await;
            Ok(Exit::Signal("PIPE".into()))
        }
        Over::Stopped => {
            work.end(GRACE).await;
            Err(RunError::interrupted())
        }
        // The command's guard on the server ends it.
        Over::Lost(error) => Err(servers(vec![Failure::new(
            host,
            command.role.as_deref(),
            command.step.describe(),
            error.into(),
        )])),
    }
}

/// Passes bytes until the command ends, then restores the console.
async fn pass(world: &World, command: &Command, attached: Attached, console: &dyn Console) -> Result<Over> {
    let mode = command.mode;
    let Attached { output, input } = attached;
    let reads = matches!(mode, Mode::Piped | Mode::Terminal);
    let begun = console.begin(&command.title, reads);
    begun.map_err(|reason| RunError::local("taking over the terminal", reason, None))?;
    let over = tokio::select! {
        over = print(output, console) => over,
        never = read(&*input, console, reads) => match never {},
        never = resize(&*input, console, mode) => match never {},
        () = world.stop.triggered() => Over::Stopped,
    };
    if matches!(over, Over::Exit(_)) {
        command.set_runs(false);
    }
    let left = tokio::select! {
        left = console.flush() => left,
        () = world.stop.triggered() => Ok(()),
    };
    console.end(!matches!(over, Over::Exit(_)));
    Ok(left.map_or_else(Over::from, |()| over))
}

async fn print(mut output: Box<dyn FarOutput>, console: &dyn Console) -> Over {
    loop {
        match output.next().await {
            Ok(ControlFlow::Continue(piece)) => {
                if let Err(closed) = console.write(piece).await {
                    return closed.into();
                }
            }
            Ok(ControlFlow::Break(exit)) => return Over::Exit(exit),
            Err(error) => return Over::Lost(error),
        }
    }
}

async fn read(input: &dyn FarInput, console: &dyn Console, reads: bool) -> Infallible {
    if reads {
        while let Some(bytes) = console.read().await {
            input.send(bytes).await;
        }
    }
    input.end().await;
    pending().await
}

async fn resize(input: &dyn FarInput, console: &dyn Console, mode: Mode) -> Infallible {
    if mode != Mode::Terminal {
        return pending().await;
    }
    loop {
        let size = console.resized().await;
        input.resize(size).await;
    }
}
