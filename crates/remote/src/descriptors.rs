//! Limits the connections that are open at a time, because the number of open files is limited (`ulimit -n`). If a
//! run has more servers, an unused connection closes to make room for the next, and opens again when needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bowline_engine::ports::ServerError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::Result;

/// The highest limit to request: some systems refuse more.
const ENOUGH: u64 = 10_240;

/// Reserved for everything else: the runtime, files, `ssh -G`, hooks, git and the build.
const RESERVE: usize = 64;

/// The pause between two searches for an unused connection.
const AGAIN: Duration = Duration::from_millis(20);

/// Raises the soft limit of open files as far as possible. Returns the number of connections that fit.
pub(crate) fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    let raised = current.is_some_and(|current| current < wanted)
        && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok();
    let limit = if raised { wanted } else { current.unwrap_or(ENOUGH).min(ENOUGH.max(wanted)) };
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(RESERVE).max(RESERVE / 4)
}

#[derive(Debug)]
pub(crate) struct Descriptors {
    room: Arc<Semaphore>,
    capacity: usize,
    /// The descriptors of connections that stay in use without a time limit.
    kept: AtomicUsize,
    looking: Mutex<()>,
}

impl Descriptors {
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(4);
        Self {
            room: Arc::new(Semaphore::new(capacity)),
            capacity,
            kept: AtomicUsize::new(0),
            looking: Mutex::default(),
        }
    }

    /// Waits for `wanted` descriptors. `free` closes an unused connection, and returns whether there was one.
    pub(crate) async fn take(&self, wanted: u32, free: impl Fn() -> bool) -> Result<OwnedSemaphorePermit> {
        let _turn = self.looking.lock().await;
        loop {
            if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(wanted) {
                return Ok(room);
            }
            if !free() && self.kept.load(Ordering::Relaxed) + wanted as usize > self.capacity {
                return Err(ServerError::Unreachable {
                    reason: format!("the limit of {} open connections is reached", self.capacity),
                    hint: Some("allow more open files: `ulimit -n 4096`".into()),
                });
            }
            // A closed connection keeps its descriptor until a task of russh drops it.
            let room = Arc::clone(&self.room).acquire_many_owned(wanted);
            if let Ok(Ok(room)) = tokio::time::timeout(AGAIN, room).await {
                return Ok(room);
            }
        }
    }

    /// Counts descriptors of a connection that stays in use, until [`Self::unkeep`].
    pub(crate) fn keep(&self, descriptors: usize) {
        self.kept.fetch_add(descriptors, Ordering::Relaxed);
    }

    pub(crate) fn unkeep(&self, descriptors: usize) {
        self.kept.fetch_sub(descriptors, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_nobody_uses_makes_room() {
        let descriptors = Descriptors::new(4);
        let open = Mutex::new(Vec::new());
        for _ in 0..6 {
            let room = descriptors.take(1, || open.lock().unwrap().pop().is_some()).await.unwrap();
            open.lock().unwrap().push(room);
        }
        assert_eq!(open.lock().unwrap().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_waited_for_one_that_ends_and_not_for_one_that_does_not() {
        let descriptors = Arc::new(Descriptors::new(4));
        let held = descriptors.take(4, || false).await.unwrap();
        let waiting = {
            let descriptors = Arc::clone(&descriptors);
            tokio::spawn(async move { descriptors.take(1, || false).await.map(|_| ()) })
        };
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!waiting.is_finished());
        drop(held);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        let _held = descriptors.take(4, || false).await.unwrap();
        descriptors.keep(4);
        let error = descriptors.take(1, || false).await.unwrap_err();
        assert!(error.to_string().contains("limit of 4 open connections"), "{error}");
    }

    #[test]
    fn the_soft_limit_is_raised() {
        let room = raise();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current.map(|c| c.min(ENOUGH)), Some(maximum.unwrap_or(ENOUGH).min(ENOUGH)));
        assert!(room > 0 && room as u64 <= current.unwrap() - RESERVE as u64);
    }
}
