//! The plan as human-readable text.

use std::fmt::Write as _;

use super::change::{Change, Work};
use super::delivery::{AllExpected, Expected};
use super::step::Step;
use super::{Plan, Retire, RolePlan, ServerPlan, resume};
use crate::commands::ready::Ready;
use crate::request::DeployKind;
use bowline_config::{BarrierOrder, OnFailure};

/// Lists servers, their roles, and the steps there in order.
pub fn text(plan: &Plan) -> String {
    with_amounts(plan, &AllExpected::new())
}

/// Like [`text`], with how much would be sent to each server.
pub fn with_amounts(plan: &Plan, expected: &AllExpected) -> String {
    let mut out = String::new();
    let what = match plan.kind {
        DeployKind::Rollback => "roll back to",
        kind => kind.verb(),
    };
    let _ = writeln!(out, "{what} {} version {}", plan.app, plan.version);
    if let Some(role) = &plan.barrier.opened_by
        && plan.servers.iter().any(|server| server.roles.iter().any(|other| other.role != *role))
    {
        let held = match plan.barrier.order {
            BarrierOrder::AfterBoot => "old containers of the other roles stop",
            BarrierOrder::BeforeBoot => "the other roles boot",
        };
        let _ = writeln!(out, "barrier: {held} only after one {role} container is healthy");
    }
    if plan.groups.len() > 1 {
        let sizes: Vec<String> = plan.groups.iter().map(|group| group.len().to_string()).collect();
        let _ = writeln!(
            out,
            "servers in {} groups, one group at a time: {}",
            plan.groups.len(),
            sizes.join(", ")
        );
    }
    if !plan.parallel_roles && plan.servers.iter().any(|server| server.roles.len() > 1) {
        let _ = writeln!(out, "roles of a server one at a time");
    }
    if plan.on_failure == OnFailure::Rollback {
        let _ = writeln!(
            out,
            "if a server fails, servers that have already switched go back to their previous version"
        );
    }
    if let Some(kept) = resume::summary(plan, |host, role| {
        let here = plan.servers.iter().filter(|server| server.host == host).flat_map(|server| &server.roles);
        here.into_iter().any(|here| here.role == role && here.kept.is_some())
    }) {
        let _ = writeln!(out, "{kept}");
    }
    for server in &plan.servers {
        let _ = writeln!(out);
        show_server(&mut out, plan, server, expected.get(&server.host));
    }
    out
}

fn show_server(out: &mut String, plan: &Plan, server: &ServerPlan, expected: Option<&Expected>) {
    let _ = writeln!(out, "{}", server.host);
    for note in &server.notes {
        let _ = writeln!(out, "  note: {note}");
    }
    if server.is_done() {
        let _ = writeln!(out, "  already runs {}", plan.version);
    }
    for (role, step) in server.steps() {
        if role.is_none() && matches!(step, Step::Tag(_)) {
            for role in &server.roles {
                show_role(out, plan, server, role);
            }
        }
        let belongs_to_a_role =
            role.is_some() && matches!(step, Step::Boot(_) | Step::Proxy(_) | Step::Stop(_));
        if !belongs_to_a_role {
            let much = expected.filter(|_| matches!(step, Step::Receive(_)));
            let much = much.map(|expected| format!(": {expected}")).unwrap_or_default();
            let _ = writeln!(out, "  {}{much}", step.describe());
        }
    }
    if server.take_over().is_some() {
        for role in &server.roles {
            show_retired(out, role, "  ");
        }
    }
}

fn show_retired(out: &mut String, role: &RolePlan, indent: &str) {
    for line in role.retire.iter().flat_map(retired) {
        let _ = writeln!(out, "{indent}{line}");
    }
}

fn retired(retire: &Retire) -> impl Iterator<Item = String> {
    retire.detach.describe().into_iter().chain([format!("stop {}", retire.stop.name)])
}

pub fn change(change: &Change) -> String {
    let mut out = format!("{}: {}\n", change.command, change.app);
    if change.stages.iter().filter(|stage| stage.reboots.is_some()).count() > 1 {
        let _ = writeln!(out, "one server at a time");
    }
    for (host, pieces) in change.servers() {
        let _ = writeln!(out, "\n{host}");
        let mut about = None;
        for piece in pieces {
            let role = piece.role.as_ref();
            if let Some(name) = role.filter(|_| about != role) {
                let _ = writeln!(out, "  {name}");
            }
            about = role;
            let indent = if role.is_some() { "    " } else { "  " };
            for line in done(&piece.work) {
                let _ = writeln!(out, "{indent}{line}");
            }
        }
    }
    out
}

fn done(work: &Work) -> Vec<String> {
    let describe = |step: &Step| step.describe();
    match (work.reason(), work) {
        (Some(why), _) => vec![why],
        (None, Work::Start(start)) => {
            let attached = start.attach.describe().map(Into::into);
            std::iter::once(format!("start {} again", start.name)).chain(attached).collect()
        }
        (None, Work::Retire { retire, then }) => {
            retire.iter().flat_map(retired).chain(then.iter().map(describe)).collect()
        }
        (None, Work::Proxy { life, .. }) => {
            let then = life.depends().map(Into::into);
            work.steps().iter().map(describe).chain(then).collect()
        }
        (None, work) => {
            let with_condition = |step: &Step| std::iter::once(describe(step)).chain(condition(step));
            work.steps().iter().flat_map(with_condition).collect()
        }
    }
}

/// What happens instead if that depends on what a step finds.
fn condition(step: &Step) -> Option<String> {
    match step {
        Step::Remove(remove) => remove.keeps().map(Into::into),
        _ => None,
    }
}

fn show_role(out: &mut String, plan: &Plan, server: &ServerPlan, role: &RolePlan) {
    let waits = plan.barrier.opened_by.as_ref().is_some_and(|opener| *opener != role.role);
    let before = waits && plan.barrier.order == BarrierOrder::BeforeBoot;
    let _ = writeln!(out, "  {}", role.role);
    if role.kept.is_some() {
        let _ = writeln!(out, "    already runs {}", plan.version);
        return;
    }
    if before {
        let _ = writeln!(out, "    wait at the barrier");
    }
    let until = match &role.boot.health {
        Some(_) => format!(", until healthy within {} s", role.boot.timeout),
        None if role.boot.ready == Ready::Started => String::new(),
        None => format!(", until running for {} s", role.boot.readiness_delay),
    };
    let _ = writeln!(out, "    boot {}{until}", role.boot.container());
    if waits && !before {
        let _ = writeln!(out, "    wait at the barrier");
    }
    if let Some(proxy) = server.proxy(role.attach.kind()) {
        let _ = writeln!(out, "    {}", proxy.attaches());
    }
    if role.retire.is_empty() && server.take_over().is_none() {
        let _ = writeln!(out, "    nothing to retire");
    }
    if server.take_over().is_none() {
        show_retired(out, role, "    ");
    }
}
