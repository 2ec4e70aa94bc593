//! A registry on this machine, lent to the machines that build for us: a port forwarded by the `ssh` that Docker calls to
//! get there, so that whatever lets it in lets us in.

use bowline_core::commands::builder::LENT;
use futures_util::future::select_all;
use tokio::sync::Semaphore;

use crate::error::{Result, RunError};
use crate::local::last;
use crate::ports::{Line, LocalCommand};
use crate::world::World;

/// Does the work while these commands lend, each from the moment it says so until it is ended.
pub(super) async fn lent<T>(
    world: &World,
    lenders: Vec<Vec<String>>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    if lenders.is_empty() {
        return work.await;
    }
    let ready = Semaphore::new(0);
    let all = u32::try_from(lenders.len()).unwrap_or(u32::MAX);
    let lending = select_all(lenders.into_iter().map(|words| Box::pin(lend(world, words, &ready))));
    let limit = world.timeouts.command;
    let working = async {
        tokio::select! {
            lent = tokio::time::timeout(limit, ready.acquire_many(all)) => match lent {
                Ok(_) => work.await,
                Err(_) => Err(not_lent(format!(
                    "no answer within {} s (`timeouts: {{command: SECONDS}}` gives it more)",
                    limit.as_secs()
                ))),
            },
            () = world.stop.triggered() => Err(RunError::interrupted()),
        }
    };
    tokio::select! {
        done = working => done,
        (failed, ..) = lending => Err(failed),
    }
}

/// Lends until it can no longer; then says why.
async fn lend(world: &World, words: Vec<String>, ready: &Semaphore) -> RunError {
    let told = |line: Line<'_>| {
        if matches!(line, Line::Out(LENT)) {
            ready.add_permits(1);
        }
    };
    let command = LocalCommand { words, ..Default::default() };
    let reason = match world.local.run(&command, &told).await {
        Ok(output) => last(&output.stderr),
        Err(reason) => reason,
    };
    not_lent(if reason.is_empty() { "the connection ended".into() } else { reason })
}

fn not_lent(reason: String) -> RunError {
    let hint = "sshd there has to allow it (`AllowTcpForwarding yes`, its default), and the port has to be free there";
    RunError::Local {
        what: "lending the registry on this machine to the machine that builds".into(),
        reason,
        hint: Some(hint.into()),
        standing: Vec::new(),
    }
}
