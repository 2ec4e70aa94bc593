//! Idle connections of one worker to one target.

use std::sync::Mutex;

use super::connection::Connection;
use crate::lock;
use crate::plane::client::Tick;
use crate::plane::worker::tick;

/// The maximum number of idle connections per worker and target.
const MAX_IDLE: usize = 256;
/// How long an idle connection is kept, in seconds.
const IDLE: Tick = 60;

/// Only its worker uses it, except when a drain closes the idle connections.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Idle>>);

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Tick,
}

impl Idle {
    fn is_usable(&self) -> bool {
        tick().saturating_sub(self.since) < IDLE && self.connection.is_quiet()
    }
}

impl Pool {
    pub(crate) fn clear(&self) {
        let idle = std::mem::take(&mut *lock(&self.0));
        drop(idle);
    }

    /// Closes connections that have been idle for too long, or that the target has closed.
    pub(crate) fn expire(&self) {
        lock(&self.0).retain(Idle::is_usable);
    }

    pub(super) fn take(&self) -> Option<Connection> {
        loop {
            let idle = lock(&self.0).pop()?;
            if idle.is_usable() {
                return Some(idle.connection);
            }
        }
    }

    pub(super) fn put(&self, connection: Connection) {
        let mut idle = lock(&self.0);
        if idle.len() < MAX_IDLE {
            idle.push(Idle { connection, since: tick() });
        }
    }
}
