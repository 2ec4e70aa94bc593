//! The table of commands and their flags.

use super::flags::{Flag, FlagKind, Set};

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
    Install,
    Image,
}

#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: Name,
    /// The words that select it, such as `rollout set`.
    pub(super) words: &'static str,
    pub(super) alias: &'static str,
    /// The name of its argument in the help, or empty.
    pub(super) argument: &'static str,
    pub(super) short: &'static str,
    pub(super) flags: Set,
    pub(super) required: &'static [&'static str],
}

const fn flag(name: &'static str, kind: FlagKind, default: &'static str, help: &'static str) -> Flag {
    Flag { name, kind, default, help }
}

const TARGETS: &[Flag] = &[
    flag(
        "target",
        FlagKind::List,
        "",
        "Address of a container that serves the app, HOST[:PORT] (repeatable)",
    ),
    flag("read-target", FlagKind::List, "", "Address of a container that serves reads only (repeatable)"),
    flag(
        "deploy-timeout",
        FlagKind::Duration,
        "30s",
        "How long a new target may take to pass its health check",
    ),
];

const DRAIN: &[Flag] = &[
    flag("drain-timeout", FlagKind::Duration, "30s", "How long open requests may take to finish"),
    flag(
        "stream-timeout",
        FlagKind::Duration,
        "5s",
        "How long to keep WebSockets and event streams open, within the drain timeout",
    ),
];

const ROUTE: &[Flag] = &[
    flag("host", FlagKind::List, "", "Host name of the service; without one, every host (repeatable)"),
    flag("path-prefix", FlagKind::List, "", "Path below which the service gets requests (repeatable)"),
    flag(
        "strip-path-prefix",
        FlagKind::Bool,
        "true",
        "Remove the path prefix before forwarding a request to the target",
    ),
    flag(
        "tls",
        FlagKind::Bool,
        "false",
        "Serve the hosts over HTTPS, with certificates that the proxy gets from an ACME authority",
    ),
    flag(
        "tls-on-demand-url",
        FlagKind::Text,
        "",
        "URL or path to request with ?host=NAME before issuing a certificate for a name that isn't listed",
    ),
    flag(
        "tls-staging",
        FlagKind::Bool,
        "false",
        "Get test certificates from Let's Encrypt's staging environment",
    ),
    flag("tls-acme-directory", FlagKind::Text, "", "URL of another ACME directory than Let's Encrypt's"),
    flag("tls-certificate-path", FlagKind::Text, "", "PEM file with your own certificate chain"),
    flag("tls-private-key-path", FlagKind::Text, "", "PEM file with the private key of your own certificate"),
    flag("tls-acme-cache-path", FlagKind::Text, "", "Directory for certificates and ACME accounts"),
    flag("tls-redirect", FlagKind::Bool, "true", "Redirect HTTP to HTTPS"),
    flag("canonical-host", FlagKind::Text, "", "Redirect all other hosts to this one"),
];

const HEALTH: &[Flag] = &[
    flag("force", FlagKind::Bool, "false", "Switch without waiting for the new target to be healthy"),
    flag("health-check-interval", FlagKind::Duration, "1s", "Time between two health checks"),
    flag("health-check-timeout", FlagKind::Duration, "5s", "How long one health check may take"),
    flag("health-check-path", FlagKind::Text, "/up", "Path that the health check requests"),
    flag(
        "health-check-port",
        FlagKind::Int,
        "0",
        "Port that the health check requests (0 for the target's own)",
    ),
    flag("health-check-host", FlagKind::Text, "", "Host header of the health check"),
];

