//! Checks that docs/events.md describes every JSON object that Bowline prints, with every field, and no others.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

#[path = "../examples/show/events.rs"]
#[allow(dead_code, reason = "only the plan is used here")]
mod made_up;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bowline_cli::exit::{self, Ended};
use bowline_cli::load::LoadError;
use bowline_cli::ui::json;
use bowline_config::Diagnostics;
use bowline_core::doctor::{Finding, Topic};
use bowline_core::plan::change::{Change, Piece, Stage, Work};
use bowline_core::plan::delivery::Expected;
use bowline_core::plan::step::Step;
use bowline_core::shell::Script;
use bowline_engine::error::{Cause, Failure, NotReady, RunError};
use bowline_engine::event::{Event, Outcome, Phase};
use bowline_engine::ports::{Exit, Output};
use bowline_engine::world::HostOutput;
use serde_json::Value;

/// The types of values by the path of the field, such as `servers[].host`.
type Fields = BTreeMap<String, BTreeSet<String>>;

/// Every phase. A new one doesn't compile until it is here and in [`phases`].
fn known(phase: &Phase) {
    match phase {
        Phase::Secrets
        | Phase::Connect(_)
        | Phase::Bootstrap(_)
        | Phase::Clone(_)
        | Phase::Build(_)
        | Phase::BuildOnly(_)
        | Phase::Keep(_)
        | Phase::Accessories(_)
        | Phase::Lock(_)
        | Phase::Observe(_)
        | Phase::Pull
        | Phase::Send(_)
        | Phase::Proxy
        | Phase::Assets
        | Phase::Boot(..)
        | Phase::GoBack(_)
        | Phase::Prune
        | Phase::Unlock
        | Phase::Hook { .. } => {}
    }
}

fn phases() -> Vec<Phase> {
    let text = || "x".to_owned();
    vec![
        Phase::Secrets,
        Phase::Connect(2),
        Phase::Bootstrap(2),
        Phase::Clone(text()),
        Phase::Build(text()),
        Phase::BuildOnly(text()),
        Phase::Keep(text()),
        Phase::Accessories(2),
        Phase::Lock(text()),
        Phase::Observe(2),
        Phase::Pull,
        Phase::Send(2),
        Phase::Proxy,
        Phase::Assets,
        Phase::Boot(1, 2),
        Phase::GoBack(2),
        Phase::Prune,
        Phase::Unlock,
        Phase::Hook { name: text(), quiet: false },
    ]
}

/// Every event. A new one doesn't compile until it is here and in [`events`].
fn is_known(event: &Event) {
    match event {
        Event::Phase(phase) => known(phase),
        Event::Planned(_)
        | Event::Sending { .. }
        | Event::Sent(_)
        | Event::Connected { .. }
        | Event::StepStarted { .. }
        | Event::StepEnded { .. }
        | Event::Program { .. }
        | Event::Output { .. }
        | Event::Hook { .. }
        | Event::State { .. }
        | Event::BarrierOpened { .. }
        | Event::BarrierClosed { .. }
        | Event::WentBack { .. }
        | Event::RoleDone { .. }
        | Event::Failed(_)
        | Event::Note { .. }
        | Event::Interrupted
        | Event::Finished { .. } => {}
    }
}

fn failures() -> Vec<Failure> {
    let not_ready = NotReady {
        container: "shop-web-1".into(),
        summary: "x".into(),
        log: vec!["x".into()],
        health: vec![(1, "x".into())],
        hint: Some("x".into()),
        refused: false,
    };
    let of = |role: Option<&str>, cause| Failure {
        host: "a".into(),
        role: role.map(Into::into),
        doing: "x".into(),
        cause,
    };
    vec![of(Some("web"), Cause::NotReady(Box::new(not_ready))), of(None, Cause::LockLost { why: "x".into() })]
}

