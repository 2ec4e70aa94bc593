//! What servers serve after a run that did not end well: as it is seen then, not as it was planned.

use bowline_core::commands::{Scope, observe::Observe};
use bowline_core::observed::{Container, Observed};
use bowline_core::plan::{Plan, RolePlan, ServerPlan, step::Step};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::proxy::Before;
use crate::run::apply::Apply;
use crate::run::observe::one;

/// A line for each role on each server.
pub(crate) async fn standing(apply: &Apply<'_>, plan: &Plan, scope: &Scope, repository: &str) -> Vec<String> {
    let step = Step::Observe(Observe { scope: scope.clone(), repository: repository.into(), claim: false });
    let lines = join_all(plan.servers.iter().map(|server| on_server(apply, server, scope, &step))).await;
    lines.concat()
}

async fn on_server(apply: &Apply<'_>, server: &ServerPlan, scope: &Scope, step: &Step) -> Vec<String> {
    let (fleet, host) = (apply.fleet, server.host.as_str());
    // It is the end of a run that failed, or that a person wants to end: a server that is busy or gone is not waited for.
    let limit = fleet.timeouts().api;
    let (proxy, look) = (apply.proxy_of(server), timeout(limit, one(fleet, host, step)));
    let (observed, routed) = tokio::join!(look, timeout(limit, proxy.routed(fleet, host)));
    let (observed, routed) = (observed.ok().and_then(Result::ok), routed.ok().flatten());
    let line = |role: &RolePlan| {
        let serves = match &observed {
            Some(observed) => serving(role, observed, scope, routed.as_ref()),
            None => format!("{} when it was last seen", planned(apply, server, role)),
        };
        format!("{host} ({}): {serves}", role.role)
    };
    server.roles.iter().map(line).collect()
}

/// The versions of a role's containers that requests reach; without Traefik, of those that run.
fn serving(role: &RolePlan, observed: &Observed, scope: &Scope, routed: Option<&Before>) -> String {
    let reached = |container: &&Container| match routed.filter(|_| role.routed) {
        Some(routed) => container.addresses().iter().any(|address| routed.reaches(*address)),
        None => !matches!(container.health.as_deref(), Some("unhealthy" | "starting")),
    };
    let all: Vec<&Container> = observed.of_role(&scope.names, &role.role).collect();
    let running = all.into_iter().filter(|container| container.status == "running").filter(reached);
    let versions = listed(running.map(|container| container.version(&scope.names, &role.role)));
    match (role.routed, routed) {
        (true, None) => format!("{versions}, as far as can be seen without Traefik's answer"),
        _ => versions,
    }
}

/// What it should serve by what the run knows.
fn planned(apply: &Apply<'_>, server: &ServerPlan, role: &RolePlan) -> String {
    if apply.has_it(&server.host, &role.role) {
        return apply.plan.version.clone();
    }
    listed(role.retire.iter().map(|old| old.version.as_str()))
}

fn listed<'v>(versions: impl Iterator<Item = &'v str>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for version in versions {
        if !all.contains(&version) {
            all.push(version);
        }
    }
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}
