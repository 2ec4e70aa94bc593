//! One role on one server: boot, barrier, attach, retire, or undo.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bowline_config::BarrierOrder;
use bowline_core::commands::app;
use bowline_core::commands::finish::{Answer as Finished, Finish};
use bowline_core::commands::ready::{Answer, Event as Heard};
use bowline_core::commands::serving::Serving;
use bowline_core::plan::{Retire, RolePlan, ServerPlan, step::Step};
use bowline_core::proxy::{Attach, Opens};
use tokio::sync::watch;

use super::Apply;
use super::progress::Stage;
use crate::error::{Cause, Failure};
use crate::event::Event;
use crate::proxy::{At, Seen, Target, wait_for};
use crate::run::barrier::Gatekeeper;
use crate::run::health;
use crate::run::retire::retire_and;
use crate::run::start::Spot;

/// How long a booting container may take after an interrupt to report its id, so that it can be stopped.
const SHOW: Duration = Duration::from_secs(10);

/// The requests that may go to a new container that is being undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gets {
    None,
    /// Some, in addition to those to the old one.
    Some,
    /// All requests of its role: the proxy sends them to only one container. They must go back to the old one first.
    All,
}

#[derive(Debug, Clone)]
pub(super) struct Booted {
    pub(super) serving: Serving,
    pub(super) addresses: Vec<IpAddr>,
}

/// Whether the proxy rejected the container, so that no requests go to it.
fn is_refused(failure: &Failure) -> bool {
    matches!(&failure.cause, Cause::NotReady(not_ready) if not_ready.refused)
}

impl Booted {
    pub(super) fn target(&self) -> Target<'_> {
        Target { role: None, id: &self.serving.id, addresses: &self.addresses }
    }
}

pub(super) struct RoleTask<'a> {
    pub(super) apply: &'a Apply<'a>,
    pub(super) server: &'a ServerPlan,
    pub(super) role: &'a RolePlan,
}

