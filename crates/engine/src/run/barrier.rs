//! The barrier: until one container of the primary role is healthy, no old container of another role is stopped.
//!
//! It opens or closes on every code path. Each role that may open it holds a [`Gatekeeper`]. When the last one is
//! dropped without opening the barrier (because roles failed, were unreachable or interrupted, or never started), it
//! closes. So no role waits forever.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Undecided,
    /// A container of the primary role is healthy.
    Open,
    /// No container of the primary role will become healthy.
    Closed,
}

#[derive(Debug, Clone)]
pub struct Barrier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    standing: watch::Sender<Standing>,
    gatekeepers: Mutex<usize>,
}

/// May open the barrier. Closes it if it is the last one to be dropped.
#[derive(Debug)]
pub struct Gatekeeper(Barrier);

impl Barrier {
    /// A barrier that waits for its gatekeepers, or is open if the run has no primary role.
    pub fn new(has_primary: bool) -> Self {
        let standing = if has_primary { Standing::Undecided } else { Standing::Open };
        Self(Arc::new(Inner { standing: watch::Sender::new(standing), gatekeepers: Mutex::new(0) }))
    }

    /// Creates a gatekeeper. A run creates all of them before it can drop the first.
    pub fn gatekeeper(&self) -> Gatekeeper {
        *self.0.gatekeepers.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Gatekeeper(self.clone())
    }

    pub fn standing(&self) -> Standing {
        *self.0.standing.borrow()
    }

    /// Closes the barrier unless it is decided. Returns whether this call closed it.
    pub fn close(&self) -> bool {
        self.decide(Standing::Closed)
    }

    /// Waits for the decision. Returns whether it is open.
    pub async fn passed(&self) -> bool {
        let mut standing = self.0.standing.subscribe();
        let decided = standing.wait_for(|standing| *standing != Standing::Undecided).await;
        // The sender lives as long as this barrier, so waiting can't fail here.
        decided.is_ok_and(|standing| *standing == Standing::Open)
    }

    /// Sets the decision unless there is one already. Returns whether this call decided.
    fn decide(&self, decision: Standing) -> bool {
        self.0.standing.send_if_modified(|standing| {
            let first = *standing == Standing::Undecided;
            if first {
                *standing = decision;
            }
            first
        })
    }
}

impl Gatekeeper {
    /// Returns whether this call opened the barrier.
    pub fn open(&self) -> bool {
        self.0.decide(Standing::Open)
    }
}

impl Drop for Gatekeeper {
    fn drop(&mut self) {
        let mut left = self.0.0.gatekeepers.lock().unwrap_or_else(PoisonError::into_inner);
        *left -= 1;
        if *left == 0 {
            self.0.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_first_healthy_one_opens_it_for_all() {
        let barrier = Barrier::new(true);
        let (first, second) = (barrier.gatekeeper(), barrier.gatekeeper());
        let waiting = tokio::spawn({
            let barrier = barrier.clone();
            async move { barrier.passed().await }
        });
        drop(first);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!waiting.is_finished(), "one failure of two decides nothing");
        assert!(second.open());
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn it_closes_when_the_last_gatekeeper_is_gone() {
        let barrier = Barrier::new(true);
        let (first, second) = (barrier.gatekeeper(), barrier.gatekeeper());
        drop((first, second));
        assert!(!barrier.passed().await);
    }

    #[tokio::test]
    async fn what_is_decided_stays_decided() {
        let barrier = Barrier::new(true);
        let keeper = barrier.gatekeeper();
        assert!(keeper.open());
        drop(keeper);
        assert!(!barrier.close());
        assert!(barrier.passed().await);
    }

    #[tokio::test]
    async fn without_a_primary_role_nobody_waits() {
        assert!(Barrier::new(false).passed().await);
    }
}
