//! Prints one JSON object per line, for programs. The field names are stable. Each object has `event`.
//!
//! The mapping is written by hand, so that renaming a type in the engine doesn't change the output, and nothing (a
//! secret, a whole configuration) leaks only because its type can be serialised.

use bowline_config::{Config, show, unique};
use bowline_core::doctor::Finding;
use bowline_core::plan::Plan;
use bowline_core::plan::change::{Change, Piece};
use bowline_core::plan::delivery::{AllExpected, Expected};
use bowline_core::plan::step::Step;
use bowline_core::request::DeployKind;
use bowline_engine::error::{Cause, Failure, RunError};
use bowline_engine::event::{Event, Outcome, Phase};
use bowline_engine::ports::{Exit, ServerError};
use bowline_engine::world::HostOutput;
use serde_json::{Value, json};

use super::clean;
use crate::exit::{self, Ended};

/// The version of the format that docs/events.md describes.
pub const SCHEMA: u32 = 1;

pub fn began(path: &[String]) -> Value {
    json!({
        "event": "began", "schema": SCHEMA, "bowline": env!("CARGO_PKG_VERSION"), "command": text(&path.join(" ")),
    })
}

pub fn event(event: &Event) -> Value {
    match event {
        Event::Phase(phase) => self::phase(phase),
        Event::Planned(plan) => self::plan("planned", plan, &AllExpected::new()),
        Event::Connected { host } => json!({ "event": "connected", "host": text(host) }),
        Event::Sending { host, bytes, size, per_second, elapsed } => json!({
            "event": "sending", "host": text(host), "bytes": bytes, "at_most": size,
            "bytes_per_second": per_second, "seconds": elapsed.as_secs_f64(),
        }),
        Event::Sent(sent) => {
            let sent: Vec<Value> =
                sent.iter().map(|(host, bytes)| json!({ "host": text(host), "bytes": bytes })).collect();
            json!({ "event": "sent", "servers": sent })
        }
        Event::StepStarted { host, role, what, command } => json!({
            "event": "step_started", "host": text(host), "role": optional(role.as_deref()),
            "what": text(what), "command": clean::lines(command),
        }),
        Event::StepEnded { host, role, what, elapsed, outcome } => json!({
            "event": "step_ended", "host": text(host), "role": optional(role.as_deref()), "what": text(what),
            "seconds": elapsed.as_secs_f64(), "done": *outcome == Outcome::Done,
        }),
        Event::Program { command } => json!({ "event": "program", "command": text(command) }),
        Event::Output { host, role, line } => json!({
            "event": "output", "host": optional(host.as_deref()), "role": optional(role.as_deref()), "line": text(line),
        }),
        Event::Hook { name, line, .. } => json!({ "event": "hook", "hook": text(name), "line": text(line) }),
        Event::State { host, role, state } => json!({
            "event": "state", "host": text(host), "role": text(role), "state": text(state),
        }),
        Event::BarrierOpened { host, role } => json!({
            "event": "barrier_opened", "host": text(host), "role": text(role),
        }),
        Event::BarrierClosed { role } => json!({ "event": "barrier_closed", "role": text(role) }),
        Event::RoleDone { host, role, version } => json!({
            "event": "role_done", "host": text(host), "role": text(role), "version": text(version),
        }),
        Event::WentBack { host, role, version } => json!({
            "event": "went_back", "host": text(host), "role": text(role), "version": text(version),
        }),
        Event::Failed(failure) => tagged("failed", self::failure(failure)),
        Event::Note { host, text: note } => json!({
            "event": "note", "host": optional(host.as_deref()), "text": text(note),
        }),
        Event::Interrupted => json!({ "event": "interrupted" }),
        Event::Finished { elapsed, commands } => {
            let commands: Vec<Value> = commands
                .iter()
                .map(|(host, number)| json!({ "host": text(host), "commands": number }))
                .collect();
            json!({ "event": "finished", "seconds": elapsed.as_secs_f64(), "commands_in_sequence": commands })
        }
    }
}

