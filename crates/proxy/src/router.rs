//! Finds the service for a request: by host, then by the longest path prefix.
//!
//! The host is looked up exactly, then as `*.rest`, then among services without hosts. The first of these that has
//! any route decides. If none of its prefixes matches, there is no route.

use std::collections::HashMap;
use std::sync::Arc;

/// Routes to values of `T`, built once per change and then only read.
#[derive(Debug)]
pub struct Routes<T> {
    exact: HashMap<Box<str>, Vec<Route<T>>>,
    wildcard: HashMap<Box<str>, Vec<Route<T>>>,
    any: Vec<Route<T>>,
}

/// A path prefix of one host.
#[derive(Debug, Clone)]
pub struct Route<T> {
    /// `/`, or `/` and the prefix without outer slashes.
    pub prefix: Arc<str>,
    pub to: T,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new(), any: Vec::new() }
    }
}

impl<T: Clone> Routes<T> {
    /// Adds a route. An empty `host` means any host.
    pub fn add(&mut self, host: &str, prefix: &str, to: T) {
        let route = Route { prefix: normal_prefix(prefix).into(), to };
        let routes = self.of_host(host);
        let at = routes.partition_point(|r| r.prefix.len() >= route.prefix.len());
        routes.insert(at, route);
    }

    fn of_host(&mut self, host: &str) -> &mut Vec<Route<T>> {
        let host = host.to_ascii_lowercase();
        match host.strip_prefix("*.") {
            _ if host.is_empty() || host == "*" => &mut self.any,
            Some(rest) => self.wildcard.entry(rest.into()).or_default(),
            None => self.exact.entry(host.into()).or_default(),
        }
    }

    /// The value registered for exactly this host (as configured) and prefix.
    pub fn registered(&self, host: &str, prefix: &str) -> Option<&T> {
        let host = host.to_ascii_lowercase();
        let routes = match host.strip_prefix("*.") {
            _ if host.is_empty() || host == "*" => Some(&self.any),
            Some(rest) => self.wildcard.get(rest),
            None => self.exact.get(&*host),
        };
        let prefix = normal_prefix(prefix);
        routes?.iter().find(|r| *r.prefix == *prefix).map(|r| &r.to)
    }

    /// Finds the route for `path`, as sent by the client. The second value is the index after the matched prefix.
    pub fn find(&self, host: &str, path: &str) -> Option<(&Route<T>, usize)> {
        let lower;
        let host = if host.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            lower.as_str()
        } else {
            host
        };
        self.for_host(host)?.iter().find_map(|route| Some((route, matched(&route.prefix, path)?)))
    }

    fn for_host(&self, host: &str) -> Option<&[Route<T>]> {
        if let Some(routes) = self.exact.get(host) {
            return Some(routes);
        }
        if !self.wildcard.is_empty()
            && let Some((_, rest)) = host.split_once('.')
            && let Some(routes) = self.wildcard.get(rest)
        {
            return Some(routes);
        }
        Some(&self.any)
    }
}

/// Normalizes a prefix: one slash at its start, none at its end.
pub fn normal_prefix(prefix: &str) -> String {
    format!("/{}", prefix.trim_matches('/'))
}

