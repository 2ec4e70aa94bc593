//! The labels that configure how Traefik routes to a container.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::NETWORK;
use crate::observed::Container;
use crate::proxy::Attach;
use bowline_config::{OptionValue, Pairs};

/// The label that makes Traefik read or ignore a container.
const ENABLE: &str = "traefik.enable";
pub(crate) const HIDDEN: &str = "traefik.enable=false";
/// The label with the network on which Traefik reaches a container.
const ON: &str = "traefik.docker.network";

/// The label that hides a container from Traefik, which otherwise sends it the requests for `Host: NAME`. Empty if the
/// container has labels for Traefik, either its own or among the flags of `docker run`.
pub fn hidden(labels: &Pairs, options: &[(String, OptionValue)]) -> Pairs {
    let flags = options.iter().filter(|(key, _)| key == "label").flat_map(|(_, value)| value.values());
    let mut all = labels.iter().map(|(key, _)| key).chain(flags);
    if all.any(|label| addresses_traefik(label)) {
        return Vec::new();
    }
    vec![(ENABLE.into(), "false".into())]
}

fn addresses_traefik(label: &str) -> bool {
    label.to_ascii_lowercase().starts_with("traefik.")
}

/// The label with the suffix that was added to the names of a container's routers, services and middlewares.
pub(super) const SUFFIX: &str = "bowline.suffix";

/// What a router accepts. Traefik has separate namespaces for the protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Protocol {
    #[default]
    Http,
    Tcp,
    Udp,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Router {
    pub protocol: Protocol,
    pub name: String,
    /// The service that the router names.
    pub service: Option<String>,
}

/// How requests reach a container, according to its labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    pub container: String,
    pub routers: Vec<Router>,
    pub services: Vec<(Protocol, String)>,
    /// The suffix that was added to the names in the configuration.
    pub suffix: String,
    /// The network on which Traefik reaches the container.
    pub network: String,
    pub hidden: bool,
}

impl Route {
    /// Reads the route in a container's labels. Ignores names with variables, which only the server can expand.
    pub fn new<'l>(container: &str, labels: impl IntoIterator<Item = (&'l String, &'l String)>) -> Self {
        let mut route = Self { container: container.into(), network: NETWORK.into(), ..Self::default() };
        for (key, value) in labels {
            if key.eq_ignore_ascii_case(ENABLE) && value == "false" {
                route.hidden = true;
            }
            if key.eq_ignore_ascii_case(ON) && is_network(value) {
                route.network.clone_from(value);
            }
            if key == SUFFIX {
                route.suffix.clone_from(value);
            }
            let Some((kind, name)) = element(key).filter(|(_, name)| !name.contains('$')) else { continue };
            let (protocol, field) = (protocol(kind), &key[kind.len() + name.len() + 1..]);
            if is_kind(kind, "routers") {
                let is_known = |known: &Router| known.protocol == protocol && known.name == name;
                let at = route.routers.iter().position(is_known).unwrap_or_else(|| {
                    route.routers.push(Router { protocol, name: name.into(), service: None });
                    route.routers.len() - 1
                });
                if field.eq_ignore_ascii_case(".service") {
                    route.routers[at].service = Some(value.clone());
                }
            } else if is_kind(kind, "services") {
                let service = (protocol, name.to_owned());
                if !route.services.contains(&service) {
                    route.services.push(service);
                }
            }
        }
        route
    }

    pub fn protocols(&self) -> BTreeSet<Protocol> {
        self.routers.iter().map(|router| router.protocol).collect()
    }

    /// Removes the suffix from a name, so that it is as in the configuration.
    pub fn written<'n>(&self, name: &'n str) -> &'n str {
        name.strip_suffix(self.suffix.as_str()).unwrap_or(name)
    }
}

/// Removes the suffix from a name in labels, so that it is as in the configuration.
pub fn written<'n>(labels: &Pairs, name: &'n str) -> &'n str {
    let suffix = labels.iter().find(|(key, _)| key == SUFFIX);
    suffix.and_then(|(_, suffix)| name.strip_suffix(suffix.as_str())).unwrap_or(name)
}

