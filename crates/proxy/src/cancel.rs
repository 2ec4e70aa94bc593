//! Ending what waits on a connection, from any thread.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Shared by a connection's user and by those who may end it.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    cancelled: AtomicBool,
    streaming: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Cancel {
    /// Whether it has been ended.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Ends it. Its user is woken.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it carries a WebSocket or an event stream.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming.load(Ordering::Relaxed)
    }

    /// Notes what it carries.
    pub(crate) fn set_streaming(&self, streaming: bool) {
        self.streaming.store(streaming, Ordering::Relaxed);
    }

    /// Wakes this task when it is ended; false if it already is.
    pub(crate) fn wakes(&self, waker: &Waker) -> bool {
        let mut known = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        drop(known);
        // Who ends it sets the flag before looking for a waker.
        !self.is_cancelled()
    }

    /// Returns once it is ended.
    pub(crate) async fn cancelled(&self) {
        poll_fn(|cx| if self.wakes(cx.waker()) { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}
