//! Goes back (`boot: on_failure: rollback`): servers that already serve the new version return to their previous
//! container, because the run failed on another server.

use bowline_core::plan::{RolePlan, ServerPlan, step::Step};
use futures_util::future::join_all;

use super::Apply;
use super::role::RoleTask;
use crate::error::Failure;
use crate::event::{Event, Phase};

impl Apply<'_> {
    /// Takes every role that this run switched back, group by group, the last group first. Reports roles that can't go
    /// back, which keep the new version.
    pub async fn go_back(&self) {
        let switched =
            |server: &&ServerPlan| server.roles.iter().any(|role| self.is_done(&server.host, &role.role));
        let count = self.plan.servers.iter().filter(switched).count();
        if count == 0 {
            return;
        }
        self.fleet.emit(Event::Phase(Phase::GoBack(count)));
        for group in self.plan.groups.iter().rev() {
            let servers = group.iter().filter_map(|index| self.plan.servers.get(*index)).filter(switched);
            join_all(servers.map(|server| self.server_back(server))).await;
        }
    }

    async fn server_back(&self, server: &ServerPlan) {
        let results = join_all(server.roles.iter().map(|role| self.role_back(server, role))).await;
        let mut any = false;
        for result in results {
            match result {
                Ok(went) => any |= went,
                Err(failure) => self.fail(failure),
            }
        }
        if let (true, Some(tag)) = (any && self.is_tagged(&server.host), &server.tag_back)
            && let Err(failure) = self.fleet.run(&server.host, None, &Step::Tag(tag.clone())).await
        {
            self.fail(failure);
        }
    }

    async fn role_back(&self, server: &ServerPlan, role: &RolePlan) -> Result<bool, Failure> {
        let Some(new) = self.done_at(&server.host, &role.role) else { return Ok(false) };
        let Some(back) = &role.back else {
            self.fleet.emit(Event::Note {
                host: Some(server.host.clone()),
                text: format!("{} had no version to go back to; it keeps {}", role.role, self.plan.version),
            });
            return Ok(false);
        };
        RoleTask { apply: self, server, role }.go_back(back, &new).await?;
        self.progress.fall_back(&server.host, &role.role);
        self.fleet.emit(Event::WentBack {
            host: server.host.clone(),
            role: role.role.clone(),
            version: back.version.clone(),
        });
        Ok(true)
    }
}
