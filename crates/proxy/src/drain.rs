//! Waits until targets have no open requests.
//!
//! A drain has two deadlines: one for requests, and an earlier one for WebSockets and event streams, so that an open
//! stream doesn't hold up a deploy for as long as a slow request may. What is open at its deadline is cut off.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use crate::duration;
use crate::target::Target;

/// How long a drain waits, counted from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    #[serde(with = "duration")]
    pub requests: Duration,
    /// For WebSockets and event streams; capped at `requests`.
    #[serde(with = "duration")]
    pub streams: Duration,
}

impl Limits {
    /// For changes that drain nothing.
    pub const ZERO: Self = Self { requests: Duration::ZERO, streams: Duration::ZERO };
}

/// Whether drained targets accept requests again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// No, they have been replaced.
    Gone,
    /// Yes, their service is only paused or stopped.
    Restored,
}

/// Drains targets concurrently. They refuse new requests from the call on, even before the future is polled.
pub fn drain(
    targets: Vec<Arc<Target>>,
    limits: Limits,
    afterwards: Afterwards,
) -> impl Future<Output = ()> + Send {
    let started = Instant::now();
    for target in &targets {
        target.start_drain();
    }
    async move {
        let streams = started + limits.streams.min(limits.requests);
        let requests = started + limits.requests;
        for target in &targets {
            if timeout_at(streams, empty(target, |t| t.streams() == 0)).await.is_err() {
                target.cancel_streams();
            }
        }
        for target in &targets {
            if timeout_at(requests, empty(target, |t| t.requests() + t.streams() == 0)).await.is_err() {
                target.cancel();
            }
        }
        for target in &targets {
            target.close_idle();
            if afterwards == Afterwards::Restored {
                target.end_drain();
            }
        }
    }
}

async fn empty(target: &Target, is_empty: impl Fn(&Target) -> bool) {
    loop {
        let mut ended = std::pin::pin!(target.ended());
        ended.as_mut().enable();
        if is_empty(target) {
            return;
        }
        ended.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { requests: Duration::from_secs(30), streams: Duration::from_secs(5) };

    fn target() -> Arc<Target> {
        Arc::new(Target::new("web", 1).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_in_flight_takes_no_time() {
        let started = Instant::now();
        let target = target();
        drain(vec![Arc::clone(&target)], LIMITS, Afterwards::Gone).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert!(target.begin().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_waited_for_and_cut_off_at_the_deadline() {
        let target = target();
        let request = target.begin().unwrap();
        let waiting = tokio::spawn(drain(vec![Arc::clone(&target)], LIMITS, Afterwards::Gone));
        tokio::time::sleep(Duration::from_secs(29)).await;
        assert!(!target.is_cancelled() && !waiting.is_finished());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(target.is_cancelled() && waiting.is_finished());
        drop(request);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_last_request_and_restores() {
        let target = target();
        let request = target.begin().unwrap();
        let waiting = tokio::spawn(drain(vec![Arc::clone(&target)], LIMITS, Afterwards::Restored));
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(request);
        waiting.await.unwrap();
        assert!(target.begin().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_has_a_deadline_of_its_own() {
        let target = target();
        let cancel = Arc::new(crate::cancel::Cancel::default());
        cancel.set_streaming(true);
        let mut request = target.begin().unwrap();
        request.becomes_stream();
        let _registered = target.register(Arc::clone(&cancel));
        tokio::spawn(async move {
            let _open = request;
            cancel.cancelled().await;
        });
        let started = Instant::now();
        drain(vec![Arc::clone(&target)], LIMITS, Afterwards::Gone).await;
        assert_eq!(started.elapsed(), LIMITS.streams);
        assert!(!target.is_cancelled());
    }
}
