//! Notes about a server's kamal-proxy that a user should read before a deploy, and what the proxy would reject in the middle of
//! one.

use bowline_config::{Config, Proxy, route_of};

use super::version::{is_older, of_own};
use super::{Listed, NAME, Service};
use crate::names::Names;
use crate::observed::Observed;
use crate::proxy::{Refusal, Site};

/// The version of Bowline's own proxy that comes with this Bowline.
const OWN: &str = env!("CARGO_PKG_VERSION");

/// The roles behind it on a server, each with its service.
fn roles<'c>(config: &'c Config, names: &Names, host: &str) -> Vec<(&'c str, String, &'c Proxy)> {
    let here = config.roles.iter().filter(|role| role.hosts.iter().any(|at| at.host == host));
    here.filter_map(|role| Some((role.name.as_str(), names.prefix(&role.name), role.kamal_proxy()?)))
        .collect()
}

/// Refuses a route that the service of another app has: the proxy would, once the new container runs.
pub(super) fn check(site: &Site<'_>) -> Result<(), Refusal> {
    let Some(Listed(services)) = &site.observed.services else { return Ok(()) };
    let wanted = roles(site.config, &site.scope.names, site.host);
    let others = services.iter().filter(|service| wanted.iter().all(|(_, own, _)| *own != service.name));
    for other in others {
        for (_, own, proxy) in &wanted {
            if let Some(route) = proxy.routes().into_iter().find(|route| has(other, route)) {
                let (host, other) = (site.host, &other.name);
                return Err(Refusal {
                    message: format!(
                        "{own} can't have {} on {host}: kamal-proxy sends it to {other}",
                        route_of(&route)
                    ),
                    hint: format!(
                        "give one of them another `host:` or `path_prefix:`; if {other} is no longer needed, \
                         `docker exec {NAME} {NAME} remove {other}` there frees it"
                    ),
                });
            }
        }
    }
    Ok(())
}

fn has(service: &Service, (host, path): &(String, String)) -> bool {
    service.hosts.iter().any(|theirs| theirs.eq_ignore_ascii_case(host))
        && service.paths.iter().any(|theirs| theirs == path)
}

/// What a person should know.
pub(super) fn notes(site: &Site<'_>) -> Vec<String> {
    let paused = site.observed.services.iter().flat_map(|listed| {
        let wanted = roles(site.config, &site.scope.names, site.host);
        wanted.into_iter().filter_map(|(role, service, _)| paused(role, listed.service(&service)?))
    });
    older(site.host, site.observed).into_iter().chain(paused).collect()
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
        format!("{NAME} on {host} is bowline-proxy {runs}; `bowline proxy upgrade` brings it to {OWN} without a gap")
    })
}
