//! What a booting container told: ready, or why not.
//!
//! Reads the lines of the script in `core::commands::ready`.

use std::net::IpAddr;

use bowline_core::commands::{app, ready};
use serde_json::Value;

use crate::error::{Cause, NotReady};
use crate::ports::{Exit, Output};

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

fn not_ready(container: &str, timeout: u64, answer: &str) -> NotReady {
    let lines: Vec<&str> = answer.lines().collect();
    let failed = lines.iter().position(|line| line.starts_with("@failed ")).unwrap_or(lines.len());
    let reason = lines.get(failed).and_then(|line| line.strip_prefix("@failed ")).unwrap_or("");
    let last = lines[..failed].iter().rev().find_map(|line| line.strip_prefix("@state ")).unwrap_or("");
    let log_start = (failed + 2).min(lines.len());
    let log_end = lines.iter().rposition(|line| line.starts_with("@health ")).unwrap_or(lines.len());
    let mut log: Vec<String> =
        lines[log_start..log_end.max(log_start)].iter().map(|line| (*line).to_string()).collect();
    while log.last().is_some_and(|line| line.is_empty()) {
        log.pop();
    }
    let health =
        lines.get(log_end).and_then(|line| line.strip_prefix("@health ")).map(checks).unwrap_or_default();
    let (summary, hint) = reason_text(timeout, reason, last, health.last());
    NotReady {
        container: container.into(),
        summary,
        hint,
        log: log.split_off(log.len().saturating_sub(KEPT)),
        health,
    }
}

fn reason_text(
    timeout: u64,
    reason: &str,
    last: &str,
    check: Option<&(i64, String)>,
) -> (String, Option<String>) {
    let words: Vec<&str> = last.split(' ').collect();
    let word = |at: usize| words.get(at).copied().unwrap_or("?");
    let (code, killed) = (word(2), word(4) == "true");
    if killed {
        return (
            "the container was killed: out of memory".into(),
            Some("give it more memory (`options: memory:`), or make the app need less at its start".into()),
        );
    }
    match reason {
        "exited" => (format!("the container exited with code {code}"), exit_hint(code)),
        "restarting" => (format!("the container keeps exiting, last with code {code}"), exit_hint(code)),
        "gone" => ("the container is gone: somebody removed it".into(), None),
        _ => match check {
            Some((status, said)) => (
                format!(
                    "not healthy within {timeout} s; the last check ended with {status}{}",
                    if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) }
                ),
                Some(health_hint(*status, said)),
            ),
            None => (
                format!(
                    "not ready within {timeout} s (last seen: {})",
                    if last.is_empty() { "nothing" } else { last }
                ),
                None,
            ),
        },
    }
}

fn exit_hint(code: &str) -> Option<String> {
    let hint = match code {
        "126" => {
            "the command can't be executed: is it a program of the image's platform, with its executable bit set?"
        }
        "127" => "the command was not found in the image: see `cmd` and the image's ENTRYPOINT",
        "137" => "it was killed from outside (SIGKILL), often for want of memory",
        _ => return None,
    };
    Some(hint.into())
}

fn health_hint(status: i64, said: &str) -> String {
    let said = said.to_lowercase();
    if said.contains("refused") {
        "nothing listens on the port the check asks: see `healthcheck: port:`, and that the app listens on 0.0.0.0".into()
    } else if said.contains("not found")
        && (status == 127 || said.contains("curl") || said.contains("executable"))
    {
        "the check's own command isn't in the image: set `healthcheck: cmd:` to one that is".into()
    } else if said.contains("404") {
        "the health path answers 404: see `healthcheck: path:`".into()
    } else if said.contains("301") || said.contains("302") || said.contains("308") {
        "the health path redirects (to https?): let the app answer it directly".into()
    } else if ["500", "502", "503"].iter().any(|code| said.contains(code)) {
        "the app answers on its health path, but with an error: its log says why".into()
    } else {
        "a slow start? raise `deploy_timeout`; otherwise see the log above".into()
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

fn not_started(output: &Output) -> Cause {
    let said = output.stderr.trim();
    let hint = if said.contains("port is already allocated") {
        Some(
            "a fixed port can't be published by the old and the new container at once: remove `publish` from `options`",
        )
    } else if said.contains("no such image")
        || said.contains("not found")
        || said.contains("Unable to find image")
    {
        Some("the image isn't on the server: deploy without filters that skip the pull")
    } else if said.contains("exec format error") || said.contains("does not match the detected host platform")
    {
        Some("the image was built for another platform: see `builder: arch:`")
    } else {
        None
    };
    Cause::Told { reason: format!("docker would not run the container: {said}"), hint: hint.map(Into::into) }
}

/// Exit code and output of the checks in Docker's health JSON.
fn checks(json: &str) -> Vec<(i64, String)> {
    let Ok(health) = serde_json::from_str::<Value>(json) else { return Vec::new() };
    let Some(log) = health.get("Log").and_then(Value::as_array) else { return Vec::new() };
    log.iter()
        .map(|check| {
            let code = check.get("ExitCode").and_then(Value::as_i64).unwrap_or(-1);
            (code, check.get("Output").and_then(Value::as_str).unwrap_or("").to_string())
        })
        .collect()
}
