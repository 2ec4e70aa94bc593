//! `timeouts`: the longest that Bowline waits for what has no setting of its own.

use std::time::Duration;

use super::decode::Field;
use super::describe::{Form, Keys, Setting};

/// `timeouts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// `connect` (10 s): from the first packet to being let in.
    pub connect: Duration,
    /// `silence` (25 s): without a sign of life a connection is dead.
    pub silence: Duration,
    /// `command` (60 s): a command on a server, beyond what it waits for by itself.
    pub command: Duration,
    /// `route` (15 s): until Traefik's routes show what changed.
    pub route: Duration,
    /// `pull` (30 min): an image on its way to a server.
    pub pull: Duration,
    /// `install` (20 min): Docker on a new server.
    pub install: Duration,
    /// `build` (2 h): each program of a build on this machine.
    pub build: Duration,
    /// `hook` (30 min).
    pub hook: Duration,
    /// `secrets` (5 min): a program that a secrets file asks, and whom it asks.
    pub secrets: Duration,
}

const MINUTE: u64 = 60;

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(25),
            command: Duration::from_secs(MINUTE),
            route: Duration::from_secs(15),
            pull: Duration::from_secs(30 * MINUTE),
            install: Duration::from_secs(20 * MINUTE),
            build: Duration::from_secs(120 * MINUTE),
            hook: Duration::from_secs(30 * MINUTE),
            secrets: Duration::from_secs(5 * MINUTE),
        }
    }
}

/// `timeouts`.
pub(super) const KEYS: Keys = Keys::new(
    "timeouts",
    "The longest that Bowline waits for what has no setting of its own, in seconds.",
    &[
        Setting::new("connect", Form::Seconds(1), "a new connection, from the first packet to being let in (not the time in which you are asked for a passphrase)")
            .default("10")
            .ours(),
        Setting::new("silence", Form::Seconds(5), "without a sign of life for so long, a connection is dead").default("25").ours(),
        Setting::new("command", Form::Seconds(1), "a command of Bowline on a server, beyond what it waits for by itself").default("60").ours(),
        Setting::new("route", Form::Seconds(1), "until Traefik sends requests to a new container, or none to an old one").default("15").ours(),
        Setting::new("pull", Form::Seconds(1), "an image, or a directory of files, on its way to a server").default("1800").ours(),
        Setting::new("install", Form::Seconds(1), "the installation of Docker on a server").default("1200").ours(),
        Setting::new("build", Form::Seconds(1), "each program of a build: the clone, the build, the push").default("7200").ours(),
        Setting::new("hook", Form::Seconds(1), "a hook").default("1800").ours(),
        Setting::new("secrets", Form::Seconds(1), "a program that a secrets file asks; the person whom that asks, too").default("300").ours(),
    ],
)
.notes(
    "What is over its time is ended, and named with its setting. Other waits have settings elsewhere: `deploy_timeout`, `readiness_delay`, \
     `drain_timeout`, `stop_timeout`, `boot/wait`, and `--lock-wait`. A program of a template may take 60 s, or as many as \
     `BOWLINE_TEMPLATE_TIMEOUT` says: it runs before this file can be read. What you start yourself, with `app exec`, \
     `accessory exec` and `server exec`, may take as long as it likes.",
)
.slips(&[("hooks", "hook"), ("ssh", "connect"), ("keepalive", "silence"), ("secret", "secrets")]);

impl Timeouts {
    pub(super) fn decode(field: &Field) -> Self {
        let (section, default) = (field.section(), Self::default());
        let of = |name: &str, default| section.seconds(name).unwrap_or(default);
        Self {
            connect: of("connect", default.connect),
            silence: of("silence", default.silence),
            command: of("command", default.command),
            route: of("route", default.route),
            pull: of("pull", default.pull),
            install: of("install", default.install),
            build: of("build", default.build),
            hook: of("hook", default.hook),
            secrets: of("secrets", default.secrets),
        }
    }

    /// Each by its name.
    pub fn all(&self) -> [(&'static str, Duration); 9] {
        [
            ("connect", self.connect),
            ("silence", self.silence),
            ("command", self.command),
            ("route", self.route),
            ("pull", self.pull),
            ("install", self.install),
            ("build", self.build),
            ("hook", self.hook),
            ("secrets", self.secrets),
        ]
    }
}