const REQUESTS: &[Flag] = &[
    flag(
        "writer-affinity-timeout",
        FlagKind::Duration,
        "1s",
        "How long a client's reads go to the main targets after it has sent a write",
    ),
    flag("read-target-websockets", FlagKind::Bool, "false", "Let WebSockets go to read targets too"),
    flag(
        "target-timeout",
        FlagKind::Duration,
        "30s",
        "How long the target may take to send the headers of its response",
    ),
    flag("dial-timeout", FlagKind::Duration, "5s", "How long the target may take to accept a connection"),
    flag(
        "buffer-requests",
        FlagKind::Bool,
        "false",
        "Read a whole request body before forwarding the request",
    ),
    flag(
        "buffer-responses",
        FlagKind::Bool,
        "false",
        "Read a whole response before sending it to the client",
    ),
    flag(
        "buffer-memory",
        FlagKind::Int,
        "1048576",
        "Bytes of a buffered body that stay in memory; the rest goes to disk",
    ),
    flag("max-request-body", FlagKind::Int, "0", "Largest buffered request body in bytes (0 for no limit)"),
    flag("max-response-body", FlagKind::Int, "0", "Largest buffered response body in bytes (0 for no limit)"),
    flag("error-pages", FlagKind::Text, "", "Directory with your own error pages"),
    flag("log-request-header", FlagKind::List, "", "Request header to add to the log (repeatable)"),
    flag("log-response-header", FlagKind::List, "", "Response header to add to the log (repeatable)"),
    flag("exclude-metrics-path", FlagKind::List, "", "Path that the metrics don't count (repeatable)"),
    flag(
        "forward-headers",
        FlagKind::Bool,
        "false",
        "Trust the client's X-Forwarded headers (default: only without TLS)",
    ),
    flag("client-ip-header", FlagKind::Text, "", "Request header that names the client's address"),
    flag("scope-cookie-paths", FlagKind::Bool, "false", "Add the path prefix to the paths of cookies"),
    flag("trusted-proxies", FlagKind::List, "", "Networks from which to trust X-Forwarded-For and Forwarded"),
    flag("compress", FlagKind::Bool, "false", "Compress responses with zstd, br or gzip"),
    flag("basic-auth", FlagKind::List, "", "USER:PASSWORD that may use the service (repeatable)"),
    flag(
        "basic-auth-file",
        FlagKind::Text,
        "",
        "File with one USER:PASSWORD per line, which keeps them out of process lists",
    ),
    flag("allow-ip", FlagKind::List, "", "Network that may use the service (repeatable)"),
    flag(
        "set-request-header",
        FlagKind::List,
        "",
        "'Name: value' to set on requests; without a value the header is removed",
    ),
    flag(
        "set-response-header",
        FlagKind::List,
        "",
        "'Name: value' to set on responses; without a value the header is removed",
    ),
];

const RUN: &[Flag] = &[
    flag("debug", FlagKind::Bool, "false", "Log debug messages too"),
    flag("http-port", FlagKind::Int, "80", "Port for HTTP"),
    flag("https-port", FlagKind::Int, "443", "Port for HTTPS"),
    flag("metrics-port", FlagKind::Int, "0", "Port for Prometheus metrics (0 for none)"),
    flag("http3", FlagKind::Bool, "false", "Not supported: the proxy reports an error"),
    flag("header-timeout", FlagKind::Duration, "30s", "Maximum time to read the headers of a request"),
    flag(
        "idle-timeout",
        FlagKind::Duration,
        "2m",
        "Maximum time a connection may be idle between two requests",
    ),
    flag(
        "max-connections",
        FlagKind::Int,
        "65536",
        "Maximum number of open connections; more connections wait",
    ),
    flag("threads", FlagKind::Int, "0", "Threads that handle requests (default one per core)"),
    flag("proxy-protocol", FlagKind::Bool, "false", "Require the PROXY protocol at the start of connections"),
    flag("trusted-proxies", FlagKind::List, "", "Networks that may speak the PROXY protocol (default all)"),
    flag(
        "newer-binary",
        FlagKind::Text,
        crate::upgrade::NEWER_BINARY,
        "Start this binary of the proxy instead, if it is newer and only root can write it",
    ),
];