fn events() -> Vec<Event> {
    let (text, some) = (|| "x".to_owned(), || Some("x".to_owned()));
    let second = Duration::from_secs(1);
    let mut events: Vec<Event> = phases().into_iter().map(Event::Phase).collect();
    events.extend([
        Event::Planned(Arc::new(made_up::plan(2))),
        Event::Sending { host: text(), bytes: 1, size: 2, per_second: 3, elapsed: second },
        Event::Sent(vec![(text(), 1)]),
        Event::Connected { host: text() },
        Event::Program { command: text() },
        Event::Hook { name: text(), line: text(), level: None },
        Event::State { host: text(), role: text(), state: text() },
        Event::BarrierOpened { host: text(), role: text() },
        Event::BarrierClosed { role: text() },
        Event::WentBack { host: text(), role: text(), version: text() },
        Event::RoleDone { host: text(), role: text(), version: text() },
        Event::Interrupted,
        Event::Finished { elapsed: second, commands: vec![(text(), 3)] },
    ]);
    for optional in [None, some()] {
        events.extend([
            Event::StepStarted { host: text(), role: optional.clone(), what: text(), command: text() },
            Event::StepEnded {
                host: text(),
                role: optional.clone(),
                what: text(),
                elapsed: second,
                outcome: Outcome::Done,
            },
            Event::Output { host: optional.clone(), role: optional.clone(), line: text() },
            Event::Note { host: optional, text: text() },
        ]);
    }
    events.extend(failures().into_iter().map(Event::Failed));
    events
}

fn ends() -> Vec<Value> {
    let standing = || vec!["a web serves 1".to_owned()];
    let diagnostics = || {
        let text = bowline_config::SourceFile::new("config/deploy.yml", "servers: [");
        let errors: Diagnostics = bowline_config::load(text, None).unwrap_err();
        Box::new(errors)
    };
    let hinted = |hint: Option<String>| {
        [
            RunError::Usage { message: "x".into(), hint: hint.clone() },
            RunError::Local { what: "x".into(), reason: "x".into(), hint, standing: standing() },
        ]
    };
    let errors = [
        RunError::Invalid(diagnostics()),
        RunError::Secrets(diagnostics()),
        RunError::Locked { host: "a".into(), details: "x".into() },
        RunError::Servers { failures: failures(), total: 2, standing: standing() },
        RunError::Interrupted { standing: standing() },
    ];
    let errors = errors.into_iter().chain(hinted(None)).chain(hinted(Some("x".into())));
    let mut ends: Vec<Value> = errors.map(|error| json::ended(Err(&Ended::Run(error)))).collect();
    ends.push(json::ended(Err(&Ended::Load(LoadError { text: "x".into() }))));
    ends.push(json::ended(Ok(exit::DONE)));
    ends
}

#[test]
fn what_serves_is_printed_without_control_characters() {
    let standing = vec!["\u{1b}[2Ja web serves 1".to_owned()];
    for error in [
        RunError::Local { what: "x".into(), reason: "x".into(), hint: None, standing: standing.clone() },
        RunError::Servers { failures: failures(), total: 2, standing: standing.clone() },
        RunError::Interrupted { standing },
    ] {
        let ended = json::ended(Err(&Ended::Run(error)));
        assert_eq!(ended["standing"], Value::from(vec!["a web serves 1"]));
    }
}

