//! Applies a plan: every server and role in parallel and independently.
//!
//! A role boots its new container and waits until it is ready, opens the barrier or waits at it, attaches the new
//! container to the proxy, and retires the old ones. A failure before it touches the old containers stops the new one,
//! and the old one keeps serving.

mod back;
mod kept;
mod progress;
mod role;
mod succession;
mod takeover;

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use bowline_core::commands::answer::Unreadable;
use bowline_core::commands::assets::Prepare;
use bowline_core::commands::prune::Left;
use bowline_core::commands::status::Status;
use bowline_core::plan::delivery::Delivery;
use bowline_core::plan::{Plan, RolePlan, ServerPlan, step::Step};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};

use crate::error::{Cause, Failure};
use crate::event::{Event, Phase};
use crate::image::send;
use crate::ports::Output;
use crate::proxy::Proxies;
use crate::run::barrier::{Barrier, Gatekeeper};
use crate::run::fleet::Fleet;
use crate::run::lock::Lost;
use crate::world::{StopSignal, World};
use progress::{Progress, Stage};
use role::{Booted, RoleTask};

pub struct Apply<'a> {
    pub fleet: &'a Fleet,
    pub plan: &'a Plan,
    pub stop: &'a StopSignal,
    pub lock_lost: Lost,
    barrier: Barrier,
    progress: Progress,
    pub(crate) proxies: Proxies<'a>,
    told_closed: AtomicBool,
}

impl<'a> Apply<'a> {
    pub(crate) fn new(world: &'a World, fleet: &'a Fleet, plan: &'a Plan, lock_lost: Lost) -> Self {
        Self {
            fleet,
            plan,
            stop: &world.stop,
            lock_lost,
            barrier: Barrier::new(plan.barrier.opened_by.is_some()),
            progress: Progress::of(plan),
            proxies: Proxies::of_plan(fleet, plan, &world.own_proxy),
            told_closed: AtomicBool::new(false),
        }
    }

    pub fn failures(&self) -> Vec<Failure> {
        self.progress.failures()
    }

    /// Whether a role serves the new version on a server, through a container that this run booted.
    pub fn is_done(&self, host: &str, role: &str) -> bool {
        self.done_at(host, role).is_some()
    }

    /// The container that this run booted and that serves the new version on a server.
    fn done_at(&self, host: &str, role: &str) -> Option<Booted> {
        match self.progress.stage(host, role)? {
            Stage::Kept => None,
            Stage::Serves(booted) | Stage::Finished(booted) => Some(booted),
        }
    }

    fn fail(&self, failure: Failure) {
        self.fleet.emit(Event::Failed(failure.clone()));
        self.progress.fail(failure);
    }

    /// Whether the lock was lost, because another run took it over or a person released it.
    pub fn lost_the_lock(&self) -> bool {
        self.lock_lost.borrow().is_some()
    }

    /// Checks that the run may make its next change: it still has the lock and wasn't interrupted.
    fn may_go_on(&self) -> Result<(), Cause> {
        if let Some(why) = self.lock_lost.borrow().clone() {
            Err(Cause::LockLost { why })
        } else if self.stop.is_set() {
            Err(Cause::Interrupted)
        } else {
            Ok(())
        }
    }

