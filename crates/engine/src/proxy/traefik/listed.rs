//! What Traefik's API lists, and whether that proves that requests reach a container.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bowline_core::proxy::traefik::labels::{Protocol, Route};
use serde::Deserialize;

/// The relevant fields of a router, which have these names in Traefik 2 and 3.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Router {
    pub(super) name: String,
    status: String,
    error: Vec<String>,
    service: String,
    tls: Option<Tls>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tls {
    cert_resolver: String,
}

/// The relevant fields of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Service {
    name: String,
    status: String,
    used_by: Vec<String>,
    load_balancer: LoadBalancer,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    servers: Vec<Listed>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Listed {
    /// For HTTP.
    url: String,
    /// For TCP and UDP.
    address: String,
}

impl Listed {
    fn address(&self) -> Option<IpAddr> {
        let place = if self.url.is_empty() { &self.address } else { &self.url };
        let authority = place.split_once("://").map_or(place.as_str(), |(_, rest)| rest);
        let authority = authority.split('/').next()?;
        authority.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| authority.parse()).ok()
    }
}

impl Service {
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.load_balancer.servers.iter().filter_map(Listed::address)
    }
}

impl Router {
    /// Whether requests that match its rule go to its service. A router with warnings serves on those of its entry
    /// points that exist.
    pub(super) fn is_used(&self) -> bool {
        matches!(self.status.as_str(), "enabled" | "warning")
    }

    pub(super) fn is_refused(&self) -> bool {
        self.status == "disabled"
    }

    pub(super) fn errors(&self) -> String {
        self.error.join("; ")
    }
}

/// Traefik's name for a router or service from a container's labels.
pub(super) fn by_docker(name: &str) -> String {
    if name.contains('@') { name.into() } else { format!("{name}@docker") }
}

/// The addresses of the servers of all services that a router uses.
pub(super) fn routed(services: &[Service]) -> Vec<IpAddr> {
    let used = services.iter().filter(|service| service.status == "enabled" && !service.used_by.is_empty());
    used.flat_map(Service::addresses).collect()
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) routers: Vec<Router>,
    pub(super) services: Vec<Service>,
}

/// The lists of the protocols that were asked for.
pub(super) type Listings = BTreeMap<Protocol, Listing>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) warnings: Vec<String>,
    /// Routers, each with the certificate resolver that it names. The API doesn't say whether that exists.
    pub(super) resolvers: Vec<(String, String)>,
}

/// The reason why requests don't reach a container (yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// Traefik doesn't have this router.
    Router(String),
    /// Traefik rejects the router, with this error.
    Refused { router: String, error: String },
    /// The router leads to other addresses.
    Elsewhere { router: String, to: Vec<IpAddr> },
}

/// Judges whether each router from a container's labels is in use and leads to one of the container's addresses. A
/// router that names a service from elsewhere may lead there, but one router has to reach the container.
pub(super) fn judge(route: &Route, addresses: &[IpAddr], listings: &Listings) -> Result<Proof, Missing> {
    let mut proof = Proof::default();
    let mut reached = false;
    for own in &route.routers {
        let name = &own.name;
        let (listed, nothing) = (by_docker(name), Listing::default());
        let Listing { routers, services } = listings.get(&own.protocol).unwrap_or(&nothing);
        let found = routers.iter().find(|router| router.name.eq_ignore_ascii_case(&listed));
        let Some(router) = found else { return Err(Missing::Router(name.clone())) };
        if router.is_refused() {
            return Err(Missing::Refused { router: name.clone(), error: router.errors() });
        }
        if !router.is_used() {
            return Err(Missing::Router(name.clone()));
        }
        if !router.error.is_empty() {
            proof.warnings.push(format!("{}: {}", route.written(name), router.errors()));
        }
        if let Some(tls) = router.tls.as_ref().filter(|tls| !tls.cert_resolver.is_empty()) {
            proof.resolvers.push((name.clone(), tls.cert_resolver.clone()));
        }
        let leads_to = by_docker(&router.service);
        let is_own = own.service.as_ref().is_none_or(|named| {
            let services = route.services.iter().filter(|(protocol, _)| *protocol == own.protocol);
            services
                .map(|(_, service)| by_docker(service))
                .any(|service| service.eq_ignore_ascii_case(&by_docker(named)))
        });
        let service = services.iter().find(|service| service.name == leads_to && service.status == "enabled");
        let to: Vec<IpAddr> = service.into_iter().flat_map(Service::addresses).collect();
        let reaches = to.iter().any(|address| addresses.contains(address));
        if is_own && !reaches {
            return Err(Missing::Elsewhere { router: name.clone(), to });
        }
        reached |= reaches;
    }
    match route.routers.first() {
        Some(_) if reached => Ok(proof),
        Some(router) => Err(Missing::Elsewhere { router: router.name.clone(), to: Vec::new() }),
        None => Err(Missing::Router(route.container.clone())),
    }
}

