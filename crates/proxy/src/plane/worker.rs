//! One thread of the data plane: the state that its connections share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderValue;
use tokio::task::AbortHandle;

use super::Shared;
use super::client::{Client, Overdue, Patience, Tick};

thread_local! {
    static TICK: Cell<Tick> = const { Cell::new(0) };
}

/// Seconds since this thread's worker started.
pub(super) fn tick() -> Tick {
    TICK.get()
}

pub(super) struct Worker {
    pub(super) id: usize,
    pub(super) shared: Arc<Shared>,
    connections: RefCell<HashMap<u64, (Arc<Client>, AbortHandle)>>,
    next: Cell<u64>,
    random: Cell<u64>,
    patience: Patience,
}

impl Worker {
    pub(super) fn new(id: usize, shared: Arc<Shared>) -> Self {
        let seconds = |of: Duration| Tick::try_from(of.as_secs().max(1)).unwrap_or(Tick::MAX);
        let settings = &shared.settings;
        let patience = Patience {
            head: seconds(settings.header_timeout),
            idle: seconds(settings.idle_timeout),
            body: seconds(settings.body_timeout),
        };
        Self {
            id,
            connections: RefCell::default(),
            next: Cell::new(0),
            random: Cell::new(RandomState::new().build_hasher().finish()),
            patience,
            shared,
        }
    }

    /// Registers a connection, so that it can be ended when it is overdue, until the returned entry is dropped.
    pub(super) fn register(self: &Rc<Self>, client: Arc<Client>, task: AbortHandle) -> Entry {
        let id = self.next.get();
        self.next.set(id + 1);
        self.connections.borrow_mut().insert(id, (client, task));
        Entry { worker: Rc::clone(self), id }
    }

    /// Ends overdue connections every second, and closes expired idle connections to targets every 5 seconds.
    pub(super) async fn watch(self: Rc<Self>) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            let now = tick() + 1;
            TICK.set(now);
            self.end_overdue(now);
            if now.is_multiple_of(5) {
                self.expire_pools();
            }
        }
    }

    fn end_overdue(&self, now: Tick) {
        let mut patience = self.patience;
        if self.shared.is_closing() {
            patience.idle = patience.idle.min(1);
        }
        for (client, task) in self.connections.borrow().values() {
            match client.overdue(now, patience) {
                Some(Overdue::Http2(goodbye)) => goodbye.notify_one(),
                Some(Overdue::Stuck) => task.abort(),
                None => {}
            }
        }
    }

    fn expire_pools(&self) {
        let table = self.shared.services.table();
        for target in
            table.services().flat_map(|service| service.sets()).flat_map(|set| set.balancer.targets())
        {
            target.pool(self.id).expire();
        }
    }

    /// A random version 4 UUID. It only has to be unique.
    pub(super) fn uuid(&self) -> HeaderValue {
        let (high, low) = (self.random(), self.random());
        let mut text = [b'-'; 36];
        let nibbles = (0..32).map(|i| if i < 16 { high >> (60 - 4 * i) } else { low >> (124 - 4 * i) } & 15);
        let places = (0..36).filter(|i| !matches!(i, 8 | 13 | 18 | 23));
        for ((index, place), nibble) in places.enumerate().zip(nibbles) {
            let nibble = match index {
                12 => 4,
                16 => nibble & 3 | 8,
                _ => nibble,
            };
            text[place] = b"0123456789abcdef"[usize::try_from(nibble).unwrap_or_default()];
        }
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }

    /// The splitmix64 generator.
    fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Keeps a connection registered with its worker until dropped.
pub(super) struct Entry {
    worker: Rc<Worker>,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(&self.id);
        self.worker.shared.load[self.worker.id].fetch_sub(1, Ordering::Relaxed);
        self.worker.shared.connection_ended();
    }
}
