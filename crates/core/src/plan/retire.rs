//! The end of a container that serves, and the way back to it.

use std::net::SocketAddr;

use super::{ProxyApi, Retire};
use crate::commands::{Scope, app, cord, traefik};
use crate::config::{Config, Role};
use crate::names::NETWORK;
use crate::observed::{Container, Observed};

/// How a container that serves is retired.
pub fn retirement(config: &Config, scope: &Scope, role: &Role, container: &Container) -> Retire {
    let healthy = container.health.as_deref() == Some("healthy");
    let cord = container.cord().map(Into::into);
    let cut = cord.clone().filter(|_| healthy).map(|directory| cord::Cut {
        scope: scope.clone(),
        name: container.name.clone(),
        id: container.id.clone(),
        directory,
        timeout: container.unhealthy_within(),
    });
    Retire {
        version: container.version(&scope.names, &role.name).into(),
        address: container.address().filter(|_| role.traefik),
        cut,
        stop: app::Stop {
            scope: scope.clone(),
            role: role.name.clone(),
            name: container.name.clone(),
            id: container.id.clone(),
            drain: role.traefik.then_some(config.drain_timeout.as_secs()),
            stop_wait: stop_wait(role),
            cord,
        },
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

/// `docker stop -t`.
pub(super) fn stop_wait(role: &Role) -> Option<u64> {
    role.stop_timeout.map(|timeout| timeout.as_secs())
}