#[cfg(test)]
mod tests {
    use bowline_core::proxy::traefik::labels as traefik;

    use super::*;

    /// Answers of Traefik 3.7.
    const ROUTERS: &str = r#"[
        {"entryPoints":["http"],"service":"good","rule":"PathPrefix(`/`)","priority":2,"status":"enabled","using":["http"],"name":"good@docker","provider":"docker"},
        {"entryPoints":["websecure","http"],"service":"some","error":["entryPoint \"websecure\" doesn't exist"],"status":"warning","using":["http"],"name":"some@docker","provider":"docker"},
        {"entryPoints":["websecure"],"service":"none","error":["entryPoint \"websecure\" doesn't exist","no valid entryPoint for this router"],"status":"disabled","name":"none@docker","provider":"docker"},
        {"entryPoints":["http"],"service":"good","tls":{"options":"default","certResolver":"nosuch"},"status":"enabled","using":["http"],"name":"tls@docker","provider":"docker"},
        {"entryPoints":["http"],"service":"noop@internal","status":"enabled","using":["http"],"name":"www@docker","provider":"docker"}]"#;
    const SERVICES: &str = r#"[
        {"status":"enabled","usedBy":["good@docker"],"loadBalancer":{"servers":[{"url":"http://172.18.0.3:3000"},{"url":"http://172.18.0.4:3000"}]},"name":"good@docker"},
        {"status":"enabled","usedBy":["some@docker"],"loadBalancer":{"servers":[{"url":"http://172.18.0.5:3000"}]},"name":"some@docker"},
        {"status":"enabled","usedBy":["none@docker"],"loadBalancer":{"servers":[{"url":"http://172.18.0.6:3000"}]},"name":"none@docker"},
        {"status":"enabled","loadBalancer":{"servers":[{"url":"http://172.18.0.9:80"}]},"name":"idle@docker"},
        {"status":"enabled","usedBy":["ping@internal"],"name":"ping@internal"}]"#;

    fn route(protocol: Protocol, routers: &[(&str, Option<&str>)]) -> Route {
        let own = |(name, service): &(&str, Option<&str>)| traefik::Router {
            protocol,
            name: name.to_string(),
            service: service.map(Into::into),
        };
        let service = |name: &str| (protocol, name.to_owned());
        Route {
            container: "c".into(),
            routers: routers.iter().map(own).collect(),
            services: ["good", "some", "none"].map(service).into(),
            ..Route::default()
        }
    }

    fn listing(routers: &str, services: &str) -> Listing {
        Listing {
            routers: serde_json::from_str(routers).unwrap(),
            services: serde_json::from_str(services).unwrap(),
        }
    }

    fn judged(routers: &[(&str, Option<&str>)], address: &str) -> Result<Proof, Missing> {
        let listings = [(Protocol::Http, listing(ROUTERS, SERVICES))].into();
        judge(&route(Protocol::Http, routers), &[address.parse().unwrap()], &listings)
    }

    /// Answers of Traefik 3.7 for `tcp` and, with an entry point missing, for `udp`.
    const TCP: [&str; 2] = [
        r#"[{"entryPoints":["db"],"service":"good","rule":"HostSNI(`*`)","priority":-1,"status":"enabled","using":["db"],"name":"good@docker","provider":"docker"}]"#,
        r#"[{"loadBalancer":{"servers":[{"address":"172.18.0.3:5432"}]},"status":"enabled","usedBy":["good@docker"],"serverStatus":{"172.18.0.3:5432":"UP"},"name":"good@docker","provider":"docker","type":"loadbalancer"}]"#,
    ];
    const UDP: [&str; 2] = [
        r#"[{"entryPoints":["dns"],"service":"good","error":["entryPoint \"dns\" doesn't exist"],"status":"disabled","name":"good@docker","provider":"docker"}]"#,
        r#"[{"loadBalancer":{"servers":[{"address":"172.18.0.3:53"}]},"status":"enabled","name":"good@docker","provider":"docker","type":"loadbalancer"}]"#,
    ];

    #[test]
    fn each_protocol_is_judged_by_its_own_lists() {
        let listings: Listings = [
            (Protocol::Http, listing(ROUTERS, SERVICES)),
            (Protocol::Tcp, listing(TCP[0], TCP[1])),
            (Protocol::Udp, listing(UDP[0], UDP[1])),
        ]
        .into();
        let judged = |protocol, address: &str| {
            judge(&route(protocol, &[("good", Some("good"))]), &[address.parse().unwrap()], &listings)
        };
        assert_eq!(judged(Protocol::Tcp, "172.18.0.3"), Ok(Proof::default()));
        let to = vec!["172.18.0.3".parse().unwrap()];
        assert_eq!(
            judged(Protocol::Tcp, "172.18.0.4"),
            Err(Missing::Elsewhere { router: "good".into(), to }),
            "only requests go to that one"
        );
        let error = "entryPoint \"dns\" doesn't exist".into();
        assert_eq!(
            judged(Protocol::Udp, "172.18.0.3"),
            Err(Missing::Refused { router: "good".into(), error })
        );
    }

    #[test]
    fn only_servers_of_used_services_count() {
        let services: Vec<Service> = serde_json::from_str(SERVICES).unwrap();
        let servers: Vec<String> = routed(&services).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["172.18.0.3", "172.18.0.4", "172.18.0.5", "172.18.0.6"]);
    }

    #[test]
    fn a_container_is_reached_when_each_of_its_own_routers_leads_to_it() {
        assert_eq!(judged(&[("good", None)], "172.18.0.4"), Ok(Proof::default()));
        let elsewhere = |router: &str, to: &[&str]| {
            let to = to.iter().map(|address| address.parse().unwrap()).collect();
            Err(Missing::Elsewhere { router: router.into(), to })
        };
        let good = ["172.18.0.3", "172.18.0.4"];
        assert_eq!(judged(&[("good", None)], "172.19.0.4"), elsewhere("good", &good), "on another network");
        assert_eq!(
            judged(&[("good", None), ("gone", None)], "172.18.0.4"),
            Err(Missing::Router("gone".into()))
        );
        assert_eq!(
            judged(&[("good", None), ("some", None)], "172.18.0.4"),
            elsewhere("some", &["172.18.0.5"])
        );
        assert_eq!(judged(&[], "172.18.0.4"), Err(Missing::Router("c".into())));
    }

    #[test]
    fn a_router_that_traefik_refuses_says_why_and_one_that_warns_serves() {
        let error = "entryPoint \"websecure\" doesn't exist; no valid entryPoint for this router".into();
        assert_eq!(
            judged(&[("none", None)], "172.18.0.6"),
            Err(Missing::Refused { router: "none".into(), error })
        );
        let proof = judged(&[("some", None)], "172.18.0.5").unwrap();
        assert_eq!(proof.warnings, ["some: entryPoint \"websecure\" doesn't exist"]);
        let proof = judged(&[("tls", Some("good"))], "172.18.0.3").unwrap();
        assert_eq!(proof.resolvers, [("tls".to_string(), "nosuch".to_string())]);
    }

    #[test]
    fn a_router_may_lead_to_a_service_of_something_else() {
        let www = ("www", Some("noop@internal"));
        assert_eq!(judged(&[("good", None), www], "172.18.0.3"), Ok(Proof::default()));
        let alone = Missing::Elsewhere { router: "www".into(), to: Vec::new() };
        assert_eq!(judged(&[www], "172.18.0.3"), Err(alone), "but one has to reach the container");
    }
}
