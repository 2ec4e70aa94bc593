//! From the old containers of a role to its new one: they go only as long as it serves.
//!
//! It was seen to be ready, but that may be long ago: a role waits at the barrier for others. So each script that takes
//! something from an old container looks at the new one first, and here is what comes of it if that doesn't serve.

use bowline_core::commands::app;
use bowline_core::commands::status::Status;
use bowline_core::plan::{Retire, RolePlan, ServerPlan, step::Step};

use super::Apply;
use super::role::{Booted, Gets, RoleTask};
use crate::error::{Cause, Failure};
use crate::event::Event;
use crate::proxy::Target;

/// How often a new container may turn out not to serve for a moment.
const TRIES: usize = 3;

impl RoleTask<'_> {
    /// Retires the containers that ran before. A new container that ended meanwhile is stopped for good, and the old one
    /// goes on serving.
    pub(super) async fn succeed(&self, new: &Booted) -> Result<(), Failure> {
        if self.role.retire.is_empty() {
            return self.or_undone(self.still_serves(new).await, new).await;
        }
        for old in &self.role.retire {
            self.replace(old, new).await?;
        }
        Ok(())
    }

    async fn replace(&self, old: &Retire, new: &Booted) -> Result<(), Failure> {
        let retire = old.clone().instead(&new.serving);
        for _ in 0..TRIES {
            match self.retire(&retire).await {
                Err(failure) if failure.has_status(Status::NotServing) => {
                    self.give_back(old).await;
                    self.or_undone(self.still_serves(new).await, new).await?;
                }
                ended => return ended,
            }
        }
        self.or_undone(Err(self.flaps()), new).await
    }

    /// It may be detached already.
    async fn give_back(&self, old: &Retire) {
        let detached = old.detach.is_some() || self.role.attach.kind().switches();
        let Some(again) = old.again.as_ref().filter(|_| detached) else { return };
        if let Err(failure) = self.start(again).await {
            self.apply.fleet.emit(Event::Note {
                host: Some(self.server.host.clone()),
                text: format!("{} does not serve again: {}", again.name, failure.cause),
            });
        }
    }

    /// Waits until a container of the new version that was ready is so again, if it isn't, and sees it routed.
    async fn still_serves(&self, new: &Booted) -> Result<(), Failure> {
        let check = self.role.check(new.serving.clone());
        let (addresses, _) = self.ready(&Step::Check(check.clone()), &check.name, check.timeout).await?;
        // Docker may have given it another one.
        if addresses != new.addresses {
            let id = &new.serving.id;
            self.attach(&self.role.attach, Target { role: None, id, addresses: &addresses }).await?;
        }
        Ok(())
    }

    /// A new container that has ended, or doesn't stay healthy, is stopped. If it can't be asked, it is left alone.
    async fn or_undone(&self, ended: Result<(), Failure>, new: &Booted) -> Result<(), Failure> {
        match ended {
            Err(failure) if matches!(failure.cause, Cause::NotReady(_) | Cause::Told { .. }) => {
                self.apply.serves_no_more(&self.server.host, &self.role.role);
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
            Cause::Told {
                reason: format!("{} does not stay healthy", self.role.boot.container()),
                hint: Some("see its log and its health check: `bowline logs`, `bowline app details`".into()),
            },
        )
    }
}

impl Apply<'_> {
    /// Tags the version as the latest on a server, if the containers of all its roles still serve.
    pub(super) async fn tag(&self, server: &ServerPlan) -> Result<(), Failure> {
        let roles: Vec<(&RolePlan, Booted)> =
            server.roles.iter().filter_map(|role| Some((role, self.container_of(server, role)?))).collect();
        let serving = roles.iter().map(|(_, booted)| booted.serving.clone()).collect();
        let step = Step::Tag(app::Tag { serving, ..server.tag.clone() });
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match self.fleet.run(&server.host, None, &step).await {
                Err(failure) if failure.has_status(Status::NotServing) && tries > 0 => {
                    for (role, booted) in &roles {
                        RoleTask { apply: self, server, role }.still_serves(booted).await?;
                    }
                }
                ended => return ended.map(drop),
            }
        }
    }

    /// The container of the version: the new one, or the one that was kept.
    fn container_of(&self, server: &ServerPlan, role: &RolePlan) -> Option<Booted> {
        let kept = || {
            let kept = role.kept.as_ref()?;
            let serving = role.serving(&kept.id);
            Some(Booted { serving, addresses: kept.addresses.clone() })
        };
        self.done_at(&server.host, &role.role).or_else(kept)
    }
}
