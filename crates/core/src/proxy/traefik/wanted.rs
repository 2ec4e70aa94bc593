//! The certificates that Traefik requests for routers with a certificate resolver, whether the router itself names it or an
//! entry point in Traefik's arguments.

use std::collections::BTreeMap;

use super::labels::{Protocol, Route, router};
use crate::observed::Container;

/// The certificates that a router requests through a resolver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// The router's name in the configuration.
    pub router: String,
    pub resolver: String,
    /// The names to cover: those in `tls.domains` of the router or the entry point, otherwise those in the rule.
    pub names: Vec<String>,
}

/// The parts of a router that determine its certificates.
#[derive(Default)]
struct Asks<'l> {
    /// Whether the router has TLS options of its own. Those of entry points then don't apply.
    has_tls: bool,
    resolver: Option<&'l str>,
    rule: &'l str,
    domains: Vec<String>,
    /// Empty for the default ones.
    entry_points: Vec<&'l str>,
}

/// An entry point in Traefik's arguments.
#[derive(Default)]
struct EntryPoint {
    is_default: bool,
    resolver: Option<String>,
    domains: Vec<String>,
}

/// The certificates that the routers in a container's labels request from a Traefik with these arguments.
pub(crate) fn wanted(labels: &BTreeMap<String, String>, arguments: &[String]) -> Vec<Wanted> {
    let route = Route::new("", labels);
    if route.hidden {
        return Vec::new();
    }
    let mut routers: BTreeMap<(Protocol, &str), Asks<'_>> = BTreeMap::new();
    for (key, value) in labels {
        let Some((protocol, name, field)) = router(key) else { continue };
        let asks = routers.entry((protocol, name)).or_default();
        let field = field.to_ascii_lowercase();
        asks.has_tls |= field == "tls" || field.starts_with("tls.");
        match field.as_str() {
            "rule" => asks.rule = value,
            "tls.certresolver" => asks.resolver = Some(value),
            "entrypoints" => asks.entry_points = listed(value).collect(),
            field if field.starts_with("tls.domains[") => {
                asks.domains.extend(listed(value).map(Into::into));
            }
            _ => {}
        }
    }
    let entry_points = entry_points(arguments);
    let mut all = Vec::new();
    for ((protocol, name), mut asks) in routers {
        let entry_point = (protocol == Protocol::Http && !asks.has_tls)
            .then(|| entry_points.iter().find(|(name, point)| point.serves(name, &asks, &entry_points)));
        let point = entry_point.flatten().map(|(_, point)| point);
        let Some(resolver) = asks.resolver.or(point.and_then(|point| point.resolver.as_deref())) else {
            continue;
        };
        asks.domains.extend(point.iter().flat_map(|point| point.domains.iter().cloned()));
        let names = if asks.domains.is_empty() { hosts(asks.rule) } else { asks.domains };
        all.push(Wanted { router: route.written(name).into(), resolver: resolver.into(), names });
    }
    all
}

fn listed(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty())
}

impl EntryPoint {
    /// Whether a router that asks for this uses this entry point's resolver.
    fn serves(&self, name: &str, asks: &Asks<'_>, all: &BTreeMap<String, EntryPoint>) -> bool {
        let is_asked = match asks.entry_points.as_slice() {
            // Without a default, all are.
            [] => self.is_default || !all.values().any(|point| point.is_default),
            names => names.iter().any(|asked| asked.eq_ignore_ascii_case(name)),
        };
        self.resolver.is_some() && is_asked
    }
}

/// The entry points in Traefik's arguments, by their names in lower case.
fn entry_points(arguments: &[String]) -> BTreeMap<String, EntryPoint> {
    let mut points: BTreeMap<String, EntryPoint> = BTreeMap::new();
    for argument in arguments {
        let (key, value) = argument.split_once('=').unwrap_or((argument, "true"));
        let key = key.trim_start_matches('-').to_ascii_lowercase();
        let Some((name, field)) = key.strip_prefix("entrypoints.").and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        let point = points.entry(name.to_owned()).or_default();
        match field {
            "asdefault" => point.is_default = value == "true",
            "http.tls.certresolver" => point.resolver = Some(value.to_owned()),
            field if field.starts_with("http.tls.domains[") => {
                point.domains.extend(listed(value).map(Into::into));
            }
            _ => {}
        }
    }
    points
}

/// The file with which this Traefik is configured instead of by its arguments, which it then ignores.
pub(crate) fn own_file(traefik: &Container) -> Option<&str> {
    let given = traefik.args.iter().find_map(|argument| {
        let (key, value) = argument.split_once('=')?;
        key.trim_start_matches('-').eq_ignore_ascii_case("configfile").then_some(value)
    });
    let mounted = || {
        let at = traefik.mounts.iter().map(|mount| mount.destination.as_str());
        let mut files = at.filter(|at| {
            let extension = at.strip_prefix("/etc/traefik/traefik.");
            extension.is_some_and(|extension| ["yml", "yaml", "toml"].contains(&extension))
        });
        files.next()
    };
    given.or_else(mounted)
}

