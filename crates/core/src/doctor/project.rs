//! Findings about a project's files.

use std::net::Ipv4Addr;

use bowline_config::{Config, Generation};

use super::{Finding, Topic};
use crate::proxy::ProxyKind;

/// What the user hasn't decided: example addresses from `bowline init`, and a proxy that no key selects.
pub fn untouched(config: &Config) -> Vec<Finding> {
    let behind_traefik = ProxyKind::of_all(config.roles.iter()).contains(&ProxyKind::Traefik);
    let unchosen = config.generation == Generation::One && config.decided_by.is_none() && behind_traefik;
    let proxy = unchosen.then(|| {
        Finding::warning(
            Topic::Configuration,
            "no key says whether this is for Kamal 1 or Kamal 2, so Traefik serves the app",
            "add `proxy: {}` for kamal-proxy or Bowline's own, or `traefik: {}` to keep Traefik",
        )
    });
    proxy.into_iter().chain(config.all_hosts().into_iter().filter_map(example)).collect()
}

/// A finding if the host is in one of the address ranges for documentation (RFC 5737).
fn example(host: &str) -> Option<Finding> {
    let name = host.rsplit_once('@').map_or(host, |(_, name)| name);
    let [a, b, c, _] = name.parse::<Ipv4Addr>().ok()?.octets();
    [[192, 0, 2], [198, 51, 100], [203, 0, 113]].contains(&[a, b, c]).then(|| {
        let text = format!("{host} is an example address");
        Finding::problem(Topic::Configuration, text, "replace it with your server's address")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bowline_config::SourceFile;

    /// The findings for a project with these lines, as text.
    fn said(servers: &str, more: &str) -> Vec<String> {
        let yaml = format!("service: app\nimage: app\nservers: [{servers}]\n{more}");
        let config = bowline_config::load(SourceFile::new("config/deploy.yml", &yaml), None).unwrap().config;
        untouched(&config).into_iter().map(|one| format!("{} {}", one.level.name(), one.text)).collect()
    }

    const PROXY: &str = "proxy: {}\nbuilder: {arch: amd64}\n";

    #[test]
    fn addresses_of_examples_are_problems_and_those_of_servers_are_not() {
        assert_eq!(
            said("192.0.2.1, deploy@203.0.113.9, 198.51.100.255", PROXY),
            [
                "problem 192.0.2.1 is an example address",
                "problem deploy@203.0.113.9 is an example address",
                "problem 198.51.100.255 is an example address",
            ]
        );
        assert_eq!(said("192.0.3.1, 203.0.112.9, shop.example.com, '::1'", PROXY), [""; 0]);
    }

    #[test]
    fn a_proxy_that_no_key_chose_is_a_warning() {
        let warning = "warning no key says whether this is for Kamal 1 or Kamal 2, so Traefik serves the app";
        assert_eq!(said("a", ""), [warning]);
        assert_eq!(said("a", "traefik: {}\n"), [""; 0]);
        assert_eq!(said("a", PROXY), [""; 0]);
    }
}
