//! Connections that are no longer HTTP: WebSockets and whatever else a target agrees to.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::record::Open;
use super::upstream::AnswerBody;
use crate::target::Target;

/// Passes bytes between a client and a target until one of them ends, or the target's drain ends both.
pub(super) fn start(
    (client, upstream): (OnUpgrade, OnUpgrade),
    held: Option<AnswerBody>,
    target: &Arc<Target>,
    mut open: Box<Open>,
) {
    open.becomes_stream();
    let (entry, registered) = tokio::sync::oneshot::channel();
    let task = tokio::task::spawn_local(async move {
        let (_registered, _held) = (registered.await, held);
        let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) else { return };
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        if let Ok((_, sent)) = copy_bidirectional(&mut client, &mut upstream).await {
            open.sent(usize::try_from(sent).unwrap_or(usize::MAX));
        }
    });
    let _ = entry.send(target.register(task.abort_handle(), Arc::new(AtomicBool::new(true))));
}
