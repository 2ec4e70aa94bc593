//! Checks the options of a deploy. The command does it before it calls the daemon, and the daemon does it again.

use super::{ServiceOptions, idn};

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("service options invalid: {0}")]
pub struct Invalid(String);

/// Whether a target's name is `host[:port]`, with IPv6 addresses in brackets.
pub fn is_target(name: &str) -> bool {
    if let Some(rest) = name.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let port_is_right = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<std::net::Ipv6Addr>().is_ok() && port_is_right;
    }
    let (host, port) = name.split_once(':').map_or((name, None), |(host, port)| (host, Some(port)));
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    host.len() >= 2
        && host.starts_with(word)
        && host.chars().all(|c| word(c) || "-.+".contains(c))
        && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

/// Whether the on-demand URL is a path of the service itself. Fails if it is neither a path nor an http(s) URL.
pub fn on_demand_is_local(url: &str) -> Result<bool, String> {
    if url.starts_with("//") {
        return Err("tls-on-demand-url must be a path or an absolute http(s) URL".to_owned());
    }
    if url.starts_with('/') {
        return match url.parse::<http::Uri>() {
            Ok(_) => Ok(true),
            Err(error) => Err(format!("unable to parse tls-on-demand-url: parse {url:?}: {error}")),
        };
    }
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(format!("unable to parse tls-on-demand-url: parse {url:?}: invalid URI for request"));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(format!("unsupported scheme {scheme:?} in tls-on-demand-url"));
    }
    let host = rest.strip_prefix("//").unwrap_or_default().split(['/', '?', '#']).next();
    if host.is_none_or(str::is_empty) {
        return Err("missing host in tls-on-demand-url".to_owned());
    }
    match url.parse::<http::Uri>() {
        Ok(_) => Ok(false),
        Err(error) => Err(format!("unable to parse tls-on-demand-url: parse {url:?}: {error}")),
    }
}

impl ServiceOptions {
    /// Adds the empty host and the prefix `/` if there are none. Normalizes slashes, and names to the form of clients.
    pub fn normalize(&mut self) {
        for name in self.hosts.iter_mut().chain([&mut self.canonical_host]) {
            *name = idn::to_ascii(name);
        }
        if self.hosts.is_empty() {
            self.hosts = vec![String::new()];
        }
        if self.path_prefixes.is_empty() {
            self.path_prefixes = vec![String::new()];
        }
        for prefix in &mut self.path_prefixes {
            *prefix = format!("/{}", prefix.trim_matches('/'));
        }
    }

    /// Returns false if the service accepts any host.
    pub fn has_hosts(&self) -> bool {
        !self.hosts.is_empty() && !self.hosts.iter().any(String::is_empty)
    }

    pub fn serves_root(&self) -> bool {
        self.path_prefixes.is_empty()
            || self.path_prefixes.iter().any(|prefix| prefix.trim_matches('/').is_empty())
    }

    pub fn validate(&self) -> Result<(), Invalid> {
        let refuse = |why: &str| Err(Invalid(why.to_owned()));
        if !self.tls_on_demand_url.is_empty() {
            self.validate_on_demand()?;
        } else if self.tls_enabled && !self.has_hosts() {
            return refuse("host must be set when using TLS");
        }
        if self.tls_enabled && !self.serves_root() {
            return refuse("TLS settings must be specified on the root path service");
        }
        let canonical = &self.canonical_host;
        if !canonical.is_empty()
            && self.hosts.first().is_some_and(|host| !host.is_empty())
            && !self.hosts.contains(canonical)
        {
            let hosts = self.hosts.join(" ");
            return Err(Invalid(format!(
                "canonical-host '{canonical}' must be present in the hosts list: [{hosts}]"
            )));
        }
        Ok(())
    }

    fn validate_on_demand(&self) -> Result<(), Invalid> {
        let refuse = |why: &str| Err(Invalid(why.to_owned()));
        if !self.tls_enabled {
            return refuse("TLS must be enabled to use a TLS on-demand URL");
        }
        if self.has_hosts() {
            return refuse("cannot set hosts when using a TLS on-demand URL");
        }
        if !self.tls_certificate_path.is_empty() || !self.tls_private_key_path.is_empty() {
            return refuse("cannot use a custom TLS certificate with a TLS on-demand URL");
        }
        if !self.canonical_host.is_empty() {
            return refuse("cannot set a canonical host when using a TLS on-demand URL");
        }
        on_demand_is_local(&self.tls_on_demand_url).map_err(Invalid)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut ServiceOptions)) -> String {
        let mut options = ServiceOptions { tls_enabled: true, ..ServiceOptions::of_command_line() };
        change(&mut options);
        match options.validate() {
            Ok(()) => String::new(),
            Err(error) => error.to_string().strip_prefix("service options invalid: ").unwrap().to_owned(),
        }
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(refused(|_| ()), "host must be set when using TLS");
        assert_eq!(refused(|o| o.hosts = vec!["a.example".into()]), "");
        assert_eq!(
            refused(|o| {
                o.hosts = vec!["a.example".into()];
                o.path_prefixes = vec!["/api".into()];
            }),
            "TLS settings must be specified on the root path service"
        );
        let on_demand = |o: &mut ServiceOptions| o.tls_on_demand_url = "/ask".into();
        assert_eq!(refused(on_demand), "");
        for (url, why) in [
            ("//x", "tls-on-demand-url must be a path or an absolute http(s) URL"),
            ("ftp://x", "unsupported scheme \"ftp\" in tls-on-demand-url"),
            ("http:///x", "missing host in tls-on-demand-url"),
        ] {
            assert_eq!(refused(|o| o.tls_on_demand_url = url.into()), why);
        }
        assert_eq!(
            refused(|o| {
                on_demand(o);
                o.tls_enabled = false;
            }),
            "TLS must be enabled to use a TLS on-demand URL"
        );
        assert_eq!(
            refused(|o| {
                on_demand(o);
                o.hosts = vec!["a.example".into()];
            }),
            "cannot set hosts when using a TLS on-demand URL"
        );
        assert_eq!(
            refused(|o| {
                o.hosts = vec!["a.example".into(), "b.example".into()];
                o.canonical_host = "c.example".into();
            }),
            "canonical-host 'c.example' must be present in the hosts list: [a.example b.example]"
        );
    }

    #[test]
    fn names_of_targets() {
        for name in ["web", "web:3000", "app-web-1_2.x+y:80", "10.0.0.1:1", "[::1]", "[fe80::1]:3000"] {
            assert!(is_target(name), "{name}");
        }
        for name in [
            "",
            "a",
            "http://web",
            "web:",
            "web:x",
            "web:99999",
            "we b",
            "-web",
            "[::1",
            "[x]:1",
            "::1",
            "web:1:2",
        ] {
            assert!(!is_target(name), "{name}");
        }
    }

    #[test]
    fn prefixes_lose_their_outer_slashes() {
        let mut options = ServiceOptions {
            path_prefixes: vec!["api/".into(), "//".into(), "/a/b".into()],
            ..ServiceOptions::default()
        };
        options.normalize();
        assert_eq!(options.path_prefixes, ["/api", "/", "/a/b"]);
        assert_eq!(options.hosts, [""]);
    }
}
