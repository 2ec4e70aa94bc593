//! The words for events, the same in every view.

use std::time::Duration;

use bowline_core::plan::Plan;
use bowline_core::request::DeployKind;
use bowline_core::size::bytes;
use bowline_engine::error::{Cause, Failure};
use bowline_engine::event::Phase;

use super::{Focus, clean};

pub fn doing(phase: &Phase) -> String {
    let (doing, _, what) = phase_words(phase);
    format!("{doing}{what}")
}

pub fn done(phase: &Phase) -> String {
    let (_, done, what) = phase_words(phase);
    format!("{done}{what}")
}

/// The beginning of a phase's text while it lasts and when it is over, and the common rest.
fn phase_words(phase: &Phase) -> (&'static str, &'static str, String) {
    let on = |servers: &usize| format!(" on {}", count(*servers, "server"));
    match phase {
        Phase::Secrets => ("Getting", "Got", " the secrets".into()),
        Phase::Connect(servers) => ("Connecting", "Connected", format!(" to {}", count(*servers, "server"))),
        Phase::Bootstrap(servers) => ("Making sure Docker runs", "Docker runs", on(servers)),
        Phase::Accessories(servers) => ("Booting accessories", "Booted accessories", on(servers)),
        Phase::Clone(directory) => ("Cloning", "Cloned", format!(" the repository into {directory}")),
        Phase::Build(version) => ("Building and pushing", "Built and pushed", format!(" version {version}")),
        Phase::Keep(image) => ("Keeping", "Kept", format!(" {image} for the servers")),
        Phase::Send(servers) => {
            ("Sending", "Sent", format!(" the missing layers to {}", count(*servers, "server")))
        }
        Phase::BuildOnly(image) => ("Building", "Built", format!(" {image}")),
        Phase::Lock(host) => ("Taking", "Took", format!(" the deploy lock on {host}")),
        Phase::Observe(servers) => ("Inspecting", "Inspected", format!(" {}", count(*servers, "server"))),
        Phase::Pull => ("Pulling", "Pulled", " the image".into()),
        Phase::Proxy => ("Making sure the proxy runs", "The proxy runs", String::new()),
        Phase::Assets => ("Preparing", "Prepared", " assets".into()),
        Phase::Boot(_, 1) => ("Booting", "Booted", " the new version".into()),
        Phase::Boot(group, groups) => {
            ("Booting", "Booted", format!(" the new version, group {group} of {groups}"))
        }
        Phase::GoBack(servers) => {
            ("Going back to the previous version", "Went back to the previous version", on(servers))
        }
        Phase::Prune => ("Removing", "Removed", " old containers and images".into()),
        Phase::Unlock => ("Releasing", "Released", " the deploy lock".into()),
        Phase::Hook { name, .. } => ("Running", "Ran", format!(" the {name} hook")),
    }
}

/// The number of servers in a phase that handles each of them once.
pub fn servers(phase: &Phase) -> Option<usize> {
    match phase {
        Phase::Connect(servers)
        | Phase::Bootstrap(servers)
        | Phase::Observe(servers)
        | Phase::Send(servers) => Some(*servers),
        _ => None,
    }
}

pub fn sending(sent: u64, at_most: u64, per_second: u64) -> String {
    format!("{} of at most {}, {}/s", bytes(sent), bytes(at_most), bytes(per_second))
}

pub fn sent(sent: &[(String, u64)]) -> Option<String> {
    let most = sent.iter().max_by_key(|(_, bytes)| *bytes)?;
    let least = sent.iter().map(|(_, bytes)| *bytes).min()?;
    if most.1 == 0 {
        return Some("nothing was missing".into());
    }
    if sent.len() == 1 {
        return Some(format!("sent {} to {}", bytes(most.1), clean::line(&most.0)));
    }
    if least >= most.1 - most.1 / 10 {
        return Some(format!("sent {} to each of {}", bytes(most.1), count(sent.len(), "server")));
    }
    let all = sent.iter().map(|(_, bytes)| bytes).sum();
    let (most, host) = (bytes(most.1), clean::line(&most.0));
    Some(format!("sent {} to {}, of which {most} to {host}", bytes(all), count(sent.len(), "server")))
}

