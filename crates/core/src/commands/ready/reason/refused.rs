//! Explains why a proxy sends no requests to a container, from the proxy's message and its last check.

use serde::Deserialize;

use super::{Explanation, Failed, listens, sockets};

/// A failed check in the proxy's log.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Probe {
    url: String,
    error: String,
}

/// The start of the proxy's message about a container that didn't become healthy.
const UNHEALTHY: &str = "target failed to become healthy";

pub(super) fn explain(failed: &Failed, timeout: u64) -> Explanation {
    let said = failed.said.trim().trim_start_matches("Error: ");
    if !said.contains(UNHEALTHY) {
        let reason = format!("kamal-proxy does not route to it: {said}");
        return Explanation { reason, hint: hint(said).map(Into::into) };
    }
    let probe: Probe = serde_json::from_str(&failed.probe).unwrap_or_default();
    if probe.url.is_empty() {
        return Explanation::new(
            format!("not healthy within {timeout} s: {said}"),
            "a slow start? raise `deploy_timeout`; otherwise see the log above",
        );
    }
    let reason = format!(
        "not healthy within {timeout} s; the proxy's last check of {} failed: {}",
        probe.url, probe.error
    );
    Explanation { reason, hint: Some(check_hint(&probe, failed)) }
}

/// The hint for any failure other than a failed check.
fn hint(said: &str) -> Option<&'static str> {
    let hints = [
        (
            "host settings conflict",
            "another service has this host and path: `bowline proxy details` names it; see `proxy: host` and `path_prefix`",
        ),
        ("No such container", "`bowline proxy boot` boots it"),
        ("is not running", "`bowline proxy boot` boots it"),
        (
            "unable to load certificate",
            "see `proxy: ssl`: the certificate and its key must belong together, as PEM",
        ),
        (
            "unable to load error pages",
            "see `error_pages_path`: pages are Go templates named like `503.html`",
        ),
        (
            "automatic TLS does not support wildcards",
            "`proxy: ssl` with a certificate of your own serves `*.` hosts",
        ),
        (
            "TLS settings must be specified on the root path",
            "`ssl` belongs to the role without `path_prefix`; those below a path follow it",
        ),
        (
            "can't save the state",
            "the disk of the volume `kamal-proxy-config` may be full: `df -h; df -i` there",
        ),
        (
            "unknown flag",
            "the proxy there does not support this: `bowline proxy reboot` replaces it with Bowline's own, unless `proxy: run:` names another image",
        ),
    ];
    hints.iter().find(|(part, _)| said.contains(part)).map(|(_, hint)| *hint)
}

/// The port of `http://HOST:PORT/PATH`.
fn port(url: &str) -> Option<u16> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split('/').next()?;
    authority.rsplit_once(':').map_or(Some(80), |(_, port)| port.parse().ok())
}

fn check_hint(probe: &Probe, failed: &Failed) -> String {
    let error = probe.error.to_lowercase();
    let status = |codes: &[&str]| codes.iter().any(|code| error.contains(&format!("({code})")));
    let fixed = if status(&["301", "302", "303", "307", "308"])
        || error.contains("https://")
        || error.contains("redirect")
    {
        "the health path redirects, to https or another host: let the app return 200 there without a redirect (Rails: exclude it from `force_ssl`)"
    } else if status(&["404"]) {
        "the health path returns 404: see `proxy: healthcheck: path:` (`/up` unless given)"
    } else if status(&["401"]) {
        "the health path requires a login: let the app answer it without one"
    } else if status(&["403", "400", "421"]) {
        "the app refuses the check's host name (Rails: `config.hosts`, Django: `ALLOWED_HOSTS`): let the health path pass"
    } else if status(&["500", "502", "503"]) {
        "the app responds on its health path with an error; see its log"
    } else {
        return listening(probe, failed, &error);
    };
    fixed.into()
}

