//! The commands and their flags.

use super::flags::{Flag, Kind, Set};

/// Which command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Run,
    Deploy,
    Prepare,
    Switch,
    Remove,
    Pause,
    Stop,
    Resume,
    List,
    Stats,
    Rollout,
    RolloutDeploy,
    RolloutSet,
    RolloutStop,
    Upgrade,
    Image,
}

/// A command as it is typed.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: Name,
    /// Its words: `rollout set`.
    pub(super) words: &'static str,
    pub(super) alias: &'static str,
    /// What stands behind it, if anything.
    pub(super) argument: &'static str,
    pub(super) short: &'static str,
    pub(super) flags: Set,
    /// Flags that must be given.
    pub(super) required: &'static [&'static str],
}

const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag { name, kind, default, help }
}

const TARGETS: &[Flag] = &[
    flag("target", Kind::List, "", "Target host(s) to deploy"),
    flag("read-target", Kind::List, "", "Read-only target host(s) to deploy"),
    flag(
        "deploy-timeout",
        Kind::Duration,
        "30s",
        "Maximum time to wait for the new target to become healthy",
    ),
];

const DRAIN: &[Flag] = &[
    flag("drain-timeout", Kind::Duration, "30s", "How long to allow in-flight requests to complete"),
    flag(
        "stream-timeout",
        Kind::Duration,
        "5s",
        "How long to keep WebSockets and event streams open, within the drain timeout",
    ),
];

const ROUTE: &[Flag] = &[
    flag("host", Kind::List, "", "Host(s) to serve this target on (empty for wildcard)"),
    flag("path-prefix", Kind::List, "", "Deploy the service below the specified path(s)"),
    flag(
        "strip-path-prefix",
        Kind::Bool,
        "true",
        "With --path-prefix, strip prefix from request before forwarding",
    ),
    flag("tls", Kind::Bool, "false", "Configure TLS for this target (requires a non-empty host)"),
    flag(
        "tls-on-demand-url",
        Kind::Text,
        "",
        "Will make an HTTP request to the given URL, asking whether a host is allowed to have a certificate issued",
    ),
    flag(
        "tls-staging",
        Kind::Bool,
        "false",
        "Use Let's Encrypt staging environment for certificate provisioning",
    ),
    flag("tls-acme-directory", Kind::Text, "", "Use another ACME directory than Let's Encrypt's"),
    flag("tls-certificate-path", Kind::Text, "", "Configure custom TLS certificate path (PEM format)"),
    flag("tls-private-key-path", Kind::Text, "", "Configure custom TLS private key path (PEM format)"),
    flag("tls-acme-cache-path", Kind::Text, "", "Location to store ACME assets"),
    flag("tls-redirect", Kind::Bool, "true", "Redirect HTTP traffic to HTTPS"),
    flag("canonical-host", Kind::Text, "", "Redirect all requests to this host (e.g., force root or www)"),
];

const HEALTH: &[Flag] = &[
    flag("force", Kind::Bool, "false", "Skip health checks and force deployment"),
    flag("health-check-interval", Kind::Duration, "1s", "Interval between health checks"),
    flag("health-check-timeout", Kind::Duration, "5s", "Time each health check must complete in"),
    flag("health-check-path", Kind::Text, "/up", "Path to check for health"),
    flag("health-check-port", Kind::Int, "0", "Port to check for health (default matches target port)"),
    flag("health-check-host", Kind::Text, "", "Host header to send with health check requests"),
];

