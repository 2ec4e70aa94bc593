//! Checks across the proxies of several roles and accessories.

use std::collections::BTreeMap;

use super::super::decode::{Field, Report};
use super::super::given::given;
use super::super::proxy::{Run, Tls, route_of};
use super::super::{Accessory, Role};

pub(super) fn check(roles: &[Role], accessories: &[Accessory], servers: &Field, report: &mut Report) {
    let mut secured: BTreeMap<String, &str> = BTreeMap::new();
    for role in roles {
        let Some(proxy) = role.kamal_proxy().filter(|proxy| proxy.tls != Tls::Off) else { continue };
        if proxy.tls == Tls::Automatic && role.hosts.len() > 1 {
            let message = format!(
                "SSL is only supported on a single server unless you provide custom certificates, found {} servers for role {}",
                role.hosts.len(),
                given(&role.name)
            );
            report.push(servers.below(&role.name).error(&message));
        }
        for host in &proxy.hosts {
            match secured.insert(host.to_lowercase(), &role.name) {
                Some(other) if other != role.name => {
                    let message =
                        format!("Different roles can't share the same host for SSL: {}", given(host));
                    report.push(
                        servers
                            .below(&role.name)
                            .error(&message)
                            .label(format!("{} has it too", given(other))),
                    );
                }
                _ => {}
            }
        }
    }
    check_runs(roles, accessories, servers, report);
    check_routes(roles, accessories, servers, report);
}

/// Reports a route that two services share: a server's kamal-proxy sends each host and path to one service.
fn check_routes(roles: &[Role], accessories: &[Accessory], servers: &Field, report: &mut Report) {
    let of_roles = roles.iter().flat_map(|role| {
        let hosts = role.hosts.iter().map(|at| at.host.as_str()).collect::<Vec<_>>();
        role.kamal_proxy().map(|proxy| (role.name.as_str(), proxy, hosts))
    });
    let of_accessories = accessories.iter().flat_map(|accessory| {
        let hosts = accessory.hosts.iter().map(String::as_str).collect::<Vec<_>>();
        accessory.proxy.as_ref().map(|proxy| (accessory.name.as_str(), proxy, hosts))
    });
    let mut taken: BTreeMap<(&str, (String, String)), &str> = BTreeMap::new();
    let mut told: Vec<(&str, &str)> = Vec::new();
    for (name, proxy, hosts) in of_roles.chain(of_accessories) {
        for (host, route) in hosts.iter().flat_map(|host| proxy.routes().into_iter().map(move |r| (*host, r)))
        {
            let other = *taken.entry((host, route.clone())).or_insert(name);
            if other == name || told.contains(&(other, name)) {
                continue;
            }
            told.push((other, name));
            let message = format!(
                "{} and {} both answer for {} on {}, and kamal-proxy can't tell them apart",
                given(other),
                given(name),
                given(&route_of(&route)),
                given(host)
            );
            let help = "give one of them a `proxy:` with another `host` or `path_prefix`, or `proxy: false`";
            let place = servers.below(name);
            report.push(place.error(&message).help(help));
        }
    }
}

/// Reports settings of `proxy/run` that differ on a server, because a server has one kamal-proxy.
fn check_runs(roles: &[Role], accessories: &[Accessory], servers: &Field, report: &mut Report) {
    let of_roles = roles.iter().flat_map(|role| {
        let run = role.kamal_proxy().and_then(|proxy| proxy.run.as_ref());
        role.hosts.iter().map(move |host| (host.host.as_str(), role.name.as_str(), run))
    });
    let of_accessories = accessories.iter().flat_map(|accessory| {
        let run = accessory.proxy.as_ref().and_then(|proxy| proxy.run.as_ref());
        accessory.hosts.iter().map(move |host| (host.as_str(), accessory.name.as_str(), run))
    });
    let mut runs: BTreeMap<&str, (&str, &Run)> = BTreeMap::new();
    let mut told: Vec<&str> = Vec::new();
    for (host, name, run) in of_roles.chain(of_accessories) {
        let Some(run) = run else { continue };
        let (first, known) = *runs.entry(host).or_insert((name, run));
        if known != run && !told.contains(&host) {
            told.push(host);
            let message = format!("Conflicting proxy run configurations for host {}", given(host));
            let help = format!(
                "`proxy/run` of {} and of {} differ, and the host has one proxy",
                given(first),
                given(name)
            );
            report.push(servers.error(&message).help(help));
        }
    }
}
