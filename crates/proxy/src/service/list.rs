//! The data of `list` and `stats`.

use serde::{Deserialize, Serialize};

use super::{Service, Table};
use crate::stats::Stats;
use crate::target::Target;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    pub name: String,
    /// One empty name means any host.
    pub hosts: Vec<String>,
    pub paths: Vec<String>,
    /// `running`, `paused` or `stopped`.
    pub state: String,
    pub tls: bool,
    /// Writers, then readers.
    pub targets: Vec<ListedTarget>,
    pub rollout: Vec<ListedTarget>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedTarget {
    pub name: String,
    /// `adding`, `healthy`, `unhealthy` or `draining`.
    pub state: String,
    /// Open requests, without streams.
    pub requests: usize,
    /// Open WebSockets and event streams.
    pub streams: usize,
}

pub(super) fn list(table: &Table) -> Vec<Listed> {
    table.services().map(|service| one(table, service)).collect()
}

fn one(table: &Table, service: &Service) -> Listed {
    let options = &service.options;
    let route = (options.hosts.first(), options.path_prefixes.first());
    let binding = match route {
        (Some(host), Some(prefix)) => table.routes.registered(host, prefix),
        _ => None,
    };
    let targets = |set: &super::TargetSet| set.balancer.targets().map(|t| target(t)).collect();
    Listed {
        name: service.name.to_string(),
        hosts: options.hosts.clone(),
        paths: options.path_prefixes.clone(),
        state: service.gate.state().as_str().to_owned(),
        tls: binding.is_some_and(|binding| binding.tls),
        targets: targets(&service.active),
        rollout: service.rollout.as_deref().map(targets).unwrap_or_default(),
    }
}

fn target(target: &Target) -> ListedTarget {
    ListedTarget {
        name: target.name().to_string(),
        state: state(target).to_owned(),
        requests: target.requests(),
        streams: target.streams(),
    }
}

pub(super) fn stats(service: &Service) -> Vec<Stats> {
    let of = |target: &std::sync::Arc<Target>| target.stats().stats(target.name(), state(target));
    service.sets().flat_map(|set| set.balancer.targets()).map(of).collect()
}

fn state(target: &Target) -> &'static str {
    if target.is_draining() { "draining" } else { target.health().as_str() }
}