    fn sound(&self) -> impl Iterator<Item = &'a ServerPlan> {
        self.plan.servers.iter().filter(|server| !self.progress.has_failed(&server.host))
    }

    /// Whether the primary role can still come up on some server, if the plan has it.
    pub fn primary_is_possible(&self) -> bool {
        let Some(primary) = &self.plan.barrier.opened_by else { return true };
        self.sound().any(|server| server.roles.iter().any(|role| role.role == *primary))
    }

    /// Gets the image to every server that needs it, from a registry or from this machine.
    pub async fn deliver(&self, world: &World) {
        self.everywhere(Phase::Pull, |server| match &server.delivery {
            Some(Delivery::Pull(pull)) => vec![(None, Step::Pull(pull.clone()))],
            _ => Vec::new(),
        })
        .await;
        let to = self.sound().filter_map(|server| match &server.delivery {
            Some(Delivery::Send(receive)) => Some((server, receive)),
            _ => None,
        });
        let to: Vec<_> = to.collect();
        let Some((_, receive)) = to.first() else { return };
        let hosts: Vec<&str> = to.iter().map(|(server, _)| server.host.as_str()).collect();
        let sent = Mutex::new(Vec::new());
        let failed = |failure| self.fail(failure);
        let work = async {
            let all = send::to_all(world.images.as_ref(), self.fleet, receive, &hosts, &failed).await;
            *sent.lock().unwrap_or_else(PoisonError::into_inner) = all;
        };
        self.at_once(Phase::Send(to.len()), vec![work]).await;
        let sent = sent.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut received = Vec::new();
        for (host, output, bytes) in sent {
            let Some((server, receive)) = to.iter().find(|(server, _)| server.host == host) else { continue };
            let step = Step::Receive((*receive).clone());
            match self.learn(server, &step, &output) {
                Ok(()) => received.push((host.to_owned(), bytes)),
                Err(error) => self.fail(self.fleet.failed(host, None, &step, error.into())),
            }
        }
        self.fleet.emit(Event::Sent(received));
    }

    pub async fn proxy(&self) {
        let missing = |server: &&ServerPlan| {
            server.network.is_some() || server.proxies.iter().any(|proxy| !proxy.steps().is_empty())
        };
        let work = self.sound().filter(missing).map(|server| self.proxy_on(server)).collect();
        self.at_once(Phase::Proxy, work).await;
    }

    async fn proxy_on(&self, server: &ServerPlan) {
        let network = server.network.clone().map(|network| (None, Step::Network(network)));
        self.one_by_one(server, network.into_iter().collect()).await;
        for proxy in &server.proxies {
            if self.progress.has_failed(&server.host) || self.may_go_on().is_err() {
                return;
            }
            if let Err(failure) = self.proxies.on(&server.host, proxy.kind()).ensure().await {
                self.fail(failure);
            }
        }
    }

    /// Prepares the assets of every role on every server, before any role boots. Leaves out a server that fails, and
    /// all servers if the image is to blame (see [`Apply::image_is_sound`]).
    pub async fn assets(&self) {
        self.everywhere(Phase::Assets, |server| {
            let step = |assets: &Prepare| (Some(assets.role.clone()), Step::Assets(assets.clone()));
            let begins = |assets: &&Prepare| !self.keeps(&server.host, &assets.role);
            server.assets.iter().filter(begins).map(step).collect()
        })
        .await;
        if !self.image_is_sound() {
            let text = "the image is the same on every server: nothing to boot";
            self.fleet.emit(Event::Note { host: None, text: text.into() });
        }
    }

    /// Whether no failure has its cause in the image. Such a failure would recur on every server.
    pub fn image_is_sound(&self) -> bool {
        !self.failures().iter().any(|failure| matches!(failure.cause, Cause::NoAssets { .. }))
    }

    /// Removes old containers and images on every server where that had to wait for the end.
    pub async fn prune(&self) {
        self.everywhere(Phase::Prune, |server| {
            let prune = server.prune.clone().filter(|_| !self.leaves_alone(server));
            prune.map(Step::Prune).into_iter().map(|step| (None, step)).collect()
        })
        .await;
    }

    /// Runs steps one after the other, on every sound server in parallel.
    async fn everywhere(&self, phase: Phase, steps: impl Fn(&ServerPlan) -> Vec<(Option<String>, Step)>) {
        let work: Vec<_> = self
            .sound()
            .map(|server| (server, steps(server)))
            .filter(|(_, steps)| !steps.is_empty())
            .map(|(server, steps)| self.one_by_one(server, steps))
            .collect();
        self.at_once(phase, work).await;
    }

    /// Does work on servers in parallel. Reports no phase if there is no work.
    async fn at_once(&self, phase: Phase, work: Vec<impl Future<Output = ()>>) {
        if work.is_empty() || self.may_go_on().is_err() {
            return;
        }
        self.fleet.emit(Event::Phase(phase));
        let all = join_all(work);
        // This work affects no requests, so an interrupt doesn't wait for it, for example for a long pull.
        tokio::select! {
            _ = all => {}
            () = self.stop.triggered() => {}
        }
    }

    async fn one_by_one(&self, server: &ServerPlan, steps: Vec<(Option<String>, Step)>) {
        for (role, step) in steps {
            if self.may_go_on().is_err() {
                return;
            }
            match self.fleet.run(&server.host, role.as_deref(), &step).await {
                Ok(output) => {
                    if let Err(error) = self.learn(server, &step, &output) {
                        return self.fail(self.fleet.failed(&server.host, None, &step, error.into()));
                    }
                }
                Err(failure) => {
                    return self.fail(match &step {
                        Step::Assets(assets) => assets_failed(failure, assets),
                        _ => failure.explained(),
                    });
                }
            }
        }
    }

    /// Handles the answer of a step: directories that a prune couldn't remove, the image that was pulled or received.
    fn learn(&self, server: &ServerPlan, step: &Step, output: &Output) -> Result<(), Unreadable> {
        match step {
            Step::Prune(_) => self.tell_left(server, output.answer()?),
            Step::Pull(_) | Step::Receive(_) => self.pulled(server, &output.answer()?),
            _ => {}
        }
        Ok(())
    }

    fn tell_left(&self, server: &ServerPlan, Left(directories): Left) {
        for directory in directories {
            self.fleet.emit(Event::Note {
                host: Some(server.host.clone()),
                text: format!(
                    "{directory} could not be removed: files there belong to another user; remove it by hand"
                ),
            });
        }
    }

    /// Boots one group of servers. Returns whether everything succeeded.
    pub async fn boot(&self, group: usize) -> bool {
        let Some(indexes) = self.plan.groups.get(group) else { return true };
        let servers: Vec<&ServerPlan> = indexes
            .iter()
            .filter_map(|index| self.plan.servers.get(*index))
            .filter(|server| !self.progress.has_failed(&server.host) && !self.leaves_alone(server))
            .collect();
        if let Err(cause) = self.may_go_on() {
            self.lost(&servers, &cause);
            return false;
        }
        if servers.is_empty() {
            // All of its servers failed before or are up to date, which says nothing about the next groups.
            return true;
        }
        self.fleet.emit(Event::Phase(Phase::Boot(group + 1, self.plan.groups.len())));
        // Held until every role has its own gatekeeper, so that the first failure can't close the barrier too early,
        // and a group without any closes it.
        let guard = self.barrier.gatekeeper();
        if self.primary_is_there() {
            guard.open();
        }
        let work: Vec<_> = servers
            .iter()
            .map(|server| {
                let keepers: Vec<Option<Gatekeeper>> = server
                    .roles
                    .iter()
                    .map(|role| self.opens(role).then(|| self.barrier.gatekeeper()))
                    .collect();
                self.server(server, keepers)
            })
            .collect();
        drop(guard);
        let results = join_all(work).await;
        results.into_iter().all(|done| done)
    }

    fn lost(&self, servers: &[&ServerPlan], cause: &Cause) {
        if *cause == Cause::Interrupted {
            return;
        }
        for server in servers {
            self.fail(Failure::new(&server.host, None, "boot", cause.clone()));
        }
    }

    pub fn all_done(&self) -> bool {
        self.plan
            .servers
            .iter()
            .all(|server| server.roles.iter().all(|role| self.has_it(&server.host, &role.role)))
    }

    fn opens(&self, role: &RolePlan) -> bool {
        self.plan.barrier.opened_by.as_ref() == Some(&role.role)
    }

    /// Boots all roles of a server in parallel. If all came up, tags the version as the latest and prunes.
    async fn server(&self, server: &ServerPlan, keepers: Vec<Option<Gatekeeper>>) -> bool {
        let mut roles: Vec<_> = server.roles.iter().zip(keepers).collect();
        // If roles boot one after the other, those that open the barrier go first, or the others would wait forever.
        roles.sort_by_key(|(_, keeper)| keeper.is_none());
        roles.retain(|(role, _)| !self.keeps(&server.host, &role.role));
        let tasks = roles.into_iter().map(|(role, keeper)| async move {
            RoleTask { apply: self, server, role }.carry_out(keeper).await
        });
        let results: Vec<_> = if self.plan.parallel_roles {
            join_all(tasks).await
        } else {
            stream::iter(tasks).then(|task| task).collect().await
        };
        let mut sound = true;
        for failure in results.into_iter().filter_map(Result::err) {
            self.fail(failure);
            sound = false;
        }
        if !sound {
            return false;
        }
        match self.finish(server).await {
            Ok(()) => true,
            Err(failure) => {
                self.fail(failure);
                false
            }
        }
    }
}

/// Replaces the cause of a failed preparation if the image is to blame.
fn assets_failed(mut failure: Failure, assets: &Prepare) -> Failure {
    if failure.has_status(Status::NoAssets)
        && let Cause::Command(Output { stderr, .. }) = &failure.cause
    {
        failure.cause = Cause::NoAssets {
            image: assets.image.clone(),
            path: assets.path.path.clone(),
            found: stderr.trim().into(),
        };
    }
    failure
}