const REQUESTS: &[Flag] = &[
    flag(
        "writer-affinity-timeout",
        Kind::Duration,
        "1s",
        "Time after a write before read requests will be routed to readers",
    ),
    flag(
        "read-target-websockets",
        Kind::Bool,
        "false",
        "Route WebSocket traffic to read targets, when available",
    ),
    flag(
        "target-timeout",
        Kind::Duration,
        "30s",
        "Maximum time to wait for the target server to respond when serving requests",
    ),
    flag("dial-timeout", Kind::Duration, "5s", "Maximum time to wait for the target to accept a connection"),
    flag("buffer-requests", Kind::Bool, "false", "Buffer requests before forwarding to target"),
    flag("buffer-responses", Kind::Bool, "false", "Buffer responses before forwarding to client"),
    flag("buffer-memory", Kind::Int, "1048576", "Max size of memory buffer"),
    flag(
        "max-request-body",
        Kind::Int,
        "0",
        "Max size of request body when buffering (default of 0 means unlimited)",
    ),
    flag(
        "max-response-body",
        Kind::Int,
        "0",
        "Max size of response body when buffering (default of 0 means unlimited)",
    ),
    flag("error-pages", Kind::Text, "", "Path to custom error pages"),
    flag(
        "log-request-header",
        Kind::List,
        "",
        "Additional request header to log (may be specified multiple times)",
    ),
    flag(
        "log-response-header",
        Kind::List,
        "",
        "Additional response header to log (may be specified multiple times)",
    ),
    flag(
        "exclude-metrics-path",
        Kind::List,
        "",
        "Request path(s) to exclude from Prometheus metrics (may be specified multiple times)",
    ),
    flag(
        "forward-headers",
        Kind::Bool,
        "false",
        "Forward X-Forwarded headers to target (default false if TLS enabled; otherwise true)",
    ),
    flag(
        "client-ip-header",
        Kind::Text,
        "",
        "Request header containing the original client IP; used to populate X-Forwarded-For when present",
    ),
    flag("scope-cookie-paths", Kind::Bool, "false", "Scope cookie paths to match path prefix"),
    flag("trusted-proxies", Kind::List, "", "Networks whose X-Forwarded-For names the client"),
    flag("compress", Kind::Bool, "false", "Compress answers with zstd, br or gzip"),
    flag(
        "basic-auth",
        Kind::List,
        "",
        "user:password that may use the service (may be specified multiple times)",
    ),
    flag("allow-ip", Kind::List, "", "Networks that may use the service (may be specified multiple times)"),
    flag(
        "set-request-header",
        Kind::List,
        "",
        "'Name: value' to set on requests; without a value the header is removed",
    ),
    flag(
        "set-response-header",
        Kind::List,
        "",
        "'Name: value' to set on answers; without a value the header is removed",
    ),
];

const RUN: &[Flag] = &[
    flag("debug", Kind::Bool, "false", "Include debugging logs"),
    flag("http-port", Kind::Int, "80", "Port to serve HTTP traffic on"),
    flag("https-port", Kind::Int, "443", "Port to serve HTTPS traffic on"),
    flag("metrics-port", Kind::Int, "0", "Publish metrics on the specified port (default zero to disable)"),
    flag("http3", Kind::Bool, "false", "Enable HTTP/3 (not supported yet)"),
    flag("header-timeout", Kind::Duration, "30s", "Maximum time to read the headers of a request"),
    flag("idle-timeout", Kind::Duration, "2m", "Maximum time a connection may be idle between two requests"),
    flag("max-connections", Kind::Int, "65536", "Connections at the same time; more of them wait"),
    flag("threads", Kind::Int, "0", "Threads that carry requests (default one per core)"),
    flag("proxy-protocol", Kind::Bool, "false", "Expect the PROXY protocol at the start of connections"),
    flag("trusted-proxies", Kind::List, "", "Networks that may speak the PROXY protocol (default all)"),
];

const SPLIT: &[Flag] = &[
    flag("percent", Kind::Int, "0", "Percentage of traffic to send to the new target"),
    flag("list", Kind::List, "", "Rollout to specific values"),
];

const JSON: &[Flag] = &[flag("json", Kind::Bool, "false", "Print JSON")];

const IMAGE: &[Flag] = &[flag("output", Kind::Text, "", "File to write the archive to")];