const SPLIT: &[Flag] = &[
    flag("percent", FlagKind::Int, "0", "Share of clients, in percent, that get the second set"),
    flag(
        "list",
        FlagKind::List,
        "",
        "Value of the cookie kamal-rollout that always gets the second set (repeatable)",
    ),
];

const JSON: &[Flag] = &[flag("json", FlagKind::Bool, "false", "Print JSON")];

const IMAGE: &[Flag] = &[
    flag("output", FlagKind::Text, "", "File to write the archive to"),
    flag("reference", FlagKind::Bool, "false", "Print only the name that the image would have"),
];

pub(super) const COMMANDS: &[Command] = &[
    command(
        Name::Deploy,
        "deploy",
        "service",
        "Send a service's requests to new targets, once they are healthy",
        &[TARGETS, DRAIN, ROUTE, HEALTH, REQUESTS],
    )
    .needs(&["target"]),
    command(Name::Image, "image", "", "Write an image of this program for docker load", &[IMAGE]),
    command(Name::Install, "install", "path", "Copy this program to a path, for upgrades", &[]),
    command(Name::List, "list", "", "List services with their hosts, paths, targets and states", &[JSON])
        .or("ls"),
    command(
        Name::Pause,
        "pause",
        "service",
        "Finish open requests, and hold new ones until resume",
        &[DRAIN, PAUSE],
    ),
    command(
        Name::Prepare,
        "prepare",
        "service",
        "Check new targets, and hold them for switch",
        &[TARGETS, DRAIN, ROUTE, HEALTH, REQUESTS],
    )
    .needs(&["target"]),
    command(Name::Remove, "remove", "service", "Remove a service, without draining it", &[]).or("rm"),
    command(Name::Resume, "resume", "service", "End a pause or a stop", &[]),
    command(Name::Rollout, "rollout", "", "Send some clients to a second set of targets", &[]),
    command(
        Name::RolloutDeploy,
        "rollout deploy",
        "service",
        "Give a service its second set of targets",
        &[TARGETS, DRAIN],
    )
    .needs(&["target"]),
    command(
        Name::RolloutSet,
        "rollout set",
        "service",
        "Select the clients that get the second set",
        &[SPLIT],
    ),
    command(Name::RolloutStop, "rollout stop", "service", "Send all clients to the first set again", &[]),
    command(Name::Run, "run", "", "Run the proxy", &[RUN]),
    command(
        Name::Stats,
        "stats",
        "service",
        "Show requests, errors and latencies of a service's targets since the switch to them",
        &[JSON],
    ),
    command(
        Name::Stop,
        "stop",
        "service",
        "Finish open requests, and respond to new ones with 503",
        &[DRAIN, STOP],
    ),
    command(Name::Switch, "switch", "service", "Send requests to the targets that prepare holds", &[]),
    command(
        Name::Upgrade,
        "upgrade",
        "path",
        "Hand the listeners to another binary of the proxy",
        &[UPGRADE],
    ),
];

const UPGRADE: &[Flag] = &[
    flag(
        "drain-timeout",
        FlagKind::Duration,
        "10m",
        "How long the old process may take to finish open requests",
    ),
    flag(
        "stream-timeout",
        FlagKind::Duration,
        "1m",
        "How long the old process keeps WebSockets and event streams open, within the drain timeout",
    ),
];

const PAUSE: &[Flag] = &[flag(
    "max-pause",
    FlagKind::Duration,
    "30s",
    "How long a new request waits before the client gets 504",
)];
const STOP: &[Flag] = &[
    flag("message", FlagKind::Text, "", "Text on the page that clients get"),
    flag(
        "retry-after",
        FlagKind::Int,
        "0",
        "Seconds after which clients should retry (0 for no such header)",
    ),
];

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

    /// Finds the command that `words` start with. Also returns how many of them name it.
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