/// The hint if the app doesn't answer on the requested port.
fn listening(probe: &Probe, failed: &Failed, error: &str) -> String {
    let slow = "a slow start? raise `deploy_timeout`; otherwise see the log above";
    let Some(asked) = port(&probe.url) else { return slow.into() };
    let mut all: Vec<_> = sockets(&failed.listening).collect();
    all.sort_unstable();
    let local =
        |port: u16| all.iter().filter(|(_, at)| *at == port).all(|(address, _)| address.is_loopback());
    if listens(&failed.listening, asked) {
        return match local(asked) {
            true => {
                format!(
                    "the app listens on port {asked} of its own loopback address only: let it listen on 0.0.0.0"
                )
            }
            false if error.contains("timed out") => {
                "the app takes longer than the check waits: see `proxy: healthcheck: timeout:`".into()
            }
            false => {
                format!("something now listens on port {asked}: a slow start? raise `deploy_timeout`")
            }
        };
    }
    let mut ports: Vec<u16> = all.iter().map(|(_, port)| *port).collect();
    ports.dedup();
    match ports.as_slice() {
        [] => format!(
            "nothing listens in the container, and the check asks port {asked}: a slow start? raise `deploy_timeout`"
        ),
        ports => {
            let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
            format!("the app listens on port {ports}, and `proxy: app_port:` is {asked}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::ready::Why;

    fn explained(said: &str, error: &str, listening: &str) -> (String, String) {
        let failed = Failed {
            said: format!("Error: {said}"),
            probe: format!(
                r#"{{"time":"t","msg":"Healthcheck failed","url":"http://0a1b:3000/up","error":"{error}"}}"#
            ),
            listening: listening.into(),
            ..Failed::new(Why::Refused)
        };
        let Explanation { reason, hint } = explain(&failed, 30);
        (reason, hint.unwrap_or_default())
    }

    #[test]
    fn what_the_last_check_saw_is_told_with_its_fix() {
        let unhealthy = "target failed to become healthy within configured timeout (30s)";
        for (error, listening, part) in [
            ("unexpected status (404)", "", "returns 404"),
            ("unexpected status (301)", "", "redirects"),
            ("Get \\\"https://app.test/up\\\": dial tcp: lookup app.test", "", "redirects"),
            ("unexpected status (404) after a redirect to http://0a1b:3000/login", "", "redirects"),
            ("unexpected status (401)", "", "requires a login"),
            ("unexpected status (403)", "", "config.hosts"),
            ("unexpected status (500)", "", "see its log"),
            ("connection refused", "00000000:1F90", "listens on port 8080, and `proxy: app_port:` is 3000"),
            ("connection refused", "0100007F:0BB8", "listen on 0.0.0.0"),
            ("connection refused", "", "nothing listens"),
            ("request timed out", "00000000:0BB8", "longer than the check waits"),
            ("connection refused", "00000000:0BB8", "now listens"),
        ] {
            let (reason, hint) = explained(unhealthy, error, listening);
            assert!(reason.contains("http://0a1b:3000/up"), "{reason}");
            assert!(hint.contains(part), "{error}: {hint}");
        }
        let never = Failed { said: unhealthy.into(), ..Failed::new(Why::Refused) };
        assert!(explain(&never, 30).reason.contains("not healthy within 30 s: target failed"));
    }

    #[test]
    fn what_else_the_proxy_says_is_told() {
        let (reason, hint) = explained("host settings conflict with another service", "", "");
        assert_eq!(reason, "kamal-proxy does not route to it: host settings conflict with another service");
        assert!(hint.contains("proxy details"), "{hint}");
        assert_eq!(explained("something new", "", "").1, "");
    }

    #[test]
    fn the_port_of_a_url() {
        assert_eq!(port("http://a:3000/up"), Some(3000));
        assert_eq!(port("http://a/up"), Some(80));
        assert_eq!(port("http://[::1]:81/up"), Some(81));
        assert_eq!(port("a"), None);
    }
}
