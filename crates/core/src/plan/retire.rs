//! How a serving container is retired, and how a rollback brings it back.

use super::Retire;
use crate::commands::app::{self, IfHealthy};
use crate::commands::{Scope, policy};
use crate::observed::Container;
use crate::proxy::{self, OfRole, ProxyKind};
use bowline_config::{Config, Role};

/// How a container that serves is retired. Whether requests go to it is looked up when it is: by then it may be healthy,
/// whatever it was when it was observed.
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
        },
        detach,
        again: Some(restart(config, scope, role, container)),
    }
}

/// How a container is started again that was stopped.
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
        restart: policy::configured(&role.options),
        ready: ProxyKind::of(role).rules().ready(),
        timeout: config.deploy_timeout.as_secs(),
        readiness_delay: config.readiness_delay.as_secs(),
    }
}

/// `docker stop -t` for a container made as configured: by its own `options` if by nothing else.
pub(super) fn stop_wait(role: &Role) -> Option<u64> {
    let own = || policy::value(&role.options, "stop-timeout")?.parse().ok().map(app::stop_limit);
    role.stop_timeout.map(|timeout| timeout.as_secs()).or_else(own)
}
