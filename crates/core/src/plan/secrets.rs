//! Which secrets a run needs, and whether their values fit.

use crate::error::PlanError;
use crate::proxy::ProxyKind;
use crate::request::DeployKind;
use crate::secrets::{Secrets, environment};
use crate::selection::Selection;
use bowline_config::{Config, Role, RoleHost};

/// The names of all secrets that a run on these servers needs: for the registry, the proxies and the containers.
pub fn secrets_needed(config: &Config, selection: &Selection<'_>, kind: DeployKind) -> Vec<String> {
    let mut names = env_secrets(config, places(selection));
    if matches!(kind, DeployKind::Deploy | DeployKind::Redeploy) {
        names.extend(registry_secrets(config));
    }
    for kind in kinds(selection) {
        names.extend(kind.rules().secrets(config));
    }
    names.sort();
    names.dedup();
    names
}

/// The secrets in the env of the app's containers on these servers.
pub fn env_secrets<'a>(
    config: &Config,
    places: impl IntoIterator<Item = (&'a Role, &'a RoleHost)>,
) -> Vec<String> {
    let mut names = Vec::new();
    for (role, host) in places {
        names.extend(config.env_for(role, host).secret().map(|(_, key)| key.to_owned()));
    }
    names.sort();
    names.dedup();
    names
}

pub fn registry_secrets(config: &Config) -> Vec<String> {
    config.registry.secrets().map(str::to_owned).collect()
}

pub(super) fn places<'a>(selection: &Selection<'a>) -> impl Iterator<Item = (&'a Role, &'a RoleHost)> {
    selection.roles.iter().flat_map(|(role, hosts)| hosts.iter().map(|host| (*role, *host)))
}

fn kinds(selection: &Selection<'_>) -> Vec<ProxyKind> {
    ProxyKind::of_all(selection.roles.iter().map(|(role, _)| *role))
}

/// Checks that the proxies and the containers on these servers can receive their secrets.
pub fn check_secrets(config: &Config, secrets: &Secrets, selection: &Selection<'_>) -> Result<(), PlanError> {
    for kind in kinds(selection) {
        kind.rules().check_secrets(config, secrets)?;
    }
    for (role, host) in places(selection) {
        environment(config, secrets, role, host)?;
    }
    Ok(())
}
