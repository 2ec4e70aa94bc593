//! Other apps on a server: other services, and other destinations of this one. They share Docker, the proxy and the SSH
//! user's home directory with this app, and a run must not harm them.
//!
//! Labels and names keep most of their things apart. Two things can clash: labels for the proxy, in which any app can
//! use any name, and names joined with `-`: destination `staging` of `app` and service `app-staging` share a directory.

use std::collections::BTreeMap;

use crate::error::PlanError;
use crate::names::Names;
use crate::observed::{Observed, plain_version};
use crate::proxy;
use bowline_config::{Pairs, unique};

/// A running container of another app.
struct Neighbour<'o> {
    name: &'o str,
    labels: &'o BTreeMap<String, String>,
}

impl Neighbour<'_> {
    fn names(&self) -> Names {
        let label = |key: &str| self.labels.get(key).map(String::as_str).filter(|value| !value.is_empty());
        Names::new(label("service").unwrap_or_default(), label("destination"))
    }
}

fn neighbours<'o>(observed: &'o Observed, names: &Names) -> impl Iterator<Item = Neighbour<'o>> {
    let ours = names.clone();
    let same_service = observed
        .containers
        .iter()
        .filter(|container| container.is_running())
        .map(|container| Neighbour { name: &container.name, labels: &container.labels });
    let others = observed.others.iter().map(|other| Neighbour { name: &other.name, labels: &other.labels });
    same_service.chain(others).filter(move |container| container.names() != ours)
}

/// Rejects labels that contradict those of another app's container.
pub(super) fn check(host: &str, names: &Names, labels: &Pairs, observed: &Observed) -> Result<(), PlanError> {
    for neighbour in neighbours(observed, names) {
        proxy::apps_agree(host, labels, neighbour.name, neighbour.labels)?;
    }
    Ok(())
}

/// The versions that other apps serve with this role, if they share our directory, so that their assets are in it.
pub(super) fn versions(names: &Names, role: &str, observed: &Observed) -> Vec<String> {
    neighbours(observed, names)
        .filter(|other| other.labels.get("role").is_some_and(|theirs| theirs == role))
        .filter(|other| other.names().directory() == names.directory())
        .filter_map(|other| other.names().version_of(role, other.name).map(plain_version).map(Into::into))
        .collect()
}

/// Remarks about the neighbours of a role's new container, for display.
pub(super) fn notes(names: &Names, labels: &Pairs, observed: &Observed) -> Vec<String> {
    let of = |neighbour: Neighbour<'_>| {
        let requests = proxy::shared_requests(labels, neighbour.name, neighbour.labels);
        [shared_directory(names, &neighbour), requests]
    };
    unique(neighbours(observed, names).flat_map(of).flatten())
}

fn shared_directory(names: &Names, neighbour: &Neighbour) -> Option<String> {
    let theirs = neighbour.names();
    // Accessories have no role label and keep nothing in the directory.
    let shared = neighbour.labels.contains_key("role") && theirs.directory() == names.directory();
    shared.then(|| {
        let destination =
            theirs.destination().map(|name| format!(" with destination `{name}`")).unwrap_or_default();
        format!(
            "the service `{}`{destination} has the same directory {} and the same deploy lock here; rename one of them",
            theirs.service(),
            names.directory(),
        )
    })
}
