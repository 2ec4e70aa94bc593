//! Simulated programs that live as long as their channel: the lock's keeper, and a log that is followed.

use std::time::Duration;

use async_trait::async_trait;
use bowline_core::commands::lock::{self, Said};
use bowline_core::commands::logs;
use tokio::time::{Instant, sleep};

use super::machine::{FakeLock, Machine};
use super::network::How;
use super::server::FakeServer;
use crate::ports::{Channel, ServerError};

pub(super) fn take_lock(machine: &mut Machine, keep: &lock::Keep) -> Said {
    let ran_out = machine.lease.is_some_and(|renewed| renewed.elapsed().as_secs() > lock::LEASE_S);
    let held = machine.lock.as_ref().filter(|lock| lock.owner.is_none() || !(lock.orphaned || ran_out));
    if let Some(held) = held {
        return Said::Held(held.details.clone());
    }
    let said = machine.lock.as_ref().map_or(Said::Locked, |lock| Said::Taken(lock.details.clone()));
    machine.lease = Some(Instant::now());
    machine.lock = Some(FakeLock {
        owner: Some(keep.scope.run.clone()),
        orphaned: false,
        details: keep.details.clone(),
    });
    said
}

pub(super) struct FakeKeeper {
    pub(super) server: FakeServer,
    pub(super) run: String,
    pub(super) lines: Vec<String>,
    /// How often the server's connections had been cut when this one was made.
    pub(super) cuts: usize,
}

#[async_trait]
impl Channel for FakeKeeper {
    async fn next_line(&mut self) -> Result<Option<String>, ServerError> {
        while self.server.network.faults().lock_hangs {
            sleep(Duration::from_secs(1)).await;
        }
        loop {
            if let Some(line) = self.lines.pop() {
                return Ok(Some(line));
            }
            sleep(Duration::from_millis(50)).await;
            let mine = self
                .server
                .machine()
                .lock
                .as_ref()
                .is_some_and(|lock| lock.owner.as_ref() == Some(&self.run));
            if self.server.network.faults().unreachable.contains(&self.server.host) {
                return Err(ServerError::Lost { reason: "no answer".into() });
            }
            if !mine {
                return Ok(Some(self.lost().to_string()));
            }
            let cut = self.server.cuts() != self.cuts;
            if cut || self.server.network.is_silent(&self.server.host, How::Vanishes) {
                return Err(self.server.lost(self.cuts).await);
            }
        }
    }

    async fn send_line(&mut self, line: &str) -> Result<(), ServerError> {
        if self.server.cuts() != self.cuts {
            return Err(self.server.lost(self.cuts).await);
        }
        if line == "release" {
            let mut machine = self.server.machine();
            if machine.lock.as_ref().is_some_and(|lock| lock.owner.as_ref() == Some(&self.run)) {
                machine.lock = None;
                self.lines.push(Said::Released.to_string());
            } else {
                drop(machine);
                self.lines.push(self.lost().to_string());
            }
        } else {
            self.server.machine().lease = Some(Instant::now());
        }
        Ok(())
    }
}

impl FakeKeeper {
    fn lost(&self) -> Said {
        let machine = self.server.machine();
        Said::Lost(match (&machine.released, &machine.lock) {
            (Some((run, why)), _) if self.run.starts_with(run) => why.clone(),
            (_, Some(_)) => "another holder has the deploy lock".into(),
            _ => "the deploy lock was removed".into(),
        })
    }
}

impl Drop for FakeKeeper {
    /// Closes standard input: the keeper marks the lock as orphaned if it still owns it.
    fn drop(&mut self) {
        let mut machine = self.server.machine();
        if let Some(lock) = machine.lock.as_mut().filter(|lock| lock.owner.as_ref() == Some(&self.run)) {
            lock.orphaned = true;
        }
    }
}

/// A container's log that is followed. It prints one line, and ends when the container does.
pub(super) struct FakeLog {
    pub(super) server: FakeServer,
    pub(super) id: String,
    pub(super) said: bool,
}

#[async_trait]
impl Channel for FakeLog {
    async fn next_line(&mut self) -> Result<Option<String>, ServerError> {
        loop {
            if self.server.network.faults().unreachable.contains(&self.server.host) {
                return Err(ServerError::Lost { reason: "no answer".into() });
            }
            let runs = {
                let machine = self.server.machine();
                machine.containers.iter().find(|c| c.id == self.id && c.running).map(|c| c.name.clone())
            };
            match runs {
                Some(name) if !self.said => {
                    self.said = true;
                    return Ok(Some(format!("{name} says")));
                }
                Some(_) => sleep(Duration::from_millis(50)).await,
                None => return Ok(Some(logs::Said::Ended("1750000000".into()).to_string())),
            }
        }
    }

    async fn send_line(&mut self, _: &str) -> Result<(), ServerError> {
        Ok(())
    }
}