/// All of them.
pub(super) const COMMANDS: &[Command] = &[
    command(
        Name::Deploy,
        "deploy",
        "service",
        "Deploy a target host",
        &[TARGETS, DRAIN, ROUTE, HEALTH, REQUESTS],
    )
    .needs(&["target"]),
    command(Name::Image, "image", "", "Write an image of this program for docker load", &[IMAGE])
        .needs(&["output"]),
    command(Name::List, "list", "", "List the services currently running", &[JSON]).or("ls"),
    command(Name::Pause, "pause", "service", "Pause a service", &[DRAIN, PAUSE]),
    command(
        Name::Prepare,
        "prepare",
        "service",
        "Start and check targets, and hold them for switch",
        &[TARGETS, DRAIN, ROUTE, HEALTH, REQUESTS],
    )
    .needs(&["target"]),
    command(Name::Remove, "remove", "service", "Remove the service", &[]).or("rm"),
    command(Name::Resume, "resume", "service", "Resume a service", &[]),
    command(Name::Rollout, "rollout", "", "Manage rollout settings", &[]),
    command(Name::RolloutDeploy, "rollout deploy", "service", "Deploy the rollout target", &[TARGETS, DRAIN])
        .needs(&["target"]),
    command(Name::RolloutSet, "rollout set", "service", "Set traffic split for rollout", &[SPLIT]),
    command(Name::RolloutStop, "rollout stop", "service", "Stops rollout of a service", &[]),
    command(Name::Run, "run", "", "Run the server", &[RUN]),
    command(
        Name::Stats,
        "stats",
        "service",
        "Show how a service's targets answer since their switch",
        &[JSON],
    ),
    command(Name::Stop, "stop", "service", "Stop a service", &[DRAIN, STOP]),
    command(Name::Switch, "switch", "service", "Send requests to the targets that prepare holds", &[]),
    command(Name::Upgrade, "upgrade", "path", "Hand the listeners to another binary of the proxy", &[]),
];

const PAUSE: &[Flag] =
    &[flag("max-pause", Kind::Duration, "30s", "How long to enqueue requests before shedding load")];
const STOP: &[Flag] = &[flag("message", Kind::Text, "", "Message to display to clients while stopped")];

const fn command(
    name: Name,
    words: &'static str,
    argument: &'static str,
    short: &'static str,
    flags: Set,
) -> Command {
    Command { name, words, alias: "", argument, short, flags, required: &[] }
}

impl Command {
    const fn needs(mut self, required: &'static [&'static str]) -> Self {
        self.required = required;
        self
    }

    const fn or(mut self, alias: &'static str) -> Self {
        self.alias = alias;
        self
    }

    /// The command that words begin with, and how many of them name it.
    pub(super) fn find(words: &[String]) -> Option<(&'static Command, usize)> {
        let called = |command: &Command, text: &str| {
            command.words == text || (!command.alias.is_empty() && command.alias == text)
        };
        let two = words.get(..2).map(|two| two.join(" ")).unwrap_or_default();
        let find = |text: &str| COMMANDS.iter().find(|command| called(command, text));
        find(&two).map(|command| (command, 2)).or_else(|| Some((find(words.first()?)?, 1)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::flags::Given;

    #[test]
    fn every_default_can_be_read_and_no_flag_is_there_twice() {
        for command in COMMANDS {
            let mut seen = BTreeSet::new();
            for flag in command.flags.iter().copied().flatten() {
                assert!(seen.insert(flag.name), "{} --{}", command.words, flag.name);
                let line = [format!("--{}={}", flag.name, flag.default)];
                Given::read(command.flags, &line).unwrap();
            }
            let known = seen.iter().copied().collect::<Vec<_>>();
            assert!(command.required.iter().all(|name| known.contains(name)));
        }
    }

    #[test]
    fn words_and_aliases() {
        let find = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            Command::find(&words).map(|(command, words)| (command.name, words))
        };
        assert_eq!(find("ls"), Some((Name::List, 1)));
        assert_eq!(find("rm web"), Some((Name::Remove, 1)));
        assert_eq!(find("rollout stop web"), Some((Name::RolloutStop, 2)));
        assert_eq!(find("rollout what"), Some((Name::Rollout, 1)));
        assert_eq!(find("what"), None);
    }
}
