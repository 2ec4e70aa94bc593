//! Turns what `bowline doctor` saw into findings, one for each thing checked. The engine does the checks.

mod certificate;
mod project;
pub mod server;

pub use certificate::expiry;
pub use project::untouched;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Ok,
    /// A deploy works, but something is odd.
    Warning,
    /// A deploy would fail, or not do what it should.
    Problem,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What a finding is about, in display order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Tools,
    Configuration,
    Hooks,
    Secrets,
    Dns,
    Ssh,
    Docker,
    Disk,
    Clock,
    Registry,
    Ports,
    Proxy,
    Certificates,
    Leftovers,
    Lock,
}

impl Topic {
    pub const ALL: [Self; 15] = [
        Self::Tools,
        Self::Configuration,
        Self::Hooks,
        Self::Secrets,
        Self::Dns,
        Self::Ssh,
        Self::Docker,
        Self::Disk,
        Self::Clock,
        Self::Registry,
        Self::Ports,
        Self::Proxy,
        Self::Certificates,
        Self::Leftovers,
        Self::Lock,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Configuration => "configuration",
            Self::Hooks => "hooks",
            Self::Secrets => "secrets",
            Self::Registry => "registry",
            Self::Dns => "dns",
            Self::Ssh => "ssh",
            Self::Docker => "docker",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Ports => "ports",
            Self::Proxy => "proxy",
            Self::Certificates => "certificates",
            Self::Leftovers => "leftovers",
            Self::Lock => "lock",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    pub topic: Topic,
    /// The server. `None` if the finding is about this machine or the project.
    pub host: Option<String>,
    pub text: String,
    pub hint: Option<String>,
}

impl Finding {
    pub fn ok(topic: Topic, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, topic, host: None, text: text.into(), hint: None }
    }

    pub fn warning(topic: Topic, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Warning, topic, host: None, text: text.into(), hint: Some(hint.into()) }
    }

    pub fn problem(topic: Topic, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Problem, topic, host: None, text: text.into(), hint: Some(hint.into()) }
    }

    #[must_use]
    pub fn on(self, host: &str) -> Self {
        Self { host: Some(host.into()), ..self }
    }
}

/// A time span in a word or two: `3 days`, `45 s`.
pub(crate) fn span(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..120 => return format!("{seconds} s"),
        120..7200 => (seconds / 60, "minutes"),
        7200..172_800 => (seconds / 3600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{number} {unit}")
}