impl RoleTask<'_> {
    /// Runs all parts. A role with a `keeper` may open the barrier. The others wait at it.
    pub(super) async fn carry_out(&self, keeper: Option<Gatekeeper>) -> Result<(), Failure> {
        if keeper.is_none() && self.apply.plan.barrier.order == BarrierOrder::BeforeBoot {
            self.at_the_barrier().await?;
        }
        let mut booted = self.boot().await?;
        let seen = match self.released(keeper, &booted).await {
            Ok(seen) => seen,
            Err((failure, gets)) => return Err(self.undone(failure, &booted, gets).await),
        };
        if let Seen::Registered { restarts } = seen {
            booted.serving.restarts = Some(restarts);
        }
        self.tell(match seen {
            Seen::Routed | Seen::Registered { .. } => "serving",
            Seen::Unseen => "running, routing not confirmed",
        });
        self.reach(Stage::Serves(booted.clone()));
        if self.apply.plan.kind.direction().is_some() {
            // The old one keeps serving until its proxy has given up its ports.
            return Ok(());
        }
        // From here on, the new container serves, so the rest is finished even after an interrupt.
        self.finish(&booted).await
    }

    fn reach(&self, stage: Stage) {
        self.apply.progress.reach(&self.server.host, &self.role.role, stage);
    }

    /// Retires the old containers, and reports that the role is done.
    pub(super) async fn finish(&self, booted: &Booted) -> Result<(), Failure> {
        self.succeed(booted).await?;
        self.reach(Stage::Finished(booted.clone()));
        self.apply.fleet.emit(Event::RoleDone {
            host: self.server.host.clone(),
            role: self.role.role.clone(),
            version: self.apply.plan.version.clone(),
        });
        Ok(())
    }

    /// Waits for everything that must hold before the old container may stop: the barrier is open, requests are routed
    /// to the new container, and the run may continue.
    async fn released(&self, keeper: Option<Gatekeeper>, booted: &Booted) -> Result<Seen, (Failure, Gets)> {
        let kind = self.role.attach.kind();
        let some = |failure| (failure, Gets::Some);
        match &keeper {
            Some(keeper) if kind.opens() == Opens::Ready => self.open(keeper),
            Some(_) => {}
            None => self.at_the_barrier().await.map_err(some)?,
        }
        if kind.switches() {
            let seen = self.switched(booted).await?;
            keeper.iter().for_each(|keeper| self.open(keeper));
            return Ok(seen);
        }
        let seen = tokio::select! {
            biased;
            seen = self.attach(&self.role.attach, booted.target()) => seen,
            () = self.interrupted() => Err(self.failure(&wait_for(kind), self.why_stopped())),
        };
        let seen = seen.map_err(some)?;
        if let Some(keeper) = &keeper
            && kind.opens() == Opens::Attached
        {
            self.open(keeper);
        }
        self.apply.may_go_on().map_err(|cause| some(self.failure("retire the old container", cause)))?;
        Ok(seen)
    }

    /// Gives the new container all requests of the role. An interrupt waits for the end of this, because the container
    /// that it would stop may have the requests by then. For the same reason, only an explicit answer of the proxy
    /// counts as a rejection.
    async fn switched(&self, booted: &Booted) -> Result<Seen, (Failure, Gets)> {
        let doing = wait_for(self.role.attach.kind());
        self.apply.may_go_on().map_err(|cause| (self.failure(&doing, cause), Gets::None))?;
        let attaching = self.attach(&self.role.attach, booted.target());
        tokio::pin!(attaching);
        let attached = tokio::select! {
            biased;
            attached = &mut attaching => attached,
            () = self.interrupted() => {
                self.tell("the proxy is already checking it: waiting for the result");
                attaching.await
            }
        };
        attached.map_err(|failure| {
            let gets = if is_refused(&failure) { Gets::None } else { Gets::All };
            (failure, gets)
        })
    }

    fn open(&self, keeper: &Gatekeeper) {
        if keeper.open() {
            let (host, role) = (self.server.host.clone(), self.role.role.clone());
            self.apply.fleet.emit(Event::BarrierOpened { host, role });
        }
    }

    pub(super) async fn attach(&self, to: &Attach, container: Target<'_>) -> Result<Seen, Failure> {
        let proxy = self.apply.proxies.on(&self.server.host, to.kind());
        self.spot(&|state| self.tell(state)).attach(to, container, proxy).await
    }

    pub(super) fn spot<'s>(&'s self, tell: &'s (dyn Fn(&str) + Sync)) -> Spot<'s> {
        let at = At { fleet: self.apply.fleet, host: &self.server.host };
        Spot { at, role: &self.role.role, tell }
    }

    /// Goes back to the container that served before: starts it again, waits until it is healthy and routed, then
    /// retires the new one. The new one keeps serving until then, and also if that fails.
    pub(super) async fn go_back(&self, back: &app::Start, new: &Booted) -> Result<(), Failure> {
        let restarts = match self.start(back).await {
            Ok(restarts) => restarts,
            Err(failure) => {
                // Keep a container that may have all requests by now.
                let stays = back.attach.kind().switches() && !is_refused(&failure);
                let old = self.role.retire.iter().find(|old| old.stop.id == back.id && !stays);
                return Err(match old {
                    Some(old) => self.stopped_again(failure, old, "the old container").await,
                    None => failure,
                });
            }
        };
        let old = Serving { id: back.id.clone(), restarts: Some(restarts), ready: back.ready };
        self.retire(&self.role.undo(&new.serving.id, true).instead(&old)).await
    }

    /// Starts the container that served before. Returns how often Docker had to restart it.
    pub(super) async fn start(&self, back: &app::Start) -> Result<u32, Failure> {
        let proxy = self.apply.proxies.on(&self.server.host, back.attach.kind());
        self.spot(&|state| self.tell(state)).start(back, proxy).await
    }

    pub(super) async fn retire(&self, container: &Retire) -> Result<(), Failure> {
        self.retire_and(container, None).await.map(drop)
    }

    /// Like [`RoleTask::retire`], followed by the last steps on the server.
    pub(super) async fn retire_and(
        &self,
        container: &Retire,
        then: Option<&Finish>,
    ) -> Result<Finished, Failure> {
        let proxy = self.apply.proxies.on(&self.server.host, container.detach.kind());
        retire_and(self.apply.fleet, &self.server.host, &self.role.role, container, proxy, then).await
    }

    pub(super) fn failure(&self, doing: &str, cause: Cause) -> Failure {
        Failure::new(&self.server.host, Some(&self.role.role), doing, cause)
    }

    pub(super) fn tell(&self, state: &str) {
        self.apply.fleet.emit(Event::State {
            host: self.server.host.clone(),
            role: self.role.role.clone(),
            state: state.into(),
        });
    }

    /// Boots the new container. If anything fails after it exists, the container is stopped.
    async fn boot(&self) -> Result<Booted, Failure> {
        let step = Step::Boot(Box::new(self.role.boot.clone()));
        let seen = watch::Sender::new(None::<String>);
        let on_line = |line: &str| match Heard::heard(line) {
            Some(Heard::Id(id)) => drop(seen.send_replace(Some(id))),
            heard => heard.and_then(|heard| heard.describe()).iter().for_each(|state| self.tell(state)),
        };
        self.apply.may_go_on().map_err(|cause| self.failure(&step.describe(), cause))?;
        let run = self.apply.fleet.run_watched(&self.server.host, Some(&self.role.role), &step, &on_line);
        tokio::pin!(run);
        let ended = tokio::select! {
            ended = &mut run => Some(ended),
            () = self.interrupted() => {
                // A container that is just being created would outlive the run, so wait until its id is known.
                let mut ids = seen.subscribe();
                tokio::select! {
                    ended = &mut run => Some(ended),
                    _ = ids.wait_for(Option::is_some) => None,
                    () = tokio::time::sleep(SHOW) => None,
                }
            }
        };
        let mut id = seen.borrow().clone();
        let unheard = !matches!(ended, Some(Ok(_)));
        let mut restarts = 0;
        let result = match ended {
            Some(Ok(output)) => {
                restarts = health::restarts(&output);
                health::outcome(&self.role.boot.container(), self.role.boot.timeout, output)
                    .map_err(|cause| self.failure(&step.describe(), cause))
            }
            Some(Err(failure)) => Err(failure),
            None => Err(self.failure(&step.describe(), self.why_stopped())),
        };
        if unheard && id.is_none() {
            id = self.found().await;
        }
        let ready = self.role.boot.ready;
        let booted = |id: String, addresses| Booted {
            serving: Serving { id, restarts: Some(restarts), ready },
            addresses,
        };
        match (result, id) {
            (Ok(addresses), Some(id)) => Ok(booted(id, addresses)),
            (Ok(_), None) => Err(self.failure(
                &step.describe(),
                Cause::Other {
                    reason: "the server did not say which container it booted".into(),
                    hint: None,
                },
            )),
            (Err(failure), Some(id)) => {
                // If the end of the boot wasn't seen, the container may be healthy and routed to by now.
                let seen = matches!(failure.cause, Cause::NotReady(_) | Cause::Command(_));
                let gets = if seen { Gets::None } else { Gets::Some };
                Err(self.undone(failure, &booted(id, Vec::new()), gets).await)
            }
            (Err(failure), None) => Err(failure),
        }
    }

    /// Finds the container of a boot that didn't report its id and whose end wasn't seen, because the connection broke
    /// or the time limit passed. If the container appears later, the boot's own script stops it.
    async fn found(&self) -> Option<String> {
        let step = Step::Find(self.role.boot.find());
        let found = self.apply.fleet.ask::<Answer>(&self.server.host, Some(&self.role.role), &step).await;
        found.ok()?.id
    }

    async fn interrupted(&self) {
        let mut lost = self.apply.lock_lost.clone();
        tokio::select! {
            () = self.apply.stop.triggered() => {}
            Ok(_) = lost.wait_for(Option::is_some) => {}
        }
    }

    fn why_stopped(&self) -> Cause {
        self.apply.may_go_on().err().unwrap_or(Cause::Interrupted)
    }

    async fn at_the_barrier(&self) -> Result<(), Failure> {
        let waits_for = self.apply.plan.barrier.opened_by.clone();
        let Some(primary) = waits_for else { return Ok(()) };
        self.tell(&format!("waiting at the barrier for a healthy {primary} container"));
        let passed = tokio::select! {
            passed = self.apply.barrier.passed() => passed,
            () = self.interrupted() => {
                return Err(self.failure("wait at the barrier", self.why_stopped()));
            }
        };
        if passed {
            return Ok(());
        }
        if !self.apply.told_closed.swap(true, Ordering::Relaxed) {
            self.apply.fleet.emit(Event::BarrierClosed { role: primary.clone() });
        }
        Err(self.failure("wait at the barrier", Cause::Halted(primary)))
    }

    /// Stops the new container, gracefully if requests may go to it, and returns the original failure. A container that
    /// may have all requests keeps running if the old one can't get them back.
    pub(super) async fn undone(&self, failure: Failure, booted: &Booted, gets: Gets) -> Failure {
        if matches!(failure.cause, Cause::LockLost { .. }) {
            // Another run has taken over this server and handles its containers.
            return failure;
        }
        if let (Gets::All, Some(back)) = (gets, &self.role.back)
            && let Err(other) = self.start(back).await
        {
            let text = format!(
                "could not switch requests back to {} ({}), so the new container keeps running: deploy again",
                back.name, other.cause
            );
            self.apply.fleet.emit(Event::Note { host: Some(self.server.host.clone()), text });
            return failure;
        }
        self.tell("stopping the new container");
        let undo = self.role.undo(&booted.serving.id, gets != Gets::None);
        self.stopped_again(failure, &undo, "the new container").await
    }

    /// Stops a container that was started in vain, and returns the original failure.
    async fn stopped_again(&self, failure: Failure, container: &Retire, which: &str) -> Failure {
        if let Err(other) = self.retire(container).await {
            self.apply.fleet.emit(Event::Note {
                host: Some(self.server.host.clone()),
                text: format!("{which} could not be stopped: {}", other.cause),
            });
        }
        failure
    }
}
