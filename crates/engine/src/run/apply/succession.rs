//! Replaces the old containers of a role with its new one, but only while the new one serves.
//!
//! The new container was ready once, but that may be long ago, because a role waits at the barrier for others. So each
//! script that detaches or stops an old container first checks the new one. This module handles the case that it
//! doesn't serve.

use bowline_config::OnFailure;
use bowline_core::commands::answer::Unreadable;
use bowline_core::commands::app;
use bowline_core::commands::finish::{Answer as Finished, Finish};
use bowline_core::commands::status::Status;
use bowline_core::plan::{Retire, RolePlan, ServerPlan, step::Step};

use super::Apply;
use super::progress::Stage;
use super::role::{Booted, Gets, RoleTask};
use crate::error::{Cause, Failure};
use crate::event::Event;
use crate::proxy::Target;

/// How often a new container may be found not serving before it counts as failed.
const TRIES: usize = 3;

impl RoleTask<'_> {
    /// Retires the previous containers. If the new container has ended in the meantime, it is stopped for good, and the
    /// old one keeps serving.
    pub(super) async fn succeed(&self, new: &Booted) -> Result<(), Failure> {
        if self.role.retire.is_empty() {
            return self.or_undone(self.still_serves(new).await, new).await;
        }
        let last = self.role.retire.len() - 1;
        for (index, old) in self.role.retire.iter().enumerate() {
            let then = (index == last).then(|| self.apply.after(self.server, self.role)).flatten();
            let finished = self.replace(old, new, then.as_ref()).await?;
            self.apply.hear(self.server, &finished);
        }
        Ok(())
    }

    async fn replace(&self, old: &Retire, new: &Booted, then: Option<&Finish>) -> Result<Finished, Failure> {
        let retire = old.clone().instead(&new.serving);
        for _ in 0..TRIES {
            match self.retire_and(&retire, then).await {
                Err(failure) if failure.has_status(Status::NotServing) => {
                    self.give_back(old).await;
                    self.or_undone(self.serves_instead(new).await, new).await?;
                }
                ended => return ended,
            }
        }
        self.or_undone(Err(self.flaps()), new).await.map(|()| Finished::default())
    }

    /// Starts and attaches an old container again, if it may already be detached.
    async fn give_back(&self, old: &Retire) {
        let detached = old.detach.is_some() || self.role.attach.kind().switches();
        let Some(again) = old.again.as_ref().filter(|_| detached) else { return };
        if let Err(failure) = self.start(again).await {
            self.apply.fleet.emit(Event::Note {
                host: Some(self.server.host.clone()),
                text: format!("{} could not be returned to service: {}", again.name, failure.cause),
            });
        }
    }

    /// Waits until a new container that was ready is ready again, if it isn't, and checks that requests reach it.
    async fn still_serves(&self, new: &Booted) -> Result<(), Failure> {
        let check = self.role.check(new.serving.clone());
        let (step, tell) = (Step::Check(check.clone()), |state: &str| self.tell(state));
        let (addresses, _) = self.spot(&tell).ready(&step, &check.name, check.timeout).await?;
        // Docker may have given the container another address.
        if addresses != new.addresses {
            let id = &new.serving.id;
            self.attach(&self.role.attach, Target { role: None, id, addresses: &addresses }).await?;
        }
        Ok(())
    }

    /// Like [`RoleTask::still_serves`], after the old container was attached again: a proxy that sends requests to only
    /// one container sends them there.
    async fn serves_instead(&self, new: &Booted) -> Result<(), Failure> {
        self.still_serves(new).await?;
        if self.role.attach.kind().switches() {
            self.attach(&self.role.attach, new.target()).await?;
        }
        Ok(())
    }

    /// Stops a new container that has ended or doesn't stay healthy. If its state is unknown, it is left alone.
    async fn or_undone(&self, ended: Result<(), Failure>, new: &Booted) -> Result<(), Failure> {
        match ended {
            Err(failure) if matches!(failure.cause, Cause::NotReady(_) | Cause::Other { .. }) => {
                self.apply.progress.fall_back(&self.server.host, &self.role.role);
                let switches = self.role.attach.kind().switches();
                let gets = if switches { Gets::All } else { Gets::Some };
                Err(self.undone(failure, new, gets).await)
            }
            ended => ended,
        }
    }

    fn flaps(&self) -> Failure {
        self.failure(
            "retire the old container",
            Cause::Other {
                reason: format!("{} does not stay healthy", self.role.boot.container()),
                hint: Some("see its log and its health check: `bowline logs`, `bowline app details`".into()),
            },
        )
    }
}

