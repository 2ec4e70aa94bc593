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
    Install,
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
    flag("target", Kind::List, "", "Address of a container that serves the app, HOST[:PORT] (repeatable)"),
    flag("read-target", Kind::List, "", "Address of a container that serves reads only (repeatable)"),
    flag("deploy-timeout", Kind::Duration, "30s", "How long a new target may take to pass its health check"),
];

const DRAIN: &[Flag] = &[
    flag("drain-timeout", Kind::Duration, "30s", "How long open requests may take to finish"),
    flag(
        "stream-timeout",
        Kind::Duration,
        "5s",
        "How long to keep WebSockets and event streams open, within the drain timeout",
    ),
];

const ROUTE: &[Flag] = &[
    flag("host", Kind::List, "", "Host name that the service answers for; none means any (repeatable)"),
    flag("path-prefix", Kind::List, "", "Path below which the service answers (repeatable)"),
    flag(
        "strip-path-prefix",
        Kind::Bool,
        "true",
        "Remove the path prefix before a request goes to the target",
    ),
    flag(
        "tls",
        Kind::Bool,
        "false",
        "Serve the hosts over HTTPS with certificates that are obtained automatically",
    ),
    flag(
        "tls-on-demand-url",
        Kind::Text,
        "",
        "URL or path that decides, with ?host=NAME, which names get a certificate",
    ),
    flag("tls-staging", Kind::Bool, "false", "Get certificates from Let's Encrypt's staging directory"),
    flag("tls-acme-directory", Kind::Text, "", "Use another ACME directory than Let's Encrypt's"),
    flag("tls-certificate-path", Kind::Text, "", "PEM file with your own certificate chain"),
    flag("tls-private-key-path", Kind::Text, "", "PEM file with the private key of that certificate"),
    flag("tls-acme-cache-path", Kind::Text, "", "Directory for certificates and ACME accounts"),
    flag("tls-redirect", Kind::Bool, "true", "Send clients that come over HTTP to HTTPS"),
    flag("canonical-host", Kind::Text, "", "Send clients of the other hosts to this one"),
];

const HEALTH: &[Flag] = &[
    flag("force", Kind::Bool, "false", "Switch at once, without waiting for the new target to be healthy"),
    flag("health-check-interval", Kind::Duration, "1s", "Pause between two health checks"),
    flag("health-check-timeout", Kind::Duration, "5s", "How long one health check may take"),
    flag("health-check-path", Kind::Text, "/up", "Path that a health check asks for"),
    flag("health-check-port", Kind::Int, "0", "Port that a health check asks (0 for the target's own)"),
    flag("health-check-host", Kind::Text, "", "Host header of a health check"),
];

