//! The end of a run: what was achieved, or what failed where, why, and what to do; and what serves now.

use bowline_engine::error::{Cause, Failure, NotReady, RunError};

use super::paint::Paint;
use super::{clean, words};
use crate::exit::Ended;

/// Log lines of a failed container that are shown.
const LOG_LINES: usize = 50;

/// The lines that tell why a command did not end well. `release` is the command that gives the lock back.
pub fn failure(ended: &Ended, release: &str, paint: Paint) -> Vec<String> {
    match ended {
        // Diagnostics come rendered, colours and all, from our own loader.
        Ended::Load(error) => vec![error.text.trim_end().to_owned()],
        Ended::Run(RunError::Invalid(found) | RunError::Secrets(found)) => {
            vec![found.as_ref().clone().map_notes(clean::lines).render(paint.0)]
        }
        Ended::Run(RunError::Usage { hint, .. }) => message(ended, hint.as_deref(), paint),
        Ended::Run(RunError::Locked { host, details }) => locked(host, details, release, paint),
        Ended::Run(RunError::Local { what, reason, hint, standing }) => {
            let mut lines = vec![error(&format!("{} failed", clean::line(what)), paint)];
            lines.extend(indented(reason, "  "));
            lines.extend(hint_line(hint.as_deref(), "  ", paint));
            lines.extend(serving(standing, paint));
            lines
        }
        Ended::Run(RunError::Servers { failures, standing, .. }) => servers(ended, failures, standing, paint),
        Ended::Run(RunError::Interrupted { standing }) => {
            let mut lines = vec![paint.yellow("interrupted")];
            lines.extend(serving(standing, paint));
            lines
        }
    }
}

fn message(ended: &Ended, hint: Option<&str>, paint: Paint) -> Vec<String> {
    let text = clean::lines(&ended.to_string());
    let mut rest = text.lines();
    let mut lines = vec![error(rest.next().unwrap_or_default(), paint)];
    lines.extend(rest.map(|line| format!("  {line}")));
    lines.extend(hint_line(hint, "  ", paint));
    lines
}

fn locked(host: &str, details: &str, release: &str, paint: Paint) -> Vec<String> {
    let mut lines = vec![error(&format!("the deploy lock is held on {}", clean::line(host)), paint)];
    lines.extend(indented(details, "  "));
    let hint = format!(
        "wait until it is released; if nobody is deploying any more, run `{release} -h {}`",
        clean::line(host)
    );
    lines.extend(hint_line(Some(&hint), "  ", paint));
    lines
}

fn servers(ended: &Ended, failures: &[Failure], standing: &[String], paint: Paint) -> Vec<String> {
    let mut lines = message(ended, None, paint);
    // What was halted follows from what failed: the reason first.
    let (halted, failed): (Vec<_>, Vec<_>) =
        failures.iter().partition(|failure| matches!(failure.cause, Cause::Halted(_)));
    for failure in failed.into_iter().chain(halted) {
        lines.push(String::new());
        lines.extend(one_failure(failure, paint));
    }
    lines.extend(serving(standing, paint));
    lines
}

fn serving(standing: &[String], paint: Paint) -> Vec<String> {
    if standing.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), paint.bold("What the servers serve now:")];
    lines.extend(standing.iter().map(|line| format!("  {}", clean::line(line))));
    lines
}

fn one_failure(failure: &Failure, paint: Paint) -> Vec<String> {
    let host = clean::line(&failure.host);
    let role = failure.role.as_ref().map(|role| format!(" ({})", clean::line(role))).unwrap_or_default();
    let place = paint.bold(&format!("{host}{role}:"));
    let mut lines = vec![format!("{place} {}", words::went_wrong(failure))];
    if !matches!(failure.cause, Cause::Halted(_) | Cause::Interrupted) {
        lines.extend(indented(&failure.cause.to_string(), "  "));
    }
    lines.extend(hint_line(failure.hint().as_deref(), "  ", paint));
    if let Cause::NotReady(not_ready) = &failure.cause {
        lines.extend(container(not_ready, paint));
    }
    lines
}

fn container(not_ready: &NotReady, paint: Paint) -> Vec<String> {
    let name = clean::line(&not_ready.container);
    let mut lines = Vec::new();
    if not_ready.log.is_empty() {
        lines.push(format!("  {name} logged nothing"));
    } else {
        lines.push(format!("  last log lines of {name}:"));
        let skipped = not_ready.log.len().saturating_sub(LOG_LINES);
        lines.extend(not_ready.log.iter().skip(skipped).map(|line| logged(line, paint)));
    }
    if !not_ready.health.is_empty() {
        lines.push("  its last health checks:".into());
    }
    for (status, output) in &not_ready.health {
        let text = clean::lines(output.trim());
        let mut said = text.lines();
        let first = said.next().map(|line| format!(": {line}")).unwrap_or_default();
        lines.push(logged(&format!("exit status {status}{first}"), paint));
        lines.extend(said.map(|line| logged(&format!("  {line}"), paint)));
    }
    lines
}

fn logged(line: &str, paint: Paint) -> String {
    format!("    {} {}", paint.dim("|"), clean::line(line)).trim_end().to_owned()
}

fn error(text: &str, paint: Paint) -> String {
    format!("{} {text}", paint.red("error:"))
}

fn hint_line(hint: Option<&str>, indent: &str, paint: Paint) -> Vec<String> {
    let Some(hint) = hint else { return Vec::new() };
    let text = clean::lines(hint);
    let mut rest = text.lines();
    let mut lines = vec![format!("{indent}{} {}", paint.cyan("hint:"), rest.next().unwrap_or_default())];
    lines.extend(rest.map(|line| format!("{indent}      {line}")));
    lines
}

fn indented(text: &str, indent: &str) -> Vec<String> {
    clean::lines(text.trim_end())
        .lines()
        .map(|line| format!("{indent}{line}").trim_end().to_owned())
        .collect()
}

/// The line that tells of success.
pub fn success(tally: &super::Tally, paint: Paint) -> String {
    paint.green(&clean::line(&words::summary(tally.plan.as_deref(), tally.elapsed)))
}
