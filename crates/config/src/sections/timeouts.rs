//! `timeouts`: time limits for operations that no other key covers.

use std::time::Duration;

use crate::decode::Field;
use crate::describe::{Form, Keys, Setting};

/// `KEYS` describes the limits and their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub agent: Duration,
    pub confirm: Duration,
    pub silence: Duration,
    pub command: Duration,
    pub lock: Duration,
    pub api: Duration,
    pub route: Duration,
    pub pull: Duration,
    pub install: Duration,
    pub build: Duration,
    pub hook: Duration,
    pub secrets: Duration,
}

const MINUTE: u64 = 60;

impl Default for Timeouts {
    fn default() -> Self {
        Self::decode(&Field::nothing())
    }
}

pub(crate) const KEYS: Keys = Keys::new(
    "timeouts",
    "Time limits, in seconds, for operations that no other key covers.",
    &[
        Setting::new("connect", Form::Seconds(1), "connecting and authenticating. The time that you take to type a passphrase isn't included. The same limit applies to `ssh -G`, which runs first")
            .default("10")
            .ours(),
        Setting::new("agent", Form::Seconds(1), "listing the keys of the SSH agent").default("5").ours(),
        Setting::new("confirm", Form::Seconds(1), "your confirmation, if the SSH agent asks you before it uses a key").default("90").ours(),
        Setting::new("silence", Form::Seconds(5), "silence on a connection, after which it counts as lost").default("25").ours(),
        Setting::new("command", Form::Seconds(1), "any other command on a server, not counting waits that have a limit of their own (such as `deploy_timeout`)").default("60").ours(),
        Setting::new("lock", Form::Seconds(1), "taking or releasing the deploy lock").default("30").ours(),
        Setting::new("api", Form::Seconds(1), "each request to Traefik's API").default("5").ours(),
        Setting::new("route", Form::Seconds(1), "the wait until Traefik sends requests to a new container, or stops sending them to an old one").default("15").ours(),
        Setting::new("pull", Form::Seconds(1), "pulling an image on a server, or sending an image or files there").default("1800").ours(),
        Setting::new("install", Form::Seconds(1), "installing Docker on a server").default("1200").ours(),
        Setting::new("build", Form::Seconds(1), "each program of a build, such as the clone, the build and the push").default("7200").ours(),
        Setting::new("hook", Form::Seconds(1), "running a hook").default("1800").ours(),
        Setting::new("secrets", Form::Seconds(1), "each program that a secrets file runs, including the time that you take to answer its questions").default("300").ours(),
    ],
)
.notes(
    "Bowline stops an operation that exceeds its limit, and the error names the key. Other limits are `deploy_timeout`, `readiness_delay`, \
     `drain_timeout`, `stop_timeout`, `boot/wait` and `--lock-wait`.\n\n\
     Commands in ERB templates run before Bowline can read this file. Their limit is 60 s, or the number of seconds in the \
     environment variable `BOWLINE_TEMPLATE_TIMEOUT`. Commands that you run with `app exec`, `accessory exec` or `server exec` have no limit.",
)
.slips(&[("hooks", "hook"), ("ssh", "connect"), ("keepalive", "silence"), ("secret", "secrets"), ("traefik", "api")]);

impl Timeouts {
    pub(crate) fn decode(section: &Field) -> Self {
        let of = |name: &str, usual: u64| section.at(name).seconds().unwrap_or(Duration::from_secs(usual));
        Self {
            connect: of("connect", 10),
            agent: of("agent", 5),
            confirm: of("confirm", 90),
            silence: of("silence", 25),
            command: of("command", MINUTE),
            lock: of("lock", 30),
            api: of("api", 5),
            route: of("route", 15),
            pull: of("pull", 30 * MINUTE),
            install: of("install", 20 * MINUTE),
            build: of("build", 120 * MINUTE),
            hook: of("hook", 30 * MINUTE),
            secrets: of("secrets", 5 * MINUTE),
        }
    }

    pub fn all(&self) -> [(&'static str, Duration); 13] {
        [
            ("connect", self.connect),
            ("agent", self.agent),
            ("confirm", self.confirm),
            ("silence", self.silence),
            ("command", self.command),
            ("lock", self.lock),
            ("api", self.api),
            ("route", self.route),
            ("pull", self.pull),
            ("install", self.install),
            ("build", self.build),
            ("hook", self.hook),
            ("secrets", self.secrets),
        ]
    }
}