/// The labels that route requests to a role's containers. Router, service and middleware get `name`.
pub fn route_labels(name: &str) -> Pairs {
    [
        (ENABLE.to_string(), "true".to_string()),
        (ON.to_string(), NETWORK.to_string()),
        (format!("traefik.http.services.{name}.loadbalancer.server.scheme"), "http".to_string()),
        (format!("traefik.http.routers.{name}.rule"), "PathPrefix(`/`)".to_string()),
        (format!("traefik.http.routers.{name}.priority"), "2".to_string()),
        (format!("traefik.http.middlewares.{name}-retry.retry.attempts"), "5".to_string()),
        (format!("traefik.http.middlewares.{name}-retry.retry.initialinterval"), "500ms".to_string()),
        (format!("traefik.http.routers.{name}.middlewares"), format!("{name}-retry@docker")),
    ]
    .into()
}

/// Adds a suffix to the name of every router, service and middleware in these labels, and to references between them,
/// to avoid a [`conflict`]. The label `bowline.suffix` lets messages use the names in the configuration.
pub fn rename(labels: &Pairs, suffix: &str) -> Pairs {
    let named: Vec<&str> = labels.iter().filter_map(|(key, _)| element(key).map(|(_, name)| name)).collect();
    let reference = |word: &str| {
        let (name, provider) = word.split_once('@').map_or((word, ""), |(name, _)| (name, "@docker"));
        if named.contains(&name) { format!("{name}{suffix}{provider}") } else { word.to_string() }
    };
    let (before, labels): (Pairs, Pairs) = labels.iter().cloned().partition(|(key, _)| key == SUFFIX);
    let suffixes = before.into_iter().map(|(_, before)| before).chain([suffix.to_owned()]);
    let label = (SUFFIX.to_owned(), suffixes.collect::<String>());
    labels
        .iter()
        .map(|(key, value)| {
            let Some((kind, name)) = element(key) else { return (key.clone(), value.clone()) };
            let rest = &key[kind.len() + name.len() + 1..];
            let value = if rest == ".middlewares" || rest == ".service" {
                value.split(',').map(|word| reference(word.trim())).collect::<Vec<_>>().join(",")
            } else {
                value.clone()
            };
            (format!("{kind}.{name}{suffix}{rest}"), value)
        })
        .chain([label])
        .collect()
}

const KINDS: [&str; 8] = [
    "traefik.http.routers",
    "traefik.http.services",
    "traefik.http.middlewares",
    "traefik.tcp.routers",
    "traefik.tcp.services",
    "traefik.tcp.middlewares",
    "traefik.udp.routers",
    "traefik.udp.services",
];

/// The kind (`traefik.http.routers`) and the name of the element that a label configures.
fn element(key: &str) -> Option<(&str, &str)> {
    let kind = KINDS.into_iter().find(|kind| {
        key.len() > kind.len()
            && key.as_bytes()[kind.len()] == b'.'
            && key[..kind.len()].eq_ignore_ascii_case(kind)
    })?;
    let name = key[kind.len() + 1..].split('.').next()?;
    Some((&key[..kind.len()], name))
}

/// Protocol, name and field, if a label configures a router.
pub(super) fn router(key: &str) -> Option<(Protocol, &str, &str)> {
    let (kind, name) = element(key)?;
    let field = key[kind.len() + name.len() + 1..].strip_prefix('.')?;
    is_kind(kind, "routers").then(|| (protocol(kind), name, field))
}

fn is_network(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn protocol(kind: &str) -> Protocol {
    match kind.split('.').nth(1).map(str::to_ascii_lowercase).as_deref() {
        Some("tcp") => Protocol::Tcp,
        Some("udp") => Protocol::Udp,
        _ => Protocol::Http,
    }
}

fn is_kind(kind: &str, wanted: &str) -> bool {
    kind.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(wanted))
}

