//! The report at the end of a run: the success, or what failed where, why, and what to do. Also what serves now.

use bowline_engine::error::{Cause, Failure, NotReady, RunError};

use super::paint::Paint;
use super::{clean, order, words};
use crate::exit::Ended;
use crate::hints;

const LOG_LINES: usize = 50;
const LINE: usize = 100;

/// The report of an error. `release` is the command that releases the lock.
pub fn failure(ended: &Ended, release: &str, paint: Paint) -> Vec<String> {
    match ended {
        // Our own loader has already rendered the diagnostics.
        Ended::Load(error) => vec![error.text.trim_end().to_owned()],
        Ended::Run(RunError::Invalid(found) | RunError::Secrets(found)) => {
            vec![found.as_ref().clone().map_notes(clean::lines).render(paint.0)]
        }
        Ended::Run(RunError::Usage { hint, .. }) => message(ended, hint.as_deref(), paint),
        Ended::Run(RunError::Locked { host, details }) => locked(host, details, release, paint),
        Ended::Run(RunError::Local { what, reason, hint, standing }) => {
            let mut lines = vec![error(&format!("{} failed", clean::line(what)), paint)];
            lines.extend(indented(reason));
            lines.extend(hints::lines(hint.as_deref(), paint));
            lines.extend(serving(standing, paint));
            lines
        }
        Ended::Run(RunError::Servers { failures, standing, .. }) => servers(ended, failures, standing, paint),
        Ended::Run(RunError::Interrupted { standing }) => {
            let mut lines = vec![paint.yellow("interrupted")];
            lines.extend(serving(standing, paint));
            if !standing.is_empty() {
                let hint = "to continue, run the same command again: it picks up where this run stopped";
                lines.extend(hints::lines(Some(hint), paint));
            }
            lines
        }
    }
}

fn message(ended: &Ended, hint: Option<&str>, paint: Paint) -> Vec<String> {
    mistake(&ended.to_string(), hint, paint)
}

pub fn mistake(text: &str, hint: Option<&str>, paint: Paint) -> Vec<String> {
    let mut lines = clean::hanging(&error("", paint), text, 2);
    lines.extend(hints::lines(hint, paint));
    lines
}

fn locked(host: &str, details: &str, release: &str, paint: Paint) -> Vec<String> {
    let mut lines = vec![error(&format!("the deploy lock is held on {}", clean::line(host)), paint)];
    lines.extend(indented(details));
    let hint = hints::locked(release, &clean::line(host));
    lines.extend(hints::lines(Some(&hint), paint));
    lines
}

fn servers(ended: &Ended, failures: &[Failure], standing: &[String], paint: Paint) -> Vec<String> {
    let mut lines = message(ended, None, paint);
    // Halted roles follow from the failures, so they come last.
    let (halted, failed): (Vec<_>, Vec<_>) =
        failures.iter().partition(|failure| matches!(failure.cause, Cause::Halted(_)));
    for group in alike(failed.into_iter().chain(halted)) {
        lines.push(String::new());
        lines.extend(one_failure(&group, paint));
    }
    lines.extend(serving(standing, paint));
    lines
}

/// Groups failures with the same cause, in their original order. Each group is sorted by server.
fn alike<'f>(failures: impl Iterator<Item = &'f Failure>) -> Vec<Vec<&'f Failure>> {
    // The server's name is often part of the cause.
    let without_host = |failure: &&Failure| {
        let text = format!("{}\n{}", words::went_wrong(failure), failure.cause);
        let text = format!("{text}\n{}", failure.hint().unwrap_or_default());
        (failure.role.clone(), text.replace(&failure.host, "\0"))
    };
    let sorted = |(_, mut group): (_, Vec<&'f Failure>)| {
        group.sort_by(|one, other| order::natural(&one.host, &other.host));
        group
    };
    order::grouped(failures, without_host).into_iter().map(sorted).collect()
}

/// Up to this many lines that differ only in their server are printed one by one.
const FEW: usize = 4;

fn serving(standing: &[String], paint: Paint) -> Vec<String> {
    if standing.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), paint.bold("What the servers serve now:")];
    let groups = order::grouped(standing, |line| serves(line).1);
    let few =
        |line: &&String| groups.iter().any(|(known, lines)| *known == serves(line).1 && lines.len() <= FEW);
    lines.extend(standing.iter().filter(few).map(|line| format!("  {}", clean::line(line))));
    for (serves, group) in groups.iter().filter(|(_, group)| group.len() > FEW) {
        let mut hosts: Vec<&str> = group.iter().map(|line| self::serves(line).0).collect();
        hosts.sort_by(|one, other| order::natural(one, other));
        lines.push(format!("  {}{}", words::count(hosts.len(), "server"), clean::line(serves)));
        lines.extend(list(&hosts, "    "));
    }
    lines
}

/// Splits a line into the server and what it serves.
fn serves(line: &str) -> (&str, &str) {
    line.split_at(line.find(' ').unwrap_or(line.len()))
}

fn list(names: &[&str], indent: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let comma = if number + 1 == names.len() { "" } else { "," };
        let name = format!("{}{comma}", clean::line(name));
        match lines.last_mut() {
            Some(line) if line.chars().count() + name.chars().count() < LINE => {
                line.push(' ');
                line.push_str(&name);
            }
            _ => lines.push(format!("{indent}{name}")),
        }
    }
    lines
}

/// One failure, or several with the same cause: the servers, the step, the reason and the hint.
fn one_failure(group: &[&Failure], paint: Paint) -> Vec<String> {
    let Some(failure) = group.first() else { return Vec::new() };
    let host = match group {
        [failure] => clean::line(&failure.host),
        group => words::count(group.len(), "server"),
    };
    let role = failure.role.as_ref().map(|role| format!(" ({})", clean::line(role))).unwrap_or_default();
    let place = paint.bold(&format!("{host}{role}:"));
    let mut lines = vec![format!("{place} {}", words::went_wrong(failure))];
    if group.len() > 1 {
        lines.extend(list(&group.iter().map(|failure| failure.host.as_str()).collect::<Vec<_>>(), "  "));
    }
    if !matches!(failure.cause, Cause::Halted(_) | Cause::Interrupted) {
        lines.extend(indented(&failure.cause.to_string()));
    }
    lines.extend(hints::lines(failure.hint().as_deref(), paint));
    if let Cause::NotReady(not_ready) = &failure.cause {
        let only =
            if group.len() > 1 { format!(" on {}", clean::line(&failure.host)) } else { String::new() };
        lines.extend(container(not_ready, &only, paint));
    }
    lines
}

/// The log and health checks of a container. `place` names its server if there are others like it.
fn container(not_ready: &NotReady, place: &str, paint: Paint) -> Vec<String> {
    let name = format!("{}{place}", clean::line(&not_ready.container));
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
        lines.push(logged(&format!("exit code {status}{first}"), paint));
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

fn indented(text: &str) -> Vec<String> {
    clean::lines(text.trim_end()).lines().map(|line| format!("  {line}").trim_end().to_owned()).collect()
}

pub fn success(tally: &super::Tally, paint: Paint) -> String {
    paint.green(&clean::line(&words::summary(tally.plan.as_deref(), tally.elapsed)))
}