impl Apply<'_> {
    /// Tags the version as the latest on a server, if the containers of all its roles still serve, and prunes. Skips
    /// the parts that were done when the last old container stopped.
    pub(super) async fn finish(&self, server: &ServerPlan) -> Result<(), Failure> {
        let mut tries = TRIES;
        loop {
            let rest = self.left(server);
            if rest.is_empty() {
                return Ok(());
            }
            let (step, next) = (Step::Finish(Box::new(rest.clone())), rest.next());
            let failed =
                |cause| Failure { doing: next, ..self.fleet.failed(&server.host, None, &step, cause) };
            let output = self.fleet.run_watched(&server.host, None, &step, &|_| {}).await?;
            let finished = match output.answer() {
                Ok(finished) => finished,
                Err(error) => return Err(failed(error.into())),
            };
            self.hear(server, &finished);
            let rest = rest.rest(&finished);
            tries -= 1;
            if output.status() == Some(Status::NotServing) && rest.tag.is_some() && tries > 0 {
                for (role, booted) in self.containers(server) {
                    RoleTask { apply: self, server, role }.still_serves(&booted).await?;
                }
            } else if !output.success() {
                return Err(Failure { doing: rest.next(), ..failed(Cause::Command(output)) });
            } else if !rest.is_empty() {
                return Err(Failure { doing: rest.next(), ..failed(Unreadable::CutShort.into()) });
            }
        }
    }

    /// The steps left on a server whose roles all serve.
    fn left(&self, server: &ServerPlan) -> Finish {
        let serving = self.containers(server).into_iter().map(|(_, booted)| booted.serving).collect();
        // With a rollback on failure, pruning waits for the end of the run, because it could remove a container to go
        // back to.
        let prune = server.prune.clone().filter(|_| self.plan.on_failure == OnFailure::Keep);
        let tag = Some(app::Tag { serving, ..server.tag.clone() });
        Finish { stop: None, tag, prune }.rest(&self.progress.finish(&server.host))
    }

    /// The steps left on a server when the last old container of this role stops, if no other role is unfinished.
    fn after(&self, server: &ServerPlan, role: &RolePlan) -> Option<Finish> {
        let is_over = |other: &RolePlan| {
            let stage = self.progress.stage(&server.host, &other.role);
            matches!(stage, Some(Stage::Kept | Stage::Finished(_)))
        };
        let mut others = server.roles.iter().filter(|other| other.role != role.role);
        let takes_over = self.plan.kind.direction().is_some();
        (!takes_over && others.all(is_over)).then(|| self.left(server))
    }

    /// Records the steps that are done on a server, and reports what could not be removed.
    fn hear(&self, server: &ServerPlan, finished: &Finished) {
        self.tell_left(server, finished.pruned.clone().unwrap_or_default());
        self.progress.add(&server.host, finished);
    }

    pub(super) fn is_tagged(&self, host: &str) -> bool {
        self.progress.finish(host).tagged
    }

    fn containers<'p>(&self, server: &'p ServerPlan) -> Vec<(&'p RolePlan, Booted)> {
        server.roles.iter().filter_map(|role| Some((role, self.container_of(server, role)?))).collect()
    }

    /// The container of the new version: the one that this run booted, or the one that was kept.
    fn container_of(&self, server: &ServerPlan, role: &RolePlan) -> Option<Booted> {
        let kept = || {
            let kept = role.kept.as_ref()?;
            let serving = role.serving(&kept.id);
            Some(Booted { serving, addresses: kept.addresses.clone() })
        };
        self.done_at(&server.host, &role.role).or_else(kept)
    }
}
