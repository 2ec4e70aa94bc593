//! The certificates that Traefik requests for routers with a certificate resolver.

use std::collections::BTreeMap;

use super::labels::{Protocol, Route, router};

/// The certificates that a router requests through a resolver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// The router's name in the configuration.
    pub router: String,
    pub resolver: String,
    /// The names to cover: those in `tls.domains`, otherwise those in the rule.
    pub names: Vec<String>,
}

/// The parts of a router that determine its certificates.
#[derive(Default)]
struct Asks<'l> {
    resolver: Option<&'l str>,
    rule: &'l str,
    domains: Vec<String>,
}

/// The certificates that the routers in a container's labels request.
pub(crate) fn wanted(labels: &BTreeMap<String, String>) -> Vec<Wanted> {
    let route = Route::new("", labels);
    if route.hidden {
        return Vec::new();
    }
    let mut routers: BTreeMap<(Protocol, &str), Asks<'_>> = BTreeMap::new();
    for (key, value) in labels {
        let Some((protocol, name, field)) = router(key) else { continue };
        let asks = routers.entry((protocol, name)).or_default();
        match field.to_ascii_lowercase().as_str() {
            "rule" => asks.rule = value,
            "tls.certresolver" => asks.resolver = Some(value),
            field if field.starts_with("tls.domains[") => {
                asks.domains
                    .extend(value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Into::into));
            }
            _ => {}
        }
    }
    let of = |((_, name), asks): ((Protocol, &str), Asks<'_>)| {
        let names = if asks.domains.is_empty() { hosts(asks.rule) } else { asks.domains };
        Some(Wanted { router: route.written(name).into(), resolver: asks.resolver?.into(), names })
    };
    routers.into_iter().filter_map(of).collect()
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
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let all = wanted(&labels).into_iter();
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
