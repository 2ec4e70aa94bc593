//! DNS: checks that the host names of the proxies resolve to their servers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bowline_config::{Proxy, Tls};
use bowline_core::doctor::{Finding, Topic};
use futures_util::future::join_all;

use crate::call::Call;
use crate::world::World;

/// A host name, and the servers that it should resolve to.
struct Name<'p> {
    name: &'p str,
    hosts: Vec<&'p str>,
    /// Whether the proxy needs to obtain a certificate for it, which requires that it resolves.
    certified: bool,
}

pub(super) async fn findings(call: Call<'_>) -> Vec<Finding> {
    let config = call.config();
    // Without the user and the port.
    let name_of = |host| config.ssh.target(host).host;
    let roles = config.roles.iter().filter_map(|role| {
        let hosts: Vec<&str> = role.hosts.iter().map(|at| name_of(&at.host)).collect();
        Some((role.kamal_proxy()?, hosts))
    });
    let accessories = config.accessories.iter().filter_map(|accessory| {
        Some((accessory.proxy.as_ref()?, accessory.hosts.iter().map(|host| name_of(host)).collect()))
    });
    let mut names: Vec<Name<'_>> = Vec::new();
    for (proxy, hosts) in roles.chain(accessories) {
        for name in plain(proxy) {
            match names.iter_mut().find(|known| known.name == name) {
                Some(known) => known.hosts.extend(&hosts),
                None => {
                    names.push(Name { name, hosts: hosts.clone(), certified: proxy.tls == Tls::Automatic })
                }
            }
        }
    }
    join_all(names.iter().map(|name| one(call.world, name))).await
}

/// The names in a proxy's hosts: no wildcards or addresses.
fn plain(proxy: &Proxy) -> impl Iterator<Item = &str> {
    proxy
        .hosts
        .iter()
        .map(String::as_str)
        .filter(|host| !host.contains('*') && host.parse::<IpAddr>().is_err())
}

async fn one(world: &World, name: &Name<'_>) -> Finding {
    let Name { name, hosts, certified } = name;
    let hint = format!("create a DNS record that points to {}", hosts.join(", "));
    let found = match world.network.resolve(name).await {
        Ok(found) => found,
        Err(_) if *certified => {
            let text = format!("{name} does not resolve, so it gets no certificate");
            return Finding::problem(Topic::Dns, text, hint);
        }
        Err(_) => return Finding::warning(Topic::Dns, format!("{name} does not resolve"), hint),
    };
    let addresses = join_all(hosts.iter().map(|host| addresses(world, host))).await;
    let ours: BTreeSet<IpAddr> = addresses.into_iter().flatten().collect();
    let said: Vec<String> = found.iter().map(IpAddr::to_string).collect();
    let text = format!("{name} is {}", said.join(", "));
    if ours.is_empty() || found.iter().any(|address| ours.contains(address)) {
        return Finding::ok(Topic::Dns, text);
    }
    Finding::warning(
        Topic::Dns,
        format!("{text}, which is not one of its servers"),
        format!("this is expected behind a load balancer or a CDN; otherwise {hint}"),
    )
}

async fn addresses(world: &World, host: &str) -> Vec<IpAddr> {
    match host.parse() {
        Ok(address) => vec![address],
        Err(_) => world.network.resolve(host).await.unwrap_or_default(),
    }
}
