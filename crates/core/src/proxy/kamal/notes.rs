//! Remarks about a server's kamal-proxy to show before a deploy, and checks for what the proxy would reject during one.

use bowline_config::{Accessory, Config, Proxy, display_route};

use super::version::{is_older, of_own};
use super::{Listed, NAME, Service};
use crate::error::Refusal;
use crate::names::Names;
use crate::observed::Observed;
use crate::proxy::Site;

/// The version of Bowline's own proxy that comes with this Bowline.
const OWN: &str = env!("CARGO_PKG_VERSION");

/// The roles behind the proxy on a server: name, service, configuration.
fn roles<'c>(config: &'c Config, names: &Names, host: &str) -> Vec<(&'c str, String, &'c Proxy)> {
    let here = config.roles.iter().filter(|role| role.hosts.iter().any(|at| at.host == host));
    here.filter_map(|role| Some((role.name.as_str(), names.prefix(&role.name), role.kamal_proxy()?)))
        .collect()
}

/// The accessories behind the proxy on a server: name, service, configuration.
fn accessories<'c>(config: &'c Config, host: &str) -> Vec<(&'c str, String, &'c Proxy)> {
    let here = config.accessories.iter().filter(|accessory| accessory.hosts.iter().any(|at| at == host));
    here.filter_map(|accessory| {
        Some((accessory.name.as_str(), accessory.service.clone(), accessory.proxy.as_ref()?))
    })
    .collect()
}

/// A route that a service wants and another app's service has. The proxy would reject it in the middle of a deploy.
struct Conflict<'a> {
    own: String,
    other: &'a Service,
    route: (String, String),
}

impl Conflict<'_> {
    fn message(&self, host: &str) -> String {
        let Self { own, other, route } = self;
        format!(
            "{own} can't use {} on {host}: kamal-proxy already routes it to {}",
            display_route(route),
            other.name
        )
    }

    fn refusal(&self, host: &str) -> Refusal {
        let other = &self.other.name;
        Refusal {
            message: self.message(host),
            hint: format!(
                "give one of them another `host:` or `path_prefix:`; if {other} is no longer needed, \
                 `docker exec {NAME} {NAME} remove {other}` there frees it"
            ),
        }
    }
}

/// The first conflict between one of these services and those of the server's proxy.
fn conflict<'a>(
    wanted: Vec<(&str, String, &Proxy)>,
    observed: &'a Observed,
    ours: &[String],
) -> Option<Conflict<'a>> {
    let Listed(services) = observed.services.as_ref()?;
    for other in services.iter().filter(|service| !ours.contains(&service.name)) {
        for (_, own, proxy) in &wanted {
            if let Some(route) = proxy.routes().into_iter().find(|route| has(other, route)) {
                return Some(Conflict { own: own.clone(), other, route });
            }
        }
    }
    None
}

fn ours(config: &Config, names: &Names, host: &str) -> Vec<String> {
    let all = roles(config, names, host).into_iter().chain(accessories(config, host));
    all.map(|(_, service, _)| service).collect()
}

/// Rejects a route of a role that another app's service already has.
pub(super) fn check(site: &Site<'_>) -> Result<(), Refusal> {
    let Site { config, scope, host, .. } = *site;
    let ours = ours(config, &scope.names, host);
    let found = conflict(roles(config, &scope.names, host), site.observed, &ours);
    found.map_or(Ok(()), |found| Err(found.refusal(host)))
}

pub(crate) fn check_accessory(
    config: &Config,
    names: &Names,
    accessory: &Accessory,
    host: &str,
    observed: &Observed,
) -> Result<(), Refusal> {
    let ours = ours(config, names, host);
    let wanted = accessories(config, host).into_iter().filter(|(name, ..)| *name == accessory.name).collect();
    conflict(wanted, observed, &ours).map_or(Ok(()), |found| Err(found.refusal(host)))
}

fn has(service: &Service, (host, path): &(String, String)) -> bool {
    service.hosts.iter().any(|theirs| theirs.eq_ignore_ascii_case(host))
        && service.paths.iter().any(|theirs| theirs == path)
}

pub(super) fn notes(site: &Site<'_>) -> Vec<String> {
    let paused = site.observed.services.iter().flat_map(|listed| {
        let wanted = roles(site.config, &site.scope.names, site.host);
        wanted.into_iter().filter_map(|(role, service, _)| paused(role, listed.service(&service)?))
    });
    let ours = ours(site.config, &site.scope.names, site.host);
    // Only a remark, because a deploy doesn't boot accessories.
    let refused = accessories(site.config, site.host).into_iter().filter_map(|accessory| {
        let found = conflict(vec![accessory], site.observed, &ours)?;
        Some(format!("the accessory {}", found.message(site.host)))
    });
    older(site.host, site.observed).into_iter().chain(paused).chain(refused).collect()
}

fn paused(role: &str, service: &Service) -> Option<String> {
    match service.state.as_str() {
        "stopped" => {
            Some(format!("{role} is in maintenance here: a deploy leaves it so until `bowline app live`"))
        }
        "paused" => Some(format!("{role} is paused here: its requests wait until `bowline app live`")),
        _ => None,
    }
}

fn older(host: &str, observed: &Observed) -> Option<String> {
    let proxy = observed.proxy(NAME).filter(|proxy| proxy.status == "running")?;
    let upgraded = observed.upgraded.as_ref().filter(|(id, _)| *id == proxy.id);
    let runs = of_own(&proxy.image)?;
    let runs = upgraded.map_or(runs, |(_, version)| version);
    is_older(runs, OWN).then(|| {
        format!("{NAME} on {host} is bowline-proxy {runs}; `bowline proxy upgrade` upgrades it to {OWN} without downtime")
    })
}