pub fn planned(plan: &Plan) -> String {
    let nothing = plan.servers.iter().all(|server| server.steps().is_empty());
    let roles: std::collections::BTreeSet<&str> =
        plan.servers.iter().flat_map(|server| &server.roles).map(|role| role.role.as_str()).collect();
    let what = plan.kind.verb();
    let (app, version) = (&plan.app, &plan.version);
    if plan.servers.is_empty() || (nothing && roles.is_empty()) {
        return format!("Plan: nothing to {what} for {app} version {version}");
    }
    let roles = roles.into_iter().collect::<Vec<_>>().join(", ");
    let roles = if roles.is_empty() { String::new() } else { format!(" ({roles})") };
    format!("Plan: {what} {app} version {version} on {}{roles}", count(plan.servers.len(), "server"))
}

pub fn summary(plan: Option<&Plan>, elapsed: Option<Duration>) -> String {
    let time = elapsed.map(|elapsed| format!(" in {}", seconds(elapsed))).unwrap_or_default();
    let Some(plan) = plan else { return format!("done{time}") };
    let (app, version) = (&plan.app, &plan.version);
    if plan.servers.is_empty() {
        return format!("nothing to do for {app} version {version}{time}");
    }
    let servers = count(plan.servers.len(), "server");
    match plan.kind {
        DeployKind::Deploy => format!("deployed {app} version {version} to {servers}{time}"),
        DeployKind::Redeploy => format!("redeployed {app} version {version} to {servers}{time}"),
        DeployKind::Rollback => format!("rolled back {app} to version {version} on {servers}{time}"),
        DeployKind::Boot => format!("booted {app} version {version} on {servers}{time}"),
        DeployKind::TakeOver(direction) => {
            format!("{} serves {app} version {version} on {servers}{time}", direction.to().name())
        }
    }
}

pub fn interrupted(focus: Focus) -> &'static str {
    match focus {
        Focus::Progress => "stopping: undoing unfinished steps (interrupt again to quit immediately)",
        Focus::Result | Focus::Lines => "stopping (interrupt again to quit immediately)",
    }
}

pub fn barrier_opened(host: &str, role: &str) -> String {
    format!("barrier open: {} is healthy on {}", clean::line(role), clean::line(host))
}

pub fn barrier_closed(role: &str) -> String {
    format!("barrier closed: no {} container became healthy", clean::line(role))
}

/// What went wrong, without the reason. Also says if it follows from another failure.
pub fn went_wrong(failure: &Failure) -> String {
    match &failure.cause {
        Cause::Halted(role) => {
            format!("keeps its old version: no {} container became healthy", clean::line(role))
        }
        Cause::Interrupted => "interrupted".into(),
        _ => format!("could not {}", clean::line(&failure.doing)),
    }
}

pub fn failed(failure: &Failure) -> String {
    let what = went_wrong(failure);
    if matches!(failure.cause, Cause::Halted(_) | Cause::Interrupted) {
        return what;
    }
    let cause = clean::lines(&failure.cause.to_string());
    format!("{what}: {}", cause.lines().next().unwrap_or_default())
}

pub fn label(host: &str, role: Option<&str>) -> String {
    match role {
        Some(role) => clean::line(&format!("{host} {role}")),
        None => clean::line(host),
    }
}

pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A human-readable time: `0.3 s`, `12.0 s`, `2 min 5 s`.
pub fn seconds(elapsed: Duration) -> String {
    if elapsed.as_millis() < 59_950 {
        return format!("{:.1} s", elapsed.as_secs_f64());
    }
    let whole = (elapsed.as_millis() + 500) / 1000;
    format!("{} min {} s", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_reads_well() {
        let said = |sizes: &[u64]| {
            let hosts = ["a", "b", "c"].map(String::from).into_iter();
            sent(&hosts.zip(sizes.iter().copied()).collect::<Vec<_>>())
        };
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[812]).as_deref(), Some("sent 812 B to a"));
        assert_eq!(said(&[0, 0]).as_deref(), Some("nothing was missing"));
        assert_eq!(said(&[1_200_000, 1_180_000]).as_deref(), Some("sent 1.2 MB to each of 2 servers"));
        assert_eq!(
            said(&[1_000, 999_960, 2_000]).as_deref(),
            Some("sent 1.0 MB to 3 servers, of which 1.0 MB to b")
        );
        assert_eq!(bytes(52_428_800_000), "52.4 GB");
    }

    #[test]
    fn times_read_well() {
        let table =
            [(0, "0.0 s"), (340, "0.3 s"), (59_900, "59.9 s"), (59_990, "1 min 0 s"), (125_400, "2 min 5 s")];
        for (millis, expected) in table {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
    }
}
