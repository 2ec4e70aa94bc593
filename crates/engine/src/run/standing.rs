//! Observes what the servers serve after a failed run. The plan isn't trusted for that.

use std::collections::BTreeMap;

use bowline_config::unique;
use bowline_core::commands::{Scope, observe::Observe};
use bowline_core::observed::{Container, Observed};
use bowline_core::plan::{Plan, RolePlan, ServerPlan, step::Step};
use bowline_core::proxy::ProxyKind;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::proxy::Serves;
use crate::run::apply::Apply;
use crate::run::observe::one;

pub(crate) async fn standing(apply: &Apply<'_>, plan: &Plan, scope: &Scope, repository: &str) -> Vec<String> {
    let step = Step::Observe(Observe { scope: scope.clone(), repository: repository.into(), claim: false });
    let lines = join_all(plan.servers.iter().map(|server| on_server(apply, server, scope, &step))).await;
    lines.concat()
}

async fn on_server(apply: &Apply<'_>, server: &ServerPlan, scope: &Scope, step: &Step) -> Vec<String> {
    let (fleet, host) = (apply.fleet, server.host.as_str());
    // The run has failed, or the user wants it to end, so don't wait long for a server that is busy or gone.
    let limit = fleet.timeouts().api;
    let mut kinds: Vec<ProxyKind> = server.roles.iter().map(|role| role.attach.kind()).collect();
    kinds.sort();
    kinds.dedup();
    let ask = |kind: ProxyKind| async move {
        let serves = timeout(limit, apply.proxies.on(host, kind).serves()).await;
        (kind, serves.unwrap_or(Serves::Unknown))
    };
    let look = timeout(limit, one(fleet, host, step));
    let (observed, serves) = tokio::join!(look, join_all(kinds.into_iter().map(ask)));
    let (observed, serves) = (observed.ok().and_then(Result::ok), BTreeMap::from_iter(serves));
    let line = |role: &RolePlan| {
        let serves = serves.get(&role.attach.kind()).unwrap_or(&Serves::Unknown);
        let serves = match &observed {
            Some(observed) => serving(role, observed, scope, serves),
            None => format!("{} when it was last seen", planned(apply, server, role)),
        };
        format!("{host} ({}): {serves}", role.role)
    };
    server.roles.iter().map(line).collect()
}

/// The versions of a role's containers that requests reach; if that is unknown, of those that run.
fn serving(role: &RolePlan, observed: &Observed, scope: &Scope, serves: &Serves) -> String {
    let service = scope.names.prefix(&role.role);
    let reached = |container: &&Container| match serves {
        Serves::By(listed) => listed.service(&service).is_some_and(|it| it.is_served_by(&container.id)),
        Serves::To(reached) => container.addresses().iter().any(|address| reached.contains(address)),
        Serves::WhatRuns | Serves::Unknown => {
            !matches!(container.health.as_deref(), Some("unhealthy" | "starting"))
        }
    };
    let all: Vec<&Container> = observed.of_role(&scope.names, &role.role).collect();
    let running = all.into_iter().filter(|container| container.status == "running").filter(reached);
    let versions = listed(running.map(|container| container.version(&scope.names, &role.role)));
    match serves {
        Serves::Unknown if versions != "nothing" => {
            format!(
                "{versions}, as far as Bowline can tell without a response from {}",
                role.attach.kind().name()
            )
        }
        _ => versions,
    }
}

/// The version that a role should serve, by what the run knows.
fn planned(apply: &Apply<'_>, server: &ServerPlan, role: &RolePlan) -> String {
    if apply.has_it(&server.host, &role.role) {
        return apply.plan.version.clone();
    }
    listed(role.retire.iter().map(|old| old.version.as_str()))
}

fn listed<'v>(versions: impl Iterator<Item = &'v str>) -> String {
    let all = unique(versions);
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}
