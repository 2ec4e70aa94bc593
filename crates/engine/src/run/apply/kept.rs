//! Containers that stay because they already match the plan (`core::plan::resume`), unless the pull gets another image.

use bowline_core::commands::registry::Pulled;
use bowline_core::plan::{ServerPlan, resume};

use super::Apply;
use super::progress::Stage;
use crate::event::Event;

impl Apply<'_> {
    pub(super) fn keeps(&self, host: &str, role: &str) -> bool {
        matches!(self.progress.stage(host, role), Some(Stage::Kept))
    }

    pub fn leaves_alone(&self, server: &ServerPlan) -> bool {
        server.tagged && server.roles.iter().all(|role| self.keeps(&server.host, &role.role))
    }

    /// The servers of a group on which something is left to do.
    pub fn to_boot(&self, group: usize) -> Vec<String> {
        let group = self.plan.groups.get(group).map(Vec::as_slice).unwrap_or_default();
        let servers = group.iter().filter_map(|index| self.plan.servers.get(*index));
        servers.filter(|server| !self.leaves_alone(server)).map(|server| server.host.clone()).collect()
    }

    /// Whether a role serves the new version on a server, thanks to this run or an earlier one.
    pub fn has_it(&self, host: &str, role: &str) -> bool {
        self.progress.stage(host, role).is_some()
    }

    /// Whether the barrier is open from the start, because the primary role already serves the new version somewhere.
    pub(super) fn primary_is_there(&self) -> bool {
        let Some(primary) = &self.plan.barrier.opened_by else { return false };
        self.sound().any(|server| self.keeps(&server.host, primary))
    }

    /// Learns which image was pulled: a kept container of another image no longer matches the plan.
    pub(super) fn pulled(&self, server: &ServerPlan, pulled: &Pulled) {
        for role in &server.roles {
            let Some(kept) = &role.kept else { continue };
            if pulled.image == kept.image_id {
                continue;
            }
            self.progress.fall_back(&server.host, &role.role);
            let text = format!(
                "{} runs {}, but the registry now has another image of it: booting it again",
                role.role, self.plan.version
            );
            self.fleet.emit(Event::Note { host: Some(server.host.clone()), text });
        }
    }

    pub fn note_kept(&self) {
        if let Some(text) = resume::summary(self.plan, |host, role| self.keeps(host, role)) {
            self.fleet.emit(Event::Note { host: None, text });
        }
    }
}