/// The names in `Host(…)` and `HostSNI(…)` of a rule.
fn hosts(rule: &str) -> Vec<String> {
    let lower = rule.to_ascii_lowercase();
    let mut found: Vec<String> = Vec::new();
    for matcher in ["host(", "hostsni("] {
        for (at, _) in lower.match_indices(matcher) {
            // Traefik requests no certificates for excluded names.
            if lower[..at].ends_with(|c: char| c.is_alphanumeric() || c == '!') {
                continue;
            }
            let inside = lower[at + matcher.len()..].split(')').next().unwrap_or_default();
            let names = inside.split(',').map(|name| name.trim().trim_matches(['`', '"', '\'']));
            for name in names.filter(|name| !name.is_empty() && *name != "*") {
                if !found.iter().any(|known| known == name) {
                    found.push(name.into());
                }
            }
        }
    }
    found
}

/// Whether a certificate for `names` is valid for `wanted`. `*` matches one label.
pub(crate) fn covers(names: &[String], wanted: &str) -> bool {
    let covers = |name: &String| {
        name.eq_ignore_ascii_case(wanted)
            || name.strip_prefix("*.").is_some_and(|parent| {
                wanted.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
            })
    };
    names.iter().any(covers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[(&str, &str)]) -> Vec<(String, String, String)> {
        of_traefik(labels, &[])
    }

    fn of_traefik(labels: &[(&str, &str)], arguments: &[&str]) -> Vec<(String, String, String)> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let all = wanted(&labels, &arguments).into_iter();
        all.map(|one| (one.router, one.resolver, one.names.join(" "))).collect()
    }

    fn asks(router: &str, resolver: &str, names: &str) -> (String, String, String) {
        (router.into(), resolver.into(), names.into())
    }

    #[test]
    fn routers_with_a_resolver_ask_for_the_names_of_their_rule_or_their_domains() {
        let rule = "Host(`Shop.test`) && PathPrefix(`/`) || Host(`a.test`, `b.test`) && !Host(`c.test`) || HostRegexp(`d.+`)";
        assert_eq!(
            of(&[
                ("traefik.http.routers.shop-b.rule", rule),
                ("traefik.http.routers.shop-b.tls.certResolver", "le"),
                ("traefik.http.routers.plain.rule", "Host(`plain.test`)"),
                ("bowline.suffix", "-b"),
            ]),
            [asks("shop", "le", "shop.test a.test b.test")]
        );
        assert_eq!(
            of(&[
                ("Traefik.tcp.routers.db.rule", "HostSNI(`*`)"),
                ("Traefik.tcp.routers.db.tls.certresolver", "le"),
                ("Traefik.tcp.routers.db.tls.domains[0].main", "db.test"),
                ("Traefik.tcp.routers.db.tls.domains[0].sans", "*.db.test, x.test"),
            ]),
            [asks("db", "le", "db.test *.db.test x.test")]
        );
        let every = [
            ("traefik.http.routers.a.rule", "PathPrefix(`/`)"),
            ("traefik.http.routers.a.tls.certresolver", "le"),
        ];
        assert_eq!(of(&every), [asks("a", "le", "")]);
        assert_eq!(of(&[&every[..], &[("traefik.enable", "false")]].concat()), []);
    }

    #[test]
    fn a_router_without_tls_of_its_own_asks_the_resolver_of_its_entry_point() {
        let resolver = "--entryPoints.websecure.http.tls.certResolver=le";
        let router = |more: &[(&'static str, &'static str)]| {
            [&[("traefik.http.routers.a.rule", "Host(`a.test`)")], more].concat()
        };
        let at = |names| router(&[("traefik.http.routers.a.entrypoints", names)]);
        let asked = [asks("a", "le", "a.test")];
        assert_eq!(of_traefik(&at("web, webSecure"), &[resolver]), asked);
        assert_eq!(of_traefik(&at("web"), &[resolver]), []);
        let domains = "--entrypoints.websecure.http.tls.domains[0].main=*.test";
        assert_eq!(of_traefik(&at("websecure"), &[resolver, domains]), [asks("a", "le", "*.test")]);
        // Without entry points, a router uses the default ones, or all.
        assert_eq!(of_traefik(&router(&[]), &[resolver]), asked);
        assert_eq!(of_traefik(&router(&[]), &[resolver, "--entrypoints.web.asdefault"]), []);
        assert_eq!(of_traefik(&router(&[]), &[resolver, "--entrypoints.websecure.asDefault=true"]), asked);
        let own = |key| router(&[(key, "true")]);
        assert_eq!(of_traefik(&own("traefik.http.routers.a.tls"), &[resolver]), []);
        let tcp = [("traefik.tcp.routers.a.rule", "HostSNI(`a.test`)")];
        assert_eq!(of_traefik(&tcp, &[resolver]), []);
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        let names = ["a.test".to_owned(), "*.b.test".to_owned()];
        for (name, covered) in [
            ("a.test", true),
            ("A.test", true),
            ("x.a.test", false),
            ("x.b.test", true),
            ("*.b.test", true),
            ("b.test", false),
            ("x.y.b.test", false),
        ] {
            assert_eq!(covers(&names, name), covered, "{name}");
        }
    }
}
