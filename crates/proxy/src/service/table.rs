//! The routes to all services at one moment, as requests see them.

use std::sync::Arc;

use super::{ByName, Service};
use crate::router::Routes;
use crate::state::{self, State};

#[derive(Debug, Default)]
pub struct Table {
    pub(crate) services: ByName,
    pub(crate) routes: Routes<Binding>,
}

/// The service that a route leads to, with the route's TLS settings.
#[derive(Debug, Clone)]
pub struct Binding {
    pub service: Arc<Service>,
    pub tls: bool,
    /// Whether plain HTTP is redirected, with TLS.
    pub redirect: bool,
}

impl Table {
    /// All services, sorted by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// Finds the route of a request. Also returns the matched prefix, and where the rest of the path starts.
    pub fn find(&self, host: &str, path: &str) -> Option<(&Binding, &Arc<str>, usize)> {
        let (route, rest) = self.routes.find(host, path)?;
        Some((&route.to, &route.prefix, rest))
    }

    pub(crate) fn rebuild(&mut self) {
        let mut routes = Routes::default();
        // Services that serve `/` first, because the others inherit their TLS settings.
        let (roots, others): (Vec<_>, Vec<_>) = self.services.values().partition(|s| s.options.serves_root());
        for service in roots.into_iter().chain(others) {
            let (tls, redirect) = tls_settings(service, &routes);
            for host in &service.options.hosts {
                for prefix in &service.options.path_prefixes {
                    routes.add(host, prefix, Binding { service: Arc::clone(service), tls, redirect });
                }
            }
        }
        self.routes = routes;
    }

    /// The content of the state file.
    pub(crate) fn to_file(&self) -> State {
        self.services.values().map(|service| service_to_file(service)).collect()
    }
}

fn tls_settings(service: &Service, routes: &Routes<Binding>) -> (bool, bool) {
    let own = &service.options;
    if own.serves_root() {
        return (own.tls_enabled, own.tls_redirect);
    }
    let host = own.hosts.first().map_or("", String::as_str);
    routes.registered(host, "/").map_or((false, true), |root| (root.tls, root.redirect))
}

pub(super) fn service_to_file(service: &Service) -> state::Service {
    let writers = |set: &super::TargetSet| set.balancer.writer_names();
    let readers = |set: &super::TargetSet| set.balancer.reader_names();
    let rollout = service.rollout.as_deref();
    state::Service {
        name: service.name.to_string(),
        options: service.options.as_ref().clone(),
        target_options: service.target_options.as_ref().clone(),
        active_targets: writers(&service.active),
        active_readers: readers(&service.active),
        rollout_targets: rollout.map(writers).unwrap_or_default(),
        rollout_readers: rollout.map(readers).unwrap_or_default(),
        pause_controller: service.gate.state().to_file(),
        rollout_controller: service.split.as_ref().map(|split| split.to_file()),
    }
}
