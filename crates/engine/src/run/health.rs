//! What a booting container told: ready, or why not.
//!
//! Reads the lines of the script in `core::commands::ready`.

mod reason;

use std::net::IpAddr;

use bowline_core::commands::{app, ready};
use serde::Deserialize;

use crate::error::{Cause, NotReady};
use crate::ports::{Exit, Output};
use reason::{Facts, reason, start_hint};

/// Log lines and health checks that are kept for a report.
const KEPT: usize = 50;

/// What a `@state` line says, for people.
pub fn state_text(line: &str) -> Option<String> {
    if let Some(seconds) = line.strip_prefix("@delay ") {
        return Some(format!("running, ready if it still is in {seconds} s"));
    }
    let mut words = line.strip_prefix("@state ")?.split(' ');
    let (status, health) = (words.next()?, words.next()?);
    let (code, restarts) = (words.next()?, words.next()?);
    let mut text = match (status, health) {
        ("running", "none") => "running".to_string(),
        ("running", health) => health.to_string(),
        ("exited" | "restarting", _) => format!("{status} (exit code {code})"),
        (status, _) => status.to_string(),
    };
    if restarts != "0" {
        text.push_str(&format!(", restarted {restarts}×"));
    }
    Some(text)
}

/// The addresses of a container that is ready, or why it is not.
pub fn outcome(container: &str, timeout: u64, output: Output) -> Result<Vec<IpAddr>, Cause> {
    if output.success()
        && let Some(addresses) = output.stdout.lines().find_map(|line| line.strip_prefix("@ready "))
    {
        return Ok(addresses.split_whitespace().filter_map(|address| address.parse().ok()).collect());
    }
    match output.exit {
        Exit::Status(ready::NOT_READY) => {
            Err(Cause::NotReady(Box::new(not_ready(container, timeout, &output.stdout))))
        }
        Exit::Status(app::NOT_STARTED) => Err(not_started(&output)),
        Exit::Status(app::NAME_TAKEN) => Err(name_taken(container, &output)),
        _ => Err(Cause::Command(output)),
    }
}

/// How often Docker had started a container again when it was seen last.
pub fn restarts(answer: &str) -> u32 {
    let mut states = answer.lines().filter_map(|line| line.strip_prefix("@state "));
    states.next_back().and_then(|state| state.split(' ').nth(3)?.parse().ok()).unwrap_or(0)
}

fn not_ready(container: &str, timeout: u64, answer: &str) -> NotReady {
    let lines: Vec<&str> = answer.lines().collect();
    let failed = lines.iter().position(|line| line.starts_with("@failed ")).unwrap_or(lines.len());
    let (before, after) = lines.split_at(failed);
    let log_start = after.iter().position(|line| *line == "@log").map_or(after.len(), |at| at + 1);
    let log_end = after.iter().rposition(|line| line.starts_with("@health ")).unwrap_or(after.len());
    // What the log says can't be taken for what the script says.
    let (facts, log) = (&after[..log_start], &after[log_start..log_end.max(log_start)]);
    let fact = |name: &str| facts.iter().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    let mut log: Vec<String> = log.iter().map(|line| (*line).to_string()).collect();
    while log.last().is_some_and(|line| line.is_empty()) {
        log.pop();
    }
    let health =
        after.get(log_end).and_then(|line| line.strip_prefix("@health ")).map(checks).unwrap_or_default();
    let states: Vec<&str> = before.iter().filter_map(|line| line.strip_prefix("@state ")).collect();
    let (summary, hint) = reason(&Facts {
        timeout,
        ended: fact("@failed "),
        states: &states,
        ends: fact("@ended "),
        check: health.last(),
        command: fact("@check "),
        listening: fact("@listening "),
        log: &log,
    });
    NotReady {
        container: container.into(),
        summary,
        hint,
        log: log.split_off(log.len().saturating_sub(KEPT)),
        health,
    }
}

fn name_taken(container: &str, output: &Output) -> Cause {
    let labels = output.stdout.lines().find_map(|line| line.strip_prefix("@taken ")).unwrap_or_default();
    Cause::Told {
        reason: format!(
            "the name {container} is taken by a container of another app (service/role/destination: {labels})"
        ),
        hint: Some("give the service or the role another name, or deploy another version".into()),
    }
}

/// Whether Docker says that a port is not to be had: another container has it, or any other program.
pub(crate) fn is_port_taken(said: &str) -> bool {
    said.contains("port is already allocated") || said.contains("address already in use")
}

fn not_started(output: &Output) -> Cause {
    let said = output.stderr.trim();
    Cause::Told {
        reason: format!("docker would not run the container: {said}"),
        hint: start_hint(said).map(Into::into),
    }
}

/// The longest health JSON that is read: Docker keeps five checks of 4 KiB each.
const LONGEST: usize = 1024 * 1024;

/// Docker's health JSON, as far as it matters.
#[derive(Deserialize)]
struct Health {
    #[serde(rename = "Log", default)]
    log: Option<Vec<Check>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    exit_code: i64,
    output: String,
}

impl Default for Check {
    fn default() -> Self {
        Self { exit_code: -1, output: String::new() }
    }
}

/// Exit code and output of the checks in Docker's health JSON.
fn checks(json: &str) -> Vec<(i64, String)> {
    if json.len() > LONGEST {
        return Vec::new();
    }
    let health = serde_json::from_str::<Health>(json).ok().and_then(|health| health.log);
    health.unwrap_or_default().into_iter().map(|check| (check.exit_code, check.output)).collect()
}
