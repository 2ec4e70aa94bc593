//! Reads from the environment how this version behaves. An empty variable counts as unset, because an image can leave
//! a build argument empty but not unset.

use std::env;
use std::str::FromStr;
use std::time::Duration;

/// What to do on SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnTerm {
    /// Stop accepting connections, finish open requests, exit.
    Drain,
    /// Exit at once, even in the middle of a request.
    Exit,
    /// Keep running. Only SIGKILL ends it.
    Ignore,
}

#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) version: String,
    pub(crate) port: u16,
    pub(crate) public: String,
    pub(crate) healthy: bool,
    pub(crate) health_fail_after: Option<Duration>,
    pub(crate) start_delay: Duration,
    pub(crate) exit_at_boot: Option<u8>,
    pub(crate) on_term: OnTerm,
    pub(crate) drain: Duration,
}

impl Behaviour {
    /// Reads the environment. The error names the variable and its value.
    pub(crate) fn from_env() -> Result<Self, String> {
        Ok(Self {
            version: text("VERSION").unwrap_or_else(|| "dev".into()),
            port: number("PORT")?.unwrap_or(3000),
            public: text("PUBLIC_PATH").unwrap_or_else(|| "/app/public".into()),
            healthy: text("HEALTH").as_deref() != Some("fail"),
            health_fail_after: number("HEALTH_FAIL_AFTER_MS")?.map(Duration::from_millis),
            start_delay: Duration::from_millis(number("START_DELAY_MS")?.unwrap_or(0)),
            exit_at_boot: number("EXIT_AT_BOOT")?,
            on_term: match text("ON_TERM").as_deref() {
                None | Some("drain") => OnTerm::Drain,
                Some("exit") => OnTerm::Exit,
                Some("ignore") => OnTerm::Ignore,
                Some(other) => return Err(format!("ON_TERM={other} (drain, exit or ignore)")),
            },
            drain: Duration::from_millis(number("DRAIN_MS")?.unwrap_or(30_000)),
        })
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T: FromStr>(name: &str) -> Result<Option<T>, String> {
    text(name).map(|value| value.parse().map_err(|_| format!("{name}={value} is no number"))).transpose()
}
