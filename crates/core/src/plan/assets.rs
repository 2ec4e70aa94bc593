//! Which assets a run prepares and which it removes at the end, according to the existing containers.

use super::{RolePlan, neighbours};
use crate::commands::Scope;
use crate::commands::assets::{Clean, Prepare, Running, Volume};
use crate::names::Names;
use crate::observed::{Container, Observed};
use bowline_config::{Config, Role};

/// The preparation for a role on a server, if the role has an asset path. If nothing runs (the app was stopped), the
/// assets come from the container that served last.
pub(super) fn prepare(scope: &Scope, role: &RolePlan, observed: &Observed, latest: &str) -> Option<Prepare> {
    let path = role.boot.assets.clone()?;
    let names = &scope.names;
    let mut containers: Vec<&Container> =
        observed.of_role(names, &role.role).filter(|container| container.is_running()).collect();
    let neighbours = neighbours::versions(names, &role.role, observed);
    let in_use = containers
        .iter()
        .map(|old| old.version(names, &role.role))
        .chain(neighbours.iter().map(String::as_str))
        .any(|version| version == role.boot.version);
    if containers.is_empty() {
        let id = observed.images.get(latest);
        containers.extend(observed.of_role(names, &role.role).find(|old| Some(&old.image_id) == id));
    }
    let mut running: Vec<Running> = Vec::new();
    for container in &containers {
        let found = seen(container);
        let same =
            |other: &Running| other.volume == found.volume && (found.volume.is_some() || *other == found);
        if !running.iter().any(same) {
            running.push(found);
        }
    }
    Some(Prepare {
        scope: scope.clone(),
        role: role.role.clone(),
        image: role.boot.image.clone(),
        version: role.boot.version.clone(),
        path,
        running,
        in_use,
    })
}

fn seen(container: &Container) -> Running {
    let volume = container
        .asset_volume()
        .map(|mount| Volume { directory: mount.source.clone(), at: mount.destination.clone() });
    Running { image: container.image_id.clone(), volume }
}

/// Which assets to remove when a role serves `version`: all except those of this version, of the version that served
/// before, and of other apps with the same directory. Also applies to a role that no longer has an asset path.
pub(super) fn clean(config: &Config, role: &Role, version: &str, observed: &Observed) -> Clean {
    let names = &Names::of(config);
    let current = observed.current(names, &role.name, &config.latest_image());
    let before = current
        .map(|container| container.version(names, &role.name))
        .into_iter()
        .chain(observed.served.iter().rev().map(String::as_str))
        .find(|served| *served != version);
    let mut keep: Vec<String> = std::iter::once(version).chain(before).map(Into::into).collect();
    keep.extend(neighbours::versions(names, &role.name, observed));
    let prefix = format!("{}-", role.name);
    Clean {
        role: role.name.clone(),
        siblings: config
            .roles
            .iter()
            .filter(|other| other.name.starts_with(&prefix))
            .map(|other| other.name.clone())
            .collect(),
        elsewhere: elsewhere(names, &role.name, &keep, observed),
        helper: observed
            .containers
            .iter()
            .any(|container| container.name == names.asset_container(&role.name)),
        keep,
    }
}

/// Asset volumes of stopped containers that Kamal 1 booted. Kamal 1 kept them in another place.
fn elsewhere(names: &Names, role: &str, keep: &[String], observed: &Observed) -> Vec<String> {
    let ours = format!("/{}/", names.assets_volumes());
    let theirs = format!("/assets/volumes/{}-", names.prefix(role));
    let used = |directory: &String| {
        observed.of_role(names, role).any(|container| {
            let kept = keep.iter().any(|version| container.version(names, role) == version);
            (kept || container.is_running())
                && container.asset_volume().is_some_and(|mount| mount.source == *directory)
        })
    };
    let mut volumes: Vec<String> = observed
        .of_role(names, role)
        .filter_map(|container| container.asset_volume())
        .map(|mount| mount.source.clone())
        .filter(|directory| directory.contains(&theirs) && !directory.contains(&ours) && !used(directory))
        .collect();
    volumes.sort();
    volumes.dedup();
    volumes
}
