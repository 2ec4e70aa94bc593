//! Retires a serving container, and restarts it for a rollback.

use super::Retire;
use crate::commands::app::{self, IfHealthy};
use crate::commands::{Scope, policy};
use crate::names::Names;
use crate::observed::{Container, Observed};
use crate::proxy::{self, Detach, OfRole, ProxyKind, cord, kamal};
use bowline_config::{Config, Role};

/// How to retire a serving container. The script checks its health, which may have changed since it was observed.
pub fn retirement(config: &Config, scope: &Scope, role: &Role, container: &Container) -> Retire {
    let waits = ProxyKind::of(role).rules().leaves_open_requests();
    let detach = OfRole { config, scope, role }.detach(container);
    Retire {
        version: container.version(&scope.names, &role.name).into(),
        stop: app::Stop {
            scope: scope.clone(),
            role: role.name.clone(),
            name: container.name.clone(),
            id: container.id.clone(),
            drain: waits.then_some(config.drain_timeout.as_secs()),
            stop_wait: stop_wait(role).or(container.stop_timeout()),
            cord: container.cord().map(Into::into),
            if_healthy: if detach.is_some() { IfHealthy::Leave } else { IfHealthy::Stop },
            instead: None,
            undoes: None,
        },
        detach,
        again: Some(restart(config, scope, role, container)),
    }
}

/// The containers of roles that the configuration no longer has on a server, each with its role.
pub fn orphans<'o>(
    config: &Config,
    names: &Names,
    host: &str,
    observed: &'o Observed,
) -> Vec<(&'o str, &'o Container)> {
    let here = |name: &str| {
        let mut roles = config.roles.iter().filter(|role| role.name == name);
        roles.any(|role| role.hosts.iter().any(|at| at.host == host))
    };
    let of = |container: &'o Container| {
        let role = container.labels.get("role").map(String::as_str).filter(|role| !here(role))?;
        let is_ours = observed.of_role(names, role).any(|ours| ours.id == container.id);
        is_ours.then_some((role, container))
    };
    observed.containers.iter().filter_map(of).collect()
}

/// How to retire one of these containers: by its cord if it has one, otherwise by unregistering it from kamal-proxy.
pub fn orphan(config: &Config, scope: &Scope, role: &str, container: &Container) -> Retire {
    let cut = cord::Cut::of(scope, container);
    let drain = config.drain_timeout.as_secs();
    let unregister = || kamal::service::Unregister {
        scope: scope.clone(),
        service: scope.names.prefix(role),
        id: Some(container.id.clone()),
        drain,
    };
    Retire {
        version: container.version(&scope.names, role).into(),
        stop: app::Stop {
            scope: scope.clone(),
            role: role.into(),
            name: container.name.clone(),
            id: container.id.clone(),
            drain: cut.is_some().then_some(drain),
            stop_wait: container.stop_timeout(),
            cord: container.cord().map(Into::into),
            if_healthy: if cut.is_some() { IfHealthy::Leave } else { IfHealthy::Stop },
            instead: None,
            undoes: None,
        },
        detach: match cut {
            None => Detach::Kamal(Box::new(unregister())),
            cut => Detach::by(cut),
        },
        again: None,
    }
}

pub fn restart(config: &Config, scope: &Scope, role: &Role, container: &Container) -> app::Start {
    app::Start {
        scope: scope.clone(),
        role: role.name.clone(),
        version: container.version(&scope.names, &role.name).into(),
        name: container.name.clone(),
        id: container.id.clone(),
        attach: OfRole { config, scope, role }.attach(&container.name, &container.labels),
        network: proxy::network(&container.labels),
        cord: container.cord().map(Into::into),
        assets: container.asset_volume().map(|mount| mount.source.clone()),
        restart: if container.is_running() {
            container.policy_before_stop().cloned()
        } else {
            policy::configured(&role.options)
        },
        ready: ProxyKind::of(role).rules().ready(),
        timeout: config.deploy_timeout.as_secs(),
        readiness_delay: config.readiness_delay.as_secs(),
    }
}

/// Seconds for `docker stop -t`, for a container created as configured: from `stop_timeout`, or from its `options`.
pub(super) fn stop_wait(role: &Role) -> Option<u64> {
    let own = || policy::value(&role.options, "stop-timeout")?.parse().ok().map(app::stop_limit);
    role.stop_timeout.map(|timeout| timeout.as_secs()).or_else(own)
}
