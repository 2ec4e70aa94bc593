//! The end of a container that serves, and the way back to it.

use crate::proxy::ProxyKind;
use std::net::SocketAddr;

use super::{ProxyApi, Retire};
use crate::commands::app::{self, IfHealthy};
use crate::commands::{Scope, cord, policy, traefik};
use crate::names::NETWORK;
use crate::observed::{Container, Observed};
use bowline_config::{Config, Role};

/// How a container that serves is retired. Whether requests go to it is looked up when it is: by then it may be healthy,
/// whatever it was when it was observed.
pub fn retirement(config: &Config, scope: &Scope, role: &Role, container: &Container) -> Retire {
    let cord = container.cord().map(Into::into);
    let cut = cord.clone().map(|directory| cord::Cut {
        scope: scope.clone(),
        name: container.name.clone(),
        id: container.id.clone(),
        directory,
        timeout: container.unhealthy_within(),
        instead: None,
    });
    Retire {
        version: container.version(&scope.names, &role.name).into(),
        stop: app::Stop {
            scope: scope.clone(),
            role: role.name.clone(),
            name: container.name.clone(),
            id: container.id.clone(),
            drain: (ProxyKind::of(role) == ProxyKind::Traefik).then_some(config.drain_timeout.as_secs()),
            stop_wait: stop_wait(role).or(container.stop_timeout()),
            cord,
            if_healthy: if cut.is_some() { IfHealthy::Leave } else { IfHealthy::Stop },
            instead: None,
        },
        cut,
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
        route: traefik::Route::new(&container.name, &container.labels),
        cord: container.cord().map(Into::into),
        assets: container.asset_volume().map(|mount| mount.source.clone()),
        restart: policy::configured(&role.options),
        timeout: config.deploy_timeout.as_secs(),
        readiness_delay: config.readiness_delay.as_secs(),
    }
}

/// How a Traefik that runs on the app's network can be asked; `None` if none does.
pub fn running_api(observed: &Observed) -> Option<ProxyApi> {
    let traefik = observed.traefik.as_ref().filter(|traefik| traefik.status == "running")?;
    let address = traefik.networks.get(NETWORK)?.ip_address.parse().ok()?;
    let at = ProxyApi::At(SocketAddr::new(address, traefik::API_PORT));
    Some(if traefik::has_api(&traefik.args) { at } else { ProxyApi::Silent })
}

/// `docker stop -t` for a container made as configured: by its own `options` if by nothing else.
pub(super) fn stop_wait(role: &Role) -> Option<u64> {
    let own = || policy::value(&role.options, "stop-timeout")?.parse().ok().map(app::stop_limit);
    role.stop_timeout.map(|timeout| timeout.as_secs()).or_else(own)
}
