//! Limits the logins in progress. sshd refuses connections at random once ten have not logged in yet (`MaxStartups
//! 10:30:100`), so the limit is per address, not per fleet.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ssh_config::Endpoint;

/// The limit for one jump host and for local commands: the jump host does all the work.
const THROUGH: usize = 30;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Gate {
    Address(SocketAddr),
    Jump(Vec<Endpoint>),
    Command,
}

#[derive(Debug)]
pub(crate) struct Starts {
    limit: usize,
    gates: Mutex<HashMap<Gate, Arc<Semaphore>>>,
}

impl Starts {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), gates: Mutex::default() }
    }

    /// Waits for a turn. Never returns `None`, as the semaphore is never closed.
    pub(crate) async fn turn(&self, gate: Gate) -> Option<OwnedSemaphorePermit> {
        let limit = match gate {
            Gate::Address(_) => self.limit,
            Gate::Jump(_) | Gate::Command => THROUGH,
        };
        let semaphore = {
            let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(gates.entry(gate).or_insert_with(|| Arc::new(Semaphore::new(limit))))
        };
        semaphore.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn an_address_has_its_turns_and_takes_none_of_another() {
        let starts = Starts::new(2);
        let gate = |host: u8| Gate::Address(([127, 0, 0, host], 22).into());
        let mut held = Vec::new();
        for host in 1..=50 {
            for _ in 0..2 {
                held.push(starts.turn(gate(host)).now_or_never().flatten().unwrap());
            }
        }
        assert!(starts.turn(gate(7)).now_or_never().is_none());
        held.clear();
        assert!(starts.turn(gate(7)).now_or_never().is_some());
    }
}