const REQUESTS: &[Flag] = &[
    flag(
        "writer-affinity-timeout",
        Kind::Duration,
        "1s",
        "How long a client's reads stay with the writers after it has written",
    ),
    flag("read-target-websockets", Kind::Bool, "false", "Let WebSockets go to read targets too"),
    flag("target-timeout", Kind::Duration, "30s", "How long the target may take to begin its answer"),
    flag("dial-timeout", Kind::Duration, "5s", "How long the target may take to accept a connection"),
    flag("buffer-requests", Kind::Bool, "false", "Read a request's body whole before the target is asked"),
    flag("buffer-responses", Kind::Bool, "false", "Read an answer's body whole before the client gets it"),
    flag(
        "buffer-memory",
        Kind::Int,
        "1048576",
        "Bytes of a buffered body that stay in memory; the rest goes to disk",
    ),
    flag("max-request-body", Kind::Int, "0", "Largest buffered request body in bytes (0 for no limit)"),
    flag("max-response-body", Kind::Int, "0", "Largest buffered answer body in bytes (0 for no limit)"),
    flag("error-pages", Kind::Text, "", "Directory with your own error pages"),
    flag("log-request-header", Kind::List, "", "Request header to add to the log (repeatable)"),
    flag("log-response-header", Kind::List, "", "Response header to add to the log (repeatable)"),
    flag("exclude-metrics-path", Kind::List, "", "Path whose requests the metrics leave out (repeatable)"),
    flag(
        "forward-headers",
        Kind::Bool,
        "false",
        "Trust the client's X-Forwarded headers (unless given: only without TLS)",
    ),
    flag("client-ip-header", Kind::Text, "", "Request header that names the client's address"),
    flag("scope-cookie-paths", Kind::Bool, "false", "Put the path prefix in front of the paths of cookies"),
    flag("trusted-proxies", Kind::List, "", "Networks whose X-Forwarded-For names the client"),
    flag("compress", Kind::Bool, "false", "Compress answers with zstd, br or gzip"),
    flag("basic-auth", Kind::List, "", "USER:PASSWORD that may use the service (repeatable)"),
    flag(
        "basic-auth-file",
        Kind::Text,
        "",
        "File with one USER:PASSWORD a line, which keeps them out of process lists",
    ),
    flag("allow-ip", Kind::List, "", "Network that may use the service (repeatable)"),
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
    flag("debug", Kind::Bool, "false", "Log debug messages too"),
    flag("http-port", Kind::Int, "80", "Port for HTTP"),
    flag("https-port", Kind::Int, "443", "Port for HTTPS"),
    flag("metrics-port", Kind::Int, "0", "Port for Prometheus metrics (0 for none)"),
    flag("http3", Kind::Bool, "false", "HTTP/3 is not supported yet: refused"),
    flag("header-timeout", Kind::Duration, "30s", "Maximum time to read the headers of a request"),
    flag("idle-timeout", Kind::Duration, "2m", "Maximum time a connection may be idle between two requests"),
    flag("max-connections", Kind::Int, "65536", "Connections at the same time; more of them wait"),
    flag("threads", Kind::Int, "0", "Threads that carry requests (default one per core)"),
    flag("proxy-protocol", Kind::Bool, "false", "Expect the PROXY protocol at the start of connections"),
    flag("trusted-proxies", Kind::List, "", "Networks that may speak the PROXY protocol (default all)"),
    flag(
        "newer-binary",
        Kind::Text,
        crate::upgrade::NEWER_BINARY,
        "Start this binary of the proxy instead, if it is newer and only root can write it",
    ),
];

const SPLIT: &[Flag] = &[
    flag("percent", Kind::Int, "0", "Share of clients, in percent, that get the new target"),
    flag("list", Kind::List, "", "Value of the cookie kamal-rollout that gets the new target (repeatable)"),
];

const JSON: &[Flag] = &[flag("json", Kind::Bool, "false", "Print JSON")];

const IMAGE: &[Flag] = &[
    flag("output", Kind::Text, "", "File to write the archive to"),
    flag("reference", Kind::Bool, "false", "Print only the name that the image would have"),
];

/// All of them.
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
        "Finish open requests and hold new ones until resume",
        &[DRAIN, PAUSE],
    ),
    command(
        Name::Prepare,
        "prepare",
        "service",
        "Start and check targets, and hold them for switch",
        &[TARGETS, DRAIN, ROUTE, HEALTH, REQUESTS],
    )
    .needs(&["target"]),
    command(Name::Remove, "remove", "service", "Forget a service", &[]).or("rm"),
    command(Name::Resume, "resume", "service", "End a pause or a stop", &[]),
    command(Name::Rollout, "rollout", "", "Show a second set of targets to some clients", &[]),
    command(
        Name::RolloutDeploy,
        "rollout deploy",
        "service",
        "Give a service its second set of targets",
        &[TARGETS, DRAIN],
    )
    .needs(&["target"]),
    command(Name::RolloutSet, "rollout set", "service", "Choose which clients get the second set", &[SPLIT]),
    command(Name::RolloutStop, "rollout stop", "service", "Send no client to the second set any more", &[]),
    command(Name::Run, "run", "", "Run the proxy", &[RUN]),
    command(
        Name::Stats,
        "stats",
        "service",
        "Show how a service's targets answer since their switch",
        &[JSON],
    ),
    command(
        Name::Stop,
        "stop",
        "service",
        "Finish open requests and answer new ones with 503",
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
    flag("drain-timeout", Kind::Duration, "10m", "How long the old process may take to finish open requests"),
    flag(
        "stream-timeout",
        Kind::Duration,
        "1m",
        "How long the old process keeps WebSockets and event streams open, within the drain timeout",
    ),
];

const PAUSE: &[Flag] = &[flag(
    "max-pause",
    Kind::Duration,
    "30s",
    "How long a new request waits before it is answered with 504",
)];
const STOP: &[Flag] = &[flag("message", Kind::Text, "", "Text for the page that clients get meanwhile")];

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