/// How requests get to a container, if its labels define a router.
pub(crate) fn by_labels<'l>(
    container: &str,
    labels: impl IntoIterator<Item = (&'l String, &'l String)>,
) -> Attach {
    let route = Route::new(container, labels);
    if route.hidden || route.routers.is_empty() { Attach::None } else { Attach::Traefik(route) }
}

/// The network on which Traefik reaches a container with these labels.
pub(crate) fn network<'l>(labels: impl IntoIterator<Item = (&'l String, &'l String)>) -> String {
    Route::new("", labels).network
}

/// Renames elements in a new container's labels that a running one defines differently. Traefik would drop both.
pub(crate) fn unlike(labels: Pairs, running: &[&Container]) -> Pairs {
    let agrees = |labels: &Pairs| running.iter().all(|old| conflict(labels, &old.labels).is_none());
    if agrees(&labels) {
        return labels;
    }
    // One letter for each running container would do: only killed runs leave more than one.
    let renamed = ('b'..='z').map(|letter| rename(&labels, &format!("-{letter}")));
    renamed.into_iter().find(agrees).unwrap_or(labels)
}

/// The kind and name of the first element that the running container's labels configure differently. Traefik drops such
/// an element of both, and nothing responds while the old and the new container overlap.
pub fn conflict<'n>(new: &'n Pairs, running: &BTreeMap<String, String>) -> Option<(&'n str, &'n str)> {
    let of = |found: (&str, &str)| -> (BTreeMap<&str, &str>, BTreeMap<&str, &str>) {
        let pairs = new.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let theirs = running.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let about = |(key, _): &(&str, &str)| element(key) == Some(found);
        (pairs.filter(about).collect(), theirs.filter(about).collect())
    };
    new.iter().filter_map(|(key, _)| element(key)).find(|found| {
        let (ours, theirs) = of(*found);
        !theirs.is_empty() && ours != theirs
    })
}

