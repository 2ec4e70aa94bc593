//! `ssh`: how servers are reached.

use super::decode::{Field, Keys, Report};

/// `ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// `user` (`root`).
    pub user: String,
    /// `port` (22).
    pub port: u16,
    /// `keys`: private key files; `~` is expanded by whoever reads them.
    pub keys: Vec<String>,
    /// `keys_only`: neither the default key files nor other keys of the agent are tried. For the files of
    /// `keys` the agent may still sign.
    pub keys_only: bool,
    /// `proxy`: jump hosts, first hop first.
    pub proxy: Vec<Jump>,
    /// `proxy_command`: a local command whose standard input and output are the connection (`%h`, `%p`, `%r`).
    pub proxy_command: Option<String>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            user: "root".into(),
            port: 22,
            keys: Vec::new(),
            keys_only: false,
            proxy: Vec::new(),
            proxy_command: None,
        }
    }
}

/// One jump host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The user there (`root` unless given as `user@host`).
    pub user: String,
    /// Name or address.
    pub host: String,
    /// Port (22).
    pub port: u16,
}

const KEYS: Keys = Keys {
    known: &["user", "port", "keys", "keys_only", "proxy", "proxy_command", "log_level"],
    later: &["key_data", "config", "forward_agent"],
};

impl Ssh {
    pub(super) fn decode(field: &Field, report: &mut Report) -> Self {
        let default = Self::default();
        let Some(section) = field.section(&KEYS, report) else { return default };
        // How much Kamal's SSH library tells; accepted, without a meaning here.
        section.string("log_level", report);
        let proxy = section.get("proxy").map(|field| jumps(&field, report)).unwrap_or_default();
        let mut proxy_command = section.filled("proxy_command", report);
        if let (true, Some(command)) = (section.get("proxy").is_some(), section.get("proxy_command")) {
            report.push(command.warning("has no effect, since ssh/proxy is given"));
            proxy_command = None;
        }
        Self {
            user: section.filled("user", report).unwrap_or(default.user),
            port: section.get("port").and_then(|field| port(&field, report)).unwrap_or(default.port),
            keys: section.get("keys").and_then(|field| field.strings(report)).unwrap_or_default(),
            keys_only: section.boolean("keys_only", report).unwrap_or(false),
            proxy,
            proxy_command,
        }
    }
}

/// A port may be quoted here, unlike elsewhere.
fn port(field: &Field, report: &mut Report) -> Option<u16> {
    match field.scalar() {
        Some(scalar) if !scalar.plain => match scalar.text.trim().parse::<i64>() {
            Ok(port) => field.within(port, 1, 65535, report).and_then(|port| u16::try_from(port).ok()),
            Err(_) => {
                field.wrong_type("an integer", report);
                None
            }
        },
        _ => field.port(report),
    }
}

fn jumps(field: &Field, report: &mut Report) -> Vec<Jump> {
    let Some(text) = field.filled(report) else { return Vec::new() };
    let mut jumps = Vec::new();
    for hop in text.split(',').map(str::trim) {
        match Jump::parse(hop) {
            Some(jump) => jumps.push(jump),
            None => report.push(
                field.error("should be `HOST`, `USER@HOST` or `USER@HOST:PORT`, several with commas between"),
            ),
        }
    }
    jumps
}

impl Jump {
    /// `[USER@]HOST[:PORT]`; an IPv6 address with a port stands in brackets.
    fn parse(text: &str) -> Option<Self> {
        let (user, rest) = text.rsplit_once('@').unwrap_or(("root", text));
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, after)) => (host, after.strip_prefix(':').or(after.is_empty().then_some("22"))?),
            None if rest.matches(':').count() > 1 => (rest, "22"),
            None => rest.split_once(':').unwrap_or((rest, "22")),
        };
        let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
        let sound = !user.is_empty() && super::servers::bad_host(host).is_none();
        sound.then(|| Self { user: user.into(), host: host.into(), port })
    }
}
