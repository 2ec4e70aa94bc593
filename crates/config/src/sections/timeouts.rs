//! `timeouts`: the longest that Bowline waits for what has no setting of its own.

use std::time::Duration;

use crate::decode::Field;
use crate::describe::{Form, Keys, Setting};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// `connect` (10 s): from the first packet to being let in.
    pub connect: Duration,
    /// `agent` (5 s): until the SSH agent says which keys it holds.
    pub agent: Duration,
    /// `confirm` (90 s): until the owner of an agent's key lets it sign.
    pub confirm: Duration,
    /// `silence` (25 s): without a sign of life a connection is dead.
    pub silence: Duration,
    /// `command` (60 s): a command on a server, beyond what it waits for by itself.
    pub command: Duration,
    /// `lock` (30 s): until the deploy lock is made, or given back.
    pub lock: Duration,
    /// `api` (5 s): each answer of Traefik.
    pub api: Duration,
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
        Self::decode(&Field::nothing())
    }
}

pub(crate) const KEYS: Keys = Keys::new(
    "timeouts",
    "The longest that Bowline waits for what has no setting of its own, in seconds.",
    &[
        Setting::new("connect", Form::Seconds(1), "a new connection, from the first packet to being let in (not the time in which you are asked for a passphrase); before it, `ssh -G` telling what your SSH configuration says of the server")
            .default("10")
            .ours(),
        Setting::new("agent", Form::Seconds(1), "until the SSH agent says which keys it holds").default("5").ours(),
        Setting::new("confirm", Form::Seconds(1), "until you let the SSH agent use a key that asks first").default("90").ours(),
        Setting::new("silence", Form::Seconds(5), "without a sign of life for so long, a connection is dead").default("25").ours(),
        Setting::new("command", Form::Seconds(1), "a command of Bowline on a server, beyond what it waits for by itself").default("60").ours(),
        Setting::new("lock", Form::Seconds(1), "until the deploy lock is made, or given back").default("30").ours(),
        Setting::new("api", Form::Seconds(1), "each answer of Traefik's API").default("5").ours(),
        Setting::new("route", Form::Seconds(1), "until Traefik sends requests to a new container, or none to an old one").default("15").ours(),
        Setting::new("pull", Form::Seconds(1), "an image, or a directory of files, on its way to a server").default("1800").ours(),
        Setting::new("install", Form::Seconds(1), "the installation of Docker on a server").default("1200").ours(),
        Setting::new("build", Form::Seconds(1), "each program of a build: the clone, the build, the push").default("7200").ours(),
        Setting::new("hook", Form::Seconds(1), "a hook").default("1800").ours(),
        Setting::new("secrets", Form::Seconds(1), "a program that a secrets file runs, including the time you take to answer it").default("300").ours(),
    ],
)
.notes(
    "What takes longer is stopped, and the error names its setting. Other waits have settings elsewhere: `deploy_timeout`, `readiness_delay`, \
     `drain_timeout`, `stop_timeout`, `boot/wait`, and `--lock-wait`. A program of a template may take 60 s, or as many as \
     `BOWLINE_TEMPLATE_TIMEOUT` says: it runs before this file can be read. What you start yourself, with `app exec`, \
     `accessory exec` and `server exec`, may take as long as it likes.",
)
.slips(&[("hooks", "hook"), ("ssh", "connect"), ("keepalive", "silence"), ("secret", "secrets"), ("traefik", "api")]);

impl Timeouts {
    pub(crate) fn decode(field: &Field) -> Self {
        let section = field.section();
        let of = |name: &str, usual: u64| section.seconds(name).unwrap_or(Duration::from_secs(usual));
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

    /// Each by its name.
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