/// The HTTP routers that labels configure: name, rule and priority.
pub fn routes(labels: &Pairs) -> Vec<(String, (String, String))> {
    let value = |wanted: &str| labels.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
    let rules = labels.iter().filter_map(|(key, rule)| {
        let (kind, name) = element(key)?;
        let is_rule = protocol(kind) == Protocol::Http
            && is_kind(kind, "routers")
            && key[kind.len() + name.len() + 1..].eq_ignore_ascii_case(".rule");
        let priority = value(&format!("{kind}.{name}.priority")).map_or("", |(_, priority)| priority);
        is_rule.then(|| (name.to_string(), (rule.clone(), priority.to_string())))
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_conflict_only_where_they_share_a_name() {
        let labels = route_labels("app-web");
        let running: BTreeMap<String, String> = labels.iter().cloned().collect();
        assert_eq!(conflict(&labels, &running), None);
        let mut changed = labels.clone();
        changed[3].1 = "Host(`a.example`)".into();
        assert_eq!(conflict(&changed, &running), Some(("traefik.http.routers", "app-web")));
        assert_eq!(conflict(&rename(&changed, "-b"), &running), None);
        let mut added = labels.clone();
        added.push(("traefik.http.routers.app-web.tls".into(), "true".into()));
        assert!(conflict(&added, &running).is_some());
    }

    #[test]
    fn renamed_labels_still_refer_to_each_other() {
        let mut labels = route_labels("app-web");
        labels.push(("other".into(), "app-web".into()));
        let renamed = rename(&labels, "-b");
        assert_eq!(renamed[2].0, "traefik.http.services.app-web-b.loadbalancer.server.scheme");
        assert_eq!(
            renamed[7],
            ("traefik.http.routers.app-web-b.middlewares".into(), "app-web-retry-b@docker".into())
        );
        assert_eq!(renamed[8], ("other".into(), "app-web".into()));
    }

    #[test]
    fn a_name_is_found_beside_many_that_are_taken() {
        let mut running = Vec::new();
        for number in 0..6 {
            let mut labels = route_labels("app-web");
            labels[3].1 = format!("Host(`{number}.example`)");
            let labels = unlike(labels, &running.iter().collect::<Vec<_>>());
            let conflicting =
                running.iter().find(|old: &&Container| conflict(&labels, &old.labels).is_some());
            assert_eq!(conflicting, None, "{labels:?}");
            running.push(Container { labels: labels.into_iter().collect(), ..Container::default() });
        }
    }

    fn pairs(labels: &[(&str, &str)]) -> Pairs {
        labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn what_traefik_is_not_to_see_is_hidden_unless_its_own_labels_address_traefik() {
        let off = pairs(&[("traefik.enable", "false")]);
        assert_eq!(hidden(&pairs(&[("team", "a")]), &[]), off);
        assert_eq!(hidden(&pairs(&[("Traefik.http.routers.x.rule", "Host(`x`)")]), &[]), []);
        let flags = [("label".into(), OptionValue::List(vec!["a=b".into(), "traefik.enable=true".into()]))];
        assert_eq!(hidden(&Vec::new(), &flags), []);
        assert_eq!(hidden(&Vec::new(), &[("memory".into(), OptionValue::Value("1g".into()))]), off);
    }

    #[test]
    fn a_route_has_the_routers_the_services_and_the_network_of_the_labels() {
        let mut labels = route_labels("app-web");
        labels.extend(pairs(&[
            ("traefik.http.routers.www.rule", "Host(`www`)"),
            ("traefik.http.routers.www.Service", "noop@internal"),
            ("traefik.http.routers.${NAME}.rule", "Host(`www`)"),
        ]));
        let route = Route::new("app-web-v1", labels.iter().map(|(key, value)| (key, value)));
        let router = |name: &str, service: Option<&str>| Router {
            name: name.into(),
            service: service.map(Into::into),
            ..Router::default()
        };
        assert_eq!(route.routers, [router("app-web", None), router("www", Some("noop@internal"))]);
        assert_eq!(
            (route.services.as_slice(), route.network.as_str()),
            (&[(Protocol::Http, "app-web".to_string())][..], "kamal")
        );
        let labels = bowline_config::merge_pairs(&labels, &pairs(&[("traefik.docker.network", "edge")]));
        assert_eq!(Route::new("a", labels.iter().map(|(key, value)| (key, value))).network, "edge");
    }

    #[test]
    fn routers_of_connections_are_told_from_those_of_requests() {
        let labels = pairs(&[
            ("traefik.tcp.routers.db.rule", "HostSNI(`*`)"),
            ("traefik.tcp.routers.db.service", "db"),
            ("traefik.tcp.services.db.loadbalancer.server.port", "5432"),
            ("Traefik.UDP.routers.db.entrypoints", "dns"),
        ]);
        let route = Route::new("app-db", labels.iter().map(|(key, value)| (key, value)));
        let router = |protocol, service: Option<&str>| Router {
            protocol,
            name: "db".into(),
            service: service.map(Into::into),
        };
        assert_eq!(route.routers, [router(Protocol::Tcp, Some("db")), router(Protocol::Udp, None)]);
        assert_eq!(route.services, [(Protocol::Tcp, "db".to_string())]);
        assert_eq!(routes(&labels), [], "no rule for requests");
        let renamed = rename(&labels, "-b");
        assert_eq!(renamed[1], ("traefik.tcp.routers.db-b.service".into(), "db-b".into()));
        let route = Route::new("app-db", renamed.iter().map(|(key, value)| (key, value)));
        assert_eq!((route.written("db-b"), route.written("other")), ("db", "other"));
        assert_eq!(written(&renamed, "db-b"), "db");
        let running = labels.iter().cloned().collect();
        let mut changed = labels.clone();
        changed[0].1 = "HostSNI(`db.test`)".into();
        assert_eq!(conflict(&changed, &running), Some(("traefik.tcp.routers", "db")));
    }
}