fn phase(phase: &Phase) -> Value {
    let (name, more) = match phase {
        Phase::Secrets => ("secrets", json!({})),
        Phase::Connect(servers) => ("connect", json!({ "servers": servers })),
        Phase::Bootstrap(servers) => ("bootstrap", json!({ "servers": servers })),
        Phase::Accessories(servers) => ("accessories", json!({ "servers": servers })),
        Phase::Clone(directory) => ("clone", json!({ "directory": text(directory) })),
        Phase::Build(version) => ("build", json!({ "version": text(version) })),
        Phase::Keep(image) => ("keep", json!({ "image": text(image) })),
        Phase::Send(servers) => ("send", json!({ "servers": servers })),
        Phase::BuildOnly(version) => ("build_only", json!({ "version": text(version) })),
        Phase::Lock(host) => ("lock", json!({ "host": text(host) })),
        Phase::Observe(servers) => ("observe", json!({ "servers": servers })),
        Phase::Pull => ("pull", json!({})),
        Phase::Proxy => ("proxy", json!({})),
        Phase::Assets => ("assets", json!({})),
        Phase::Boot(group, groups) => ("boot", json!({ "group": group, "groups": groups })),
        Phase::GoBack(servers) => ("go_back", json!({ "servers": servers })),
        Phase::Prune => ("prune", json!({})),
        Phase::Unlock => ("unlock", json!({})),
        Phase::Hook { name, .. } => ("hook", json!({ "hook": text(name) })),
    };
    let mut object = tagged("phase", more);
    object["phase"] = name.into();
    object
}

/// A plan as the given event: for each server its steps in words, and what it would be sent.
pub fn plan(event: &str, plan: &Plan, expected: &AllExpected) -> Value {
    let servers: Vec<Value> = plan
        .servers
        .iter()
        .map(|server| {
            let steps: Vec<Value> = server
                .steps()
                .into_iter()
                .map(|(role, step)| json!({ "role": optional(role), "what": text(&step.describe()) }))
                .collect();
            let roles: Vec<String> = server.roles.iter().map(|role| text(&role.role)).collect();
            let kept = server.roles.iter().filter(|role| role.kept.is_some());
            let kept: Vec<String> = kept.map(|role| text(&role.role)).collect();
            let mut object = json!({
                "host": text(&server.host), "roles": roles, "kept": kept, "steps": steps,
                "notes": texts(&server.notes),
            });
            if let Some(expected) = expected.get(&server.host) {
                object["image"] = self::expected(expected);
            }
            object
        })
        .collect();
    json!({
        "event": event, "run": kind(plan.kind), "app": text(&plan.app), "version": text(&plan.version),
        "image": text(&plan.image), "groups": plan.groups.len(), "servers": servers,
    })
}

/// The plan of a change outside of a deploy, in the format of [`plan`].
pub fn change(plan: &Change) -> Value {
    let server = |(host, pieces): (&str, Vec<&Piece>)| {
        let of = |piece: &Piece| optional(piece.role.as_deref());
        let step = |piece: &Piece, step: Step| json!({ "role": of(piece), "what": text(&step.describe()) });
        let steps =
            |piece: &&Piece| piece.work.steps().into_iter().map(|next| step(piece, next)).collect::<Vec<_>>();
        let steps: Vec<Value> = pieces.iter().flat_map(steps).collect();
        let note = |piece: &&Piece| {
            let about = piece.role.iter().map(|role| format!("{role}: "));
            Some(text(&(about.collect::<String>() + &piece.work.reason()?)))
        };
        let notes: Vec<String> = pieces.iter().filter_map(note).collect();
        let roles: Vec<String> =
            unique(pieces.iter().filter_map(|piece| piece.role.as_deref())).into_iter().map(text).collect();
        json!({ "host": text(host), "roles": roles, "kept": [], "steps": steps, "notes": notes })
    };
    let servers: Vec<Value> = plan.servers().into_iter().map(server).collect();
    json!({
        "event": "plan", "run": &plan.command, "app": text(&plan.app), "groups": plan.stages.len(),
        "servers": servers,
    })
}

/// What a server would be sent: the numbers if they are known, or the reason why they aren't.
fn expected(expected: &Expected) -> Value {
    match expected {
        Expected::Layers { layers, of, bytes } => {
            json!({ "layers": layers, "of": of, "bytes": bytes, "unknown": null })
        }
        other => {
            json!({ "layers": null, "of": null, "bytes": null, "unknown": text(&other.to_string()) })
        }
    }
}

fn kind(kind: DeployKind) -> &'static str {
    match kind {
        DeployKind::Deploy => "deploy",
        DeployKind::Redeploy => "redeploy",
        DeployKind::Rollback => "rollback",
        DeployKind::Boot => "boot",
        DeployKind::TakeOver(direction) => direction.command(),
    }
}

pub fn result(result: &HostOutput) -> Value {
    let (status, signal) = match &result.output.exit {
        Exit::Status(status) => (Some(*status), None),
        Exit::Signal(signal) => (None, Some(text(signal))),
    };
    json!({
        "event": "result", "host": text(&result.host), "role": optional(result.role.as_deref()),
        "stdout": clean::lines(&result.output.stdout), "stderr": clean::lines(&result.output.stderr),
        "status": status, "signal": signal,
    })
}

