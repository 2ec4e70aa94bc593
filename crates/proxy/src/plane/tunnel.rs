//! Connections that no longer carry HTTP: WebSockets, and other protocols that a target agrees to.

use std::sync::Arc;

use tokio::io::copy_bidirectional;

use super::http1::Upgraded;
use super::record::RequestRecord;
use super::upstream::Connection;

/// Passes bytes between a client and a target until one of them ends, or the target's drain ends both.
pub(super) fn start(client: Upgraded, mut upstream: Connection, mut open: Box<RequestRecord>) {
    open.becomes_stream();
    let cancel = Arc::clone(upstream.cancel());
    cancel.set_streaming(true);
    tokio::task::spawn_local(async move {
        let passed = async {
            let mut client = client.await.ok()?;
            copy_bidirectional(&mut client, upstream.stream()).await.ok()
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            passed = passed => {
                if let Some((_, sent)) = passed {
                    open.sent(usize::try_from(sent).unwrap_or(usize::MAX));
                }
            }
        }
    });
}
