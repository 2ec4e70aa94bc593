//! Cancels work on a connection from any thread.

use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use crate::lock;

/// Shared by the task that uses a connection and the tasks that may cancel it.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    cancelled: AtomicBool,
    streaming: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Cancel {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the connection carries a WebSocket or an event stream.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming.load(Ordering::Relaxed)
    }

    pub(crate) fn set_streaming(&self, streaming: bool) {
        self.streaming.store(streaming, Ordering::Relaxed);
    }

    /// Registers a waker to wake on cancellation. Returns false if the work is already cancelled.
    pub(crate) fn wakes(&self, waker: &Waker) -> bool {
        let mut known = lock(&self.waker);
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        drop(known);
        // `cancel` sets the flag before it takes the waker, so this check misses no cancellation.
        !self.is_cancelled()
    }

    pub(crate) async fn cancelled(&self) {
        poll_fn(|cx| if self.wakes(cx.waker()) { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}