pub fn config(config: &Config) -> Value {
    json!({ "event": "config", "config": show::value(config) })
}

/// The values of secrets, as a JSON object that is already ordered.
pub fn secrets(object: &str) -> String {
    format!("{{\"event\":\"result\",\"secrets\":{object}}}")
}

pub fn finding(finding: &Finding) -> Value {
    json!({
        "event": "finding", "level": finding.level.name(), "topic": finding.topic.name(),
        "host": optional(finding.host.as_deref()), "text": clean::lines(&finding.text),
        "hint": optional_lines(&finding.hint),
    })
}

pub fn said(said: &str) -> Value {
    json!({ "event": "result", "text": clean::lines(said) })
}

pub fn ended(ended: Result<u8, &Ended>) -> Value {
    let error = match ended {
        Ok(status) => return json!({ "event": "ended", "status": status }),
        Err(error) => error,
    };
    let mut object = match error {
        Ended::Load(_) => json!({ "error": "configuration" }),
        Ended::Run(RunError::Invalid(_)) => json!({ "error": "configuration" }),
        Ended::Run(RunError::Secrets(_)) => json!({ "error": "secrets" }),
        Ended::Run(RunError::Usage { hint, .. }) => json!({ "error": "usage", "hint": optional_lines(hint) }),
        Ended::Run(RunError::Locked { host, details }) => {
            json!({ "error": "locked", "host": text(host), "details": clean::lines(details) })
        }
        Ended::Run(RunError::Local { hint, standing, .. }) => json!({
            "error": "local", "hint": optional_lines(hint),
            "standing": texts(standing),
        }),
        Ended::Run(RunError::Servers { failures, total, standing }) => json!({
            "error": "servers", "servers": total,
            "failures": failures.iter().map(failure).collect::<Vec<_>>(),
            "standing": texts(standing),
        }),
        Ended::Run(RunError::Interrupted { standing }) => {
            json!({ "error": "interrupted", "standing": texts(standing) })
        }
    };
    object["message"] = clean::lines(&error.to_string()).into();
    object["status"] = exit::status(error).into();
    tagged("ended", object)
}

fn failure(failure: &Failure) -> Value {
    let mut object = json!({
        "host": text(&failure.host), "role": optional(failure.role.as_deref()), "doing": text(&failure.doing),
        "cause": cause_name(&failure.cause), "message": clean::lines(&failure.cause.to_string()),
        "hint": optional_lines(&failure.hint()),
    });
    if let Cause::NotReady(not_ready) = &failure.cause {
        object["container"] = text(&not_ready.container).into();
        object["log"] = texts(&not_ready.log).into();
        object["health"] = not_ready
            .health
            .iter()
            .map(|(status, output)| json!({ "status": status, "output": clean::lines(output) }))
            .collect();
    }
    object
}

pub const CAUSES: [&str; 14] = [
    "unreachable",
    "not_forwarded",
    "connection_lost",
    "too_much_output",
    "no_answer",
    "command",
    "not_ready",
    "unreadable",
    "halted",
    "not_routed",
    "no_assets",
    "interrupted",
    "lock_lost",
    "other",
];

fn cause_name(cause: &Cause) -> &'static str {
    match cause {
        Cause::Server(ServerError::Unreachable { .. }) => "unreachable",
        Cause::Server(ServerError::NotForwarded { .. }) => "not_forwarded",
        Cause::Server(ServerError::Lost { .. }) => "connection_lost",
        Cause::Server(ServerError::TooMuchOutput { .. } | ServerError::TooMuchTogether { .. }) => {
            "too_much_output"
        }
        Cause::Server(ServerError::Deadline { .. }) => "no_answer",
        Cause::Command(_) => "command",
        Cause::NotReady(_) => "not_ready",
        Cause::Unreadable(_) => "unreadable",
        Cause::Halted(_) => "halted",
        Cause::NotRouted { .. } => "not_routed",
        Cause::NoAssets { .. } => "no_assets",
        Cause::Interrupted => "interrupted",
        Cause::LockLost { .. } => "lock_lost",
        Cause::Other { .. } => "other",
    }
}

fn tagged(event: &str, mut object: Value) -> Value {
    object["event"] = event.into();
    object
}

fn text(text: &str) -> String {
    clean::line(text)
}

fn texts(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| clean::line(text)).collect()
}

fn optional(text: Option<&str>) -> Option<String> {
    text.map(clean::line)
}

fn optional_lines(text: &Option<String>) -> Option<String> {
    text.as_deref().map(clean::lines)
}
