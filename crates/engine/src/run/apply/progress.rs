//! The progress of a plan: the stage of each role on each server, what followed, and the failures.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bowline_core::commands::finish;
use bowline_core::plan::Plan;

use super::role::Booted;
use crate::error::Failure;

/// The stage of a role on a server. A role without a stage doesn't serve the new version yet, or no longer does.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// The container already matches the plan and stays.
    Kept,
    Serves(Booted),
    /// The new container serves, and the old ones are retired.
    Finished(Booted),
}

#[derive(Debug, Default)]
struct Server {
    roles: BTreeMap<String, Stage>,
    /// The steps that are done of those that follow when all roles serve.
    finish: finish::Answer,
    /// Whether the new kind of proxy may already have the ports.
    taken_over: bool,
}

#[derive(Debug, Default)]
struct State {
    servers: BTreeMap<String, Server>,
    failures: Vec<Failure>,
}

#[derive(Debug)]
pub(super) struct Progress(Mutex<State>);

impl Progress {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut state = State::default();
        for server in &plan.servers {
            let known = state.servers.entry(server.host.clone()).or_default();
            let kept = server.roles.iter().filter(|role| role.kept.is_some());
            known.roles.extend(kept.map(|role| (role.role.clone(), Stage::Kept)));
        }
        Self(Mutex::new(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server<T>(&self, host: &str, look: impl FnOnce(&mut Server) -> T) -> T {
        look(self.state().servers.entry(host.into()).or_default())
    }

    pub(super) fn stage(&self, host: &str, role: &str) -> Option<Stage> {
        self.server(host, |server| server.roles.get(role).cloned())
    }

    pub(super) fn reach(&self, host: &str, role: &str, stage: Stage) {
        self.server(host, |server| server.roles.insert(role.into(), stage));
    }

    pub(super) fn fall_back(&self, host: &str, role: &str) {
        self.server(host, |server| server.roles.remove(role));
    }

    pub(super) fn finish(&self, host: &str) -> finish::Answer {
        self.server(host, |server| server.finish.clone())
    }

    pub(super) fn add(&self, host: &str, done: &finish::Answer) {
        self.server(host, |server| {
            server.finish.tagged |= done.tagged;
            server.finish.pruned = done.pruned.clone().or(server.finish.pruned.take());
        });
    }

    pub(super) fn take_over(&self, host: &str) {
        self.server(host, |server| server.taken_over = true);
    }

    pub(super) fn is_taken_over(&self, host: &str) -> bool {
        self.server(host, |server| server.taken_over)
    }

    pub(super) fn fail(&self, failure: Failure) {
        self.state().failures.push(failure);
    }

    pub(super) fn failures(&self) -> Vec<Failure> {
        self.state().failures.clone()
    }

    pub(super) fn has_failed(&self, host: &str) -> bool {
        self.state().failures.iter().any(|failure| failure.host == host)
    }
}