/// The host of an authority, without port and brackets.
pub fn without_port(authority: &str) -> &str {
    if let Some(end) = authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        return &authority[1..=end];
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// The index in `path` after `prefix`, if the path starts with the prefix on whole segments. Letters in the path may
/// be percent-encoded. An encoded slash is part of a segment, as it is for the target.
fn matched(prefix: &str, path: &str) -> Option<usize> {
    if prefix == "/" {
        return Some(0);
    }
    let mut at = 0;
    for wanted in prefix.bytes() {
        let (byte, length) = byte_at(path.as_bytes(), at)?;
        if byte != wanted || (byte == b'/' && length > 1) {
            return None;
        }
        at += length;
    }
    matches!(path.as_bytes().get(at), None | Some(b'/')).then_some(at)
}

/// The byte that starts at `at`, decoded if it is percent-encoded, and its length in the path.
fn byte_at(path: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = *path.get(at)?;
    let hex = |i: usize| path.get(i).and_then(|b| char::from(*b).to_digit(16));
    match (byte, hex(at + 1), hex(at + 2)) {
        (b'%', Some(high), Some(low)) => Some((u8::try_from(high * 16 + low).ok()?, 3)),
        _ => Some((byte, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(all: &[(&str, &str, &'static str)]) -> Routes<&'static str> {
        let mut routes = Routes::default();
        for (host, prefix, to) in all {
            routes.add(host, prefix, *to);
        }
        routes
    }

    fn to(routes: &Routes<&'static str>, host: &str, path: &str) -> Option<&'static str> {
        routes.find(host, path).map(|(route, _)| route.to)
    }

    #[test]
    fn the_longest_prefix_on_whole_segments_wins() {
        let r = routes(&[
            ("a.test", "/", "root"),
            ("a.test", "/api", "api"),
            ("a.test", "/api/special/", "special"),
        ]);
        assert_eq!(to(&r, "a.test", "/"), Some("root"));
        assert_eq!(to(&r, "a.test", "/apiary"), Some("root"));
        assert_eq!(to(&r, "a.test", "/api"), Some("api"));
        assert_eq!(to(&r, "a.test", "/api/x"), Some("api"));
        assert_eq!(to(&r, "a.test", "/api/special"), Some("special"));
        assert_eq!(to(&r, "a.test", "/api/special/x"), Some("special"));
        assert_eq!(to(&r, "b.test", "/"), None);
    }

    #[test]
    fn a_host_of_its_own_never_falls_back() {
        let r = routes(&[("", "/", "any"), ("", "/api", "any api"), ("a.test", "/app", "a")]);
        assert_eq!(to(&r, "a.test", "/api"), None);
        assert_eq!(to(&r, "a.test", "/app"), Some("a"));
        assert_eq!(to(&r, "b.test", "/api/x"), Some("any api"));
        assert_eq!(to(&r, "b.test", "/x"), Some("any"));
        assert_eq!(to(&r, "", "/x"), Some("any"));
    }

    #[test]
    fn a_wildcard_stands_for_one_label_and_yields_to_an_exact_host() {
        let r = routes(&[("*.a.test", "/", "wild"), ("x.a.test", "/", "exact")]);
        assert_eq!(to(&r, "b.a.test", "/"), Some("wild"));
        assert_eq!(to(&r, "x.a.test", "/"), Some("exact"));
        assert_eq!(to(&r, "b.c.a.test", "/"), None);
        assert_eq!(to(&r, "a.test", "/"), None);
    }

    #[test]
    fn hosts_are_compared_without_case() {
        let r = routes(&[("App.Test", "/", "app")]);
        assert_eq!(to(&r, "aPP.test", "/"), Some("app"));
        assert_eq!(r.registered("APP.test", "/"), Some(&"app"));
    }

    #[test]
    fn an_encoded_letter_matches_and_an_encoded_slash_does_not_end_a_segment() {
        let r = routes(&[("", "/api", "api"), ("", "/", "root")]);
        let (route, rest) = r.find("", "/%61pi/x%2Fy").unwrap();
        assert_eq!((route.to, rest), ("api", 6));
        assert_eq!(to(&r, "", "/api%2Fx"), Some("root"));
        assert_eq!(to(&r, "", "/%2Fapi"), Some("root"));
        assert_eq!(to(&r, "", "/%zz%"), Some("root"));
    }

    #[test]
    fn ports_are_cut_off() {
        for (authority, host) in
            [("a.test", "a.test"), ("a.test:80", "a.test"), ("[::1]:80", "::1"), ("[::1]", "::1")]
        {
            assert_eq!(without_port(authority), host);
        }
    }
}