fn printed() -> Vec<Value> {
    let events = events();
    events.iter().for_each(is_known);
    let mut all: Vec<Value> = events.iter().map(json::event).collect();
    all.push(json::began(&["app".into(), "details".into()]));
    let mut plan = made_up::plan(2);
    plan.servers[0].notes.push("x".into());
    let known = Expected::Layers { layers: 1, of: 2, bytes: 3 };
    let hosts = plan.servers.iter().map(|server| server.host.clone());
    let expected = hosts.zip([known, Expected::Unbuilt]).collect();
    all.extend(["plan", "planned"].map(|name| json::plan(name, &plan, &expected)));
    let then = vec![Step::Run("x", Script::new("x"))];
    let works = [Work::Nothing("x".into()), Work::Retire { retire: Vec::new(), then }];
    let piece = |work| Piece { host: "a".into(), role: Some("web".into()), work };
    let stages = vec![Stage::from(works.map(piece).to_vec())];
    all.push(json::change(&Change { command: "app stop".into(), app: "x".into(), stages }));
    let result = |role: Option<&str>, exit| HostOutput {
        host: "a".into(),
        role: role.map(Into::into),
        output: Output { exit, stdout: "x".into(), stderr: "x".into() },
    };
    all.push(json::result(&result(None, Exit::Status(0))));
    all.push(json::result(&result(Some("web"), Exit::Signal("KILL".into()))));
    all.push(json::said("x"));
    all.push(serde_json::from_str(&json::secrets("{}")).unwrap());
    let text = "service: a\nimage: a\nservers: [a]\nbuilder: {arch: amd64}\nproxy: {}\n";
    let config = bowline_config::load(bowline_config::SourceFile::new("config/deploy.yml", text), None)
        .unwrap()
        .config;
    all.push(json::config(&config));
    for finding in
        [Finding::ok(Topic::Tools, "git"), Finding::problem(Topic::Ports, "taken", "stop it").on("a")]
    {
        all.push(json::finding(&finding));
    }
    all.extend(ends());
    all
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Collects the fields of a value and of the values in it. Those of a failure are described once.
fn fields(path: &str, value: &Value, found: &mut Fields) {
    match value {
        // Their contents are described elsewhere, or are the user's own.
        Value::Object(_) if ["failures[]", "config", "secrets"].contains(&path) => {
            found.entry(path.to_owned()).or_default().insert("object".into());
        }
        Value::Object(object) => {
            for (key, value) in object.iter().filter(|(key, _)| !path.is_empty() || *key != "event") {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                fields(&path, value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(&format!("{path}[]"), item, found)),
        other => {
            found.entry(path.to_owned()).or_default().insert(kind(other).into());
        }
    }
}

/// The sections of the page: the names of their events, and the fields in their tables.
fn described(page: &str) -> BTreeMap<String, Fields> {
    let mut described = BTreeMap::new();
    for section in page.split("\n### ").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap();
        let body = body.split("\n## ").next().unwrap();
        let mut table = Fields::new();
        for row in body.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            // A table of two columns lists the values of a field.
            let [field, kinds, _] = cells[..] else { continue };
            let kinds = kinds.split(" or ").map(str::to_owned).collect();
            table.insert(field.trim_matches('`').to_owned(), kinds);
        }
        for name in heading.split('`').skip(1).step_by(2) {
            described.insert(name.to_owned(), table.clone());
        }
    }
    described
}

#[test]
fn the_page_describes_what_is_printed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md");
    let page = std::fs::read_to_string(path).unwrap();
    let described = described(&page);
    let mut emitted: BTreeMap<String, Fields> = BTreeMap::new();
    for value in printed() {
        let name = value["event"].as_str().unwrap().to_owned();
        fields("", &value, emitted.entry(name).or_default());
    }
    // Empty in the made-up plan. Like the others, they are lists of text.
    for name in ["plan", "planned"] {
        let text = || BTreeSet::from(["string".to_owned()]);
        let plan = emitted.get_mut(name).unwrap();
        plan.entry("servers[].kept[]".into()).or_insert_with(text);
    }
    for (name, fields) in &emitted {
        assert_eq!(described.get(name), Some(fields), "the event `{name}` in docs/events.md");
    }
    let names: Vec<&String> = emitted.keys().collect();
    assert_eq!(described.keys().collect::<Vec<_>>(), names, "the events of docs/events.md");
    assert!(page.contains(&format!("This page describes version {} ", json::SCHEMA)), "{}", json::SCHEMA);
}

#[test]
fn the_page_names_every_phase_cause_and_topic() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md")).unwrap();
    let words: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    for phase in phases() {
        let value = json::event(&Event::Phase(phase));
        let name = value["phase"].as_str().unwrap();
        assert!(words.contains(name), "the phase {name}");
    }
    for cause in json::CAUSES {
        assert!(words.contains(cause), "the cause {cause}");
    }
    for topic in Topic::ALL {
        assert!(words.contains(topic.name()), "the topic {}", topic.name());
    }
}

#[test]
fn the_table_of_exit_codes_is_true() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/usage.md")).unwrap();
    let (_, section) = page.split_once("## Exit codes").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| code"));
    let codes: Vec<u8> = rows.map(|row| row.split('|').nth(1).unwrap().trim().parse().unwrap()).collect();
    assert_eq!(codes, exit::ALL);
    // The help of the program must mention the same codes as the table.
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_bowline")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap().replace('\n', " ");
    let (_, said) = help.split_once("Exit codes: ").unwrap();
    let said = said.split('.').next().unwrap();
    let named: Vec<u8> =
        said.split(", ").map(|part| part.trim().split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(named, exit::ALL);
}
