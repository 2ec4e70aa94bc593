//! The findings of `doctor`, one per line: this machine, the project, and the servers side by side, topic by topic.

use bowline_core::doctor::{Finding, Level, Topic};

use super::paint::Paint;
use super::{clean, order, words};

/// The width of the longest level name, plus a space.
const LEVEL: usize = 9;
/// The maximum number of servers to name for one finding.
const NAMED: usize = 4;

/// Only lists findings of the level `least` and worse.
pub fn lines(found: &[Finding], least: Level, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let place = |finding: &Finding| match (&finding.host, finding.topic) {
        (Some(_), _) => "Servers",
        (None, Topic::Tools) => "This machine",
        (None, _) => "Project",
    };
    for heading in ["This machine", "Project", "Servers"] {
        let here: Vec<&Finding> =
            found.iter().filter(|finding| place(finding) == heading && finding.level >= least).collect();
        if here.is_empty() {
            continue;
        }
        lines.push(paint.bold(heading));
        let servers = found.iter().filter_map(|finding| finding.host.as_deref());
        let mut servers: Vec<&str> = servers.collect();
        servers.sort_unstable();
        servers.dedup();
        // Findings that differ only in their server are one.
        let of_any = |finding: &&Finding| Finding { host: None, ..(*finding).clone() };
        for (_, group) in order::grouped(here, of_any) {
            lines.extend(one(&group, servers.len(), paint));
        }
    }
    lines.push(summary(found, paint));
    lines
}

fn one(group: &[&Finding], servers: usize, paint: Paint) -> Vec<String> {
    let Some(finding) = group.first() else { return Vec::new() };
    let mut hosts: Vec<&str> = group.iter().filter_map(|finding| finding.host.as_deref()).collect();
    hosts.sort_by(|one, other| order::natural(one, other));
    let place = match hosts.len() {
        0 => String::new(),
        number if number == servers && number > 1 => format!("all {number} servers: "),
        1..=NAMED => format!("{}: ", clean::line(&hosts.join(", "))),
        number => {
            format!("{} ({}, …): ", words::count(number, "server"), clean::line(&hosts[..NAMED].join(", ")))
        }
    };
    let level = format!("{:LEVEL$}", finding.level.name());
    let level = match finding.level {
        Level::Ok => paint.green(&level),
        Level::Warning => paint.yellow(&level),
        Level::Problem => paint.red(&level),
    };
    let indent = LEVEL + 2;
    let mut lines = clean::hanging(&format!("  {level}{place}"), finding.text.trim_end(), indent);
    let hint = finding.hint.as_deref().unwrap_or_default().trim_end();
    lines.extend(clean::hanging(&format!("{:indent$}{} ", "", paint.cyan("hint:")), hint, indent + 6));
    lines
}

fn summary(found: &[Finding], paint: Paint) -> String {
    let number = |level| found.iter().filter(|finding| finding.level == level).count();
    let warnings = match number(Level::Warning) {
        0 => String::new(),
        number => format!(", {}", words::count(number, "warning")),
    };
    match number(Level::Problem) {
        0 => paint.green(&format!("no problems{warnings}")),
        number => paint.red(&format!("{}{warnings}", words::count(number, "problem"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Vec<Finding> {
        let disk = || Finding::ok(Topic::Disk, "9 GB free");
        let taken = || Finding::problem(Topic::Ports, "port 80 is taken by nginx", "stop it");
        vec![
            Finding::ok(Topic::Tools, "git 2.47.3"),
            Finding::warning(Topic::Dns, "shop.example.com does not resolve", "add a record"),
            disk().on("b10"),
            disk().on("b9"),
            taken().on("b10"),
            Finding::ok(Topic::Lock, "no deploy lock").on("b9"),
        ]
    }

    #[test]
    fn servers_stand_side_by_side() {
        let text = "This machine
  ok       git 2.47.3
Project
  warning  shop.example.com does not resolve
           hint: add a record
Servers
  ok       all 2 servers: 9 GB free
  problem  b10: port 80 is taken by nginx
           hint: stop it
  ok       b9: no deploy lock
1 problem, 1 warning";
        assert_eq!(lines(&found(), Level::Ok, Paint(false)).join("\n"), text);
    }

    #[test]
    fn what_is_well_can_be_left_out() {
        let text = "Project
  warning  shop.example.com does not resolve
           hint: add a record
no problems, 1 warning";
        assert_eq!(lines(&found()[..2], Level::Warning, Paint(false)).join("\n"), text);
    }

    #[test]
    fn many_servers_are_counted() {
        let mut found: Vec<Finding> = (1..=6)
            .map(|number| Finding::ok(Topic::Lock, "no deploy lock").on(&format!("b{number}")))
            .collect();
        found.push(Finding::ok(Topic::Clock, "agrees").on("b7"));
        let lines = lines(&found, Level::Ok, Paint(false));
        assert_eq!(lines[1], "  ok       6 servers (b1, b2, b3, b4, …): no deploy lock");
    }
}
