//! Checks across the proxies of several roles and accessories.

use std::collections::BTreeMap;

use super::super::decode::{Field, Report};
use super::super::given::given;
use super::super::proxy::{Proxy, Run, Tls, display_route};
use super::super::{Accessory, Role};

/// The name and the servers of a role or an accessory behind kamal-proxy.
type Service<'c> = (&'c str, &'c Proxy, Vec<&'c str>);

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
            if let Some(other) = secured.insert(host.to_lowercase(), &role.name)
                && other != role.name
            {
                let message = format!("Different roles can't share the same host for SSL: {}", given(host));
                let error = servers.below(&role.name).error(&message);
                report.push(error.label(format!("{} has it too", given(other))));
            }
        }
    }
    let of_roles = roles.iter().filter_map(|role| {
        let hosts = role.hosts.iter().map(|at| at.host.as_str()).collect();
        Some((role.name.as_str(), role.kamal_proxy()?, hosts))
    });
    let of_accessories = accessories.iter().filter_map(|accessory| {
        let hosts = accessory.hosts.iter().map(String::as_str).collect();
        Some((accessory.name.as_str(), accessory.proxy.as_ref()?, hosts))
    });
    let services: Vec<Service> = of_roles.chain(of_accessories).collect();
    check_runs(&services, servers, report);
    check_routes(&services, servers, report);
}

/// Reports a route that two services share: a server's kamal-proxy sends each host and path to one service.
fn check_routes(services: &[Service], servers: &Field, report: &mut Report) {
    let mut taken: BTreeMap<(&str, (String, String)), &str> = BTreeMap::new();
    let mut reported: Vec<(&str, &str)> = Vec::new();
    for &(name, proxy, ref hosts) in services {
        for (host, route) in hosts.iter().flat_map(|host| proxy.routes().into_iter().map(move |r| (*host, r)))
        {
            let other = *taken.entry((host, route.clone())).or_insert(name);
            if other == name || reported.contains(&(other, name)) {
                continue;
            }
            reported.push((other, name));
            let message = format!(
                "{} and {} both serve {} on {}, and kamal-proxy can't tell them apart",
                given(other),
                given(name),
                given(&display_route(&route)),
                given(host)
            );
            let help = "give one of them a `proxy:` with another `host` or `path_prefix`, or `proxy: false`";
            let place = servers.below(name);
            report.push(place.error(&message).help(help));
        }
    }
}

/// Reports settings of `proxy/run` that differ on a server, because a server has one kamal-proxy.
fn check_runs(services: &[Service], servers: &Field, report: &mut Report) {
    let mut runs: BTreeMap<&str, (&str, &Run)> = BTreeMap::new();
    let mut reported: Vec<&str> = Vec::new();
    for &(name, proxy, ref hosts) in services {
        let Some(run) = &proxy.run else { continue };
        for host in hosts {
            let (first, known) = *runs.entry(host).or_insert((name, run));
            if known != run && !reported.contains(host) {
                reported.push(host);
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
}
