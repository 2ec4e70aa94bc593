//! `ssh`: how Bowline connects to servers.

use serde::{Serialize, Serializer};

use crate::decode::{Field, Report};
use crate::describe::{Form, Keys, LIST, Like, QUOTABLE_PORT, Setting};
use crate::secret::Secret;
use crate::servers::{bad_host, split_port};
use crate::shown;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ssh {
    pub user: String,
    pub port: u16,
    /// `keys`: private key files. The reader of the files expands `~`.
    pub keys: Vec<String>,
    /// `keys_only`: don't try the default key files and other keys of the agent. The agent may still sign for the files
    /// of `keys`.
    pub keys_only: bool,
    /// `proxy`: jump hosts, first hop first.
    pub proxy: Vec<Jump>,
    /// `proxy_command`: a local command whose standard input and output carry the connection (`%h`, `%p`, `%r`).
    pub proxy_command: Option<String>,
    /// `key_data`: private keys, tried first.
    pub key_data: Vec<KeyData>,
    pub config: SshConfig,
    /// `forward_agent` as written, for display. Bowline never forwards the agent.
    pub forward_agent: Option<bool>,
    /// `log_level` as written, for display: how much Kamal's library logs.
    pub log_level: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyData {
    /// The name of a secret that holds a private key.
    Named(String),
    Inline(Secret),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SshConfig {
    /// `~/.ssh/config` and the system-wide file.
    #[default]
    Default,
    /// `false`: none.
    Off,
    /// This file instead.
    File(String),
}

impl Default for Ssh {
    fn default() -> Self {
        Self::decode(&Field::nothing(), &mut Report::default())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The user on the jump host (`root` unless given as `user@host`).
    pub user: String,
    pub host: String,
    pub port: u16,
}

impl Serialize for Jump {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { user, host, port } = self;
        match host.contains(':') {
            true => to.collect_str(&format_args!("{user}@[{host}]:{port}")),
            false => to.collect_str(&format_args!("{user}@{host}:{port}")),
        }
    }
}

const JUMPS: Like = Like {
    wanted: "`HOST`, `USER@HOST` or `USER@HOST:PORT`, or several, comma-separated",
    help: "",
    reads: |text| text.split(',').all(|hop| Jump::parse(hop.trim()).is_some()),
    pattern: "^[^\\s,]+(\\s*,\\s*[^\\s,]+)*$",
    words: &[],
    examples: &["gate.example.com", "\"me@one:2222, two\""],
};

pub(crate) const KEYS: Keys = Keys::new(
    "ssh",
    "How Bowline connects to servers.",
    &[
        Setting::new("user", Form::Filled, "the SSH user. Bowline never takes it from `~/.ssh/config`")
            .default("`root`")
            .examples(&["deploy"]),
        Setting::new("port", QUOTABLE_PORT, "the SSH port. Bowline never takes it from `~/.ssh/config`")
            .default("22")
            .examples(&["2222", "\"2222\""]),
        Setting::new("keys", LIST, "private key files, which Bowline tries first").examples(&["[~/.ssh/deploy]"]),
        Setting::new("keys_only", Form::Boolean, "whether to use only `keys` and `key_data`: no default key files and no other keys of the agent").default("false"),
        Setting::new(
            "key_data",
            LIST,
            "private keys, which Bowline tries first: names of secrets, or (with a warning) the keys themselves. \
             Bowline resolves these secrets before the first connection. Keys with a passphrase don't work here",
        )
        .examples(&["[DEPLOY_KEY]"]),
        Setting::new("proxy", Form::Either(&[Form::False, Form::Like(&JUMPS)]), "the jump host: `HOST`, `USER@HOST` or `USER@HOST:PORT`, or several, comma-separated; the default user is `root`. `false` for none")
            .examples(&["gate.example.com", "\"me@one:2222, two\""]),
        Setting::new("proxy_command", Form::Filled, "a local command whose standard input and output carry the connection, like OpenSSH's `ProxyCommand`, with the tokens of ssh_config(5) (`%h`, `%p`, `%r`). `proxy` takes precedence")
            .examples(&["\"nc %h %p\""]),
        Setting::new(
            "config",
            Form::Either(&[Form::Boolean, Form::Filled, LIST]),
            "the OpenSSH configuration to read: `true` for `~/.ssh/config`, `false` for none, or the path of another file. A list can \
             have only one entry",
        )
        .default("true")
        .kamal2("")
        .examples(&["false", "config/ssh", "[config/ssh]"]),
        Setting::new("forward_agent", Form::Boolean, "whether programs on servers can use your agent")
            .default("false")
            .kamal2("")
            .no_effect("Bowline never forwards your agent, because nothing that it runs on a server needs one"),
        Setting::new("log_level", Form::Usual(&["debug", "info", "warn", "error", "fatal"]), "how much Kamal's SSH library logs")
            .no_effect("`-v` shows what Bowline does"),
    ],
)
.notes(
    "Bowline takes everything else from `~/.ssh/config`, by running `ssh -G`. If you have that file but no `ssh` program, Bowline stops \
     with an error: install OpenSSH's client, or set `config: false`.\n\n\
     **New servers.** Unlike `ssh`, Bowline doesn't ask before it connects to a server for the first time: it accepts the server's key \
     and writes it to `known_hosts`. To reject unknown servers, set `StrictHostKeyChecking yes` in `~/.ssh/config`. Bowline never \
     connects to a server whose key has changed or was revoked.\n\n\
     **Not supported**: passwords, agent forwarding, and `PKCS11Provider` (load its keys into an agent with `ssh-add -s`).\n\n\
     [timeouts](#timeouts) lists the time limits for connections.",
)
.slips(&[("key", "keys"), ("identity_file", "keys"), ("jump", "proxy")]);

impl Ssh {
    pub(crate) fn decode(section: &Field, report: &mut Report) -> Self {
        let proxy = section.at("proxy").text_unless_off().map(|text| jumps(&text)).unwrap_or_default();
        let mut proxy_command = section.at("proxy_command").text_unless_off();
        if let (false, Some(command)) = (proxy.is_empty(), section.get("proxy_command")) {
            report.push(command.warning("is ignored because ssh/proxy is set"));
            proxy_command = None;
        }
        if let Some(field) = section.get("forward_agent").filter(|field| field.boolean() == Some(true)) {
            report.push(field.warning("has no effect: Bowline never forwards the agent"));
        }
        Self {
            user: section.at("user").text().unwrap_or_else(|| "root".into()),
            port: section.at("port").port().unwrap_or(22),
            keys: section.at("keys").strings(),
            keys_only: section.at("keys_only").boolean().unwrap_or(false),
            key_data: KeyData::decode(&section.at("key_data"), report),
            proxy,
            proxy_command,
            config: section.get("config").map(|field| SshConfig::decode(&field, report)).unwrap_or_default(),
            forward_agent: section.at("forward_agent").boolean(),
            log_level: section.at("log_level").word().map(Into::into),
        }
    }
}

impl Serialize for KeyData {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            KeyData::Named(name) => shown::secret(name).serialize(to),
            KeyData::Inline(key) => key.serialize(to),
        }
    }
}

impl KeyData {
    /// Kamal 1 accepts only keys. Kamal 2 accepts names of secrets, and reads anything else as a key.
    fn decode(field: &Field, report: &mut Report) -> Vec<Self> {
        let entry = |field: Field| {
            let text = field.text()?;
            if text.contains("PRIVATE KEY-----") {
                let warning = "is a private key in the configuration file";
                report.push(field.warning(warning).help("put it into a secret, and name that one here"));
                return Some(Self::Inline(Secret::new(text)));
            }
            report.names_secret(&field, &text);
            Some(Self::Named(text))
        };
        field.list().into_iter().filter_map(entry).collect()
    }
}

impl Ssh {
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.key_data.iter().filter_map(|key| match key {
            KeyData::Named(name) => Some(name.as_str()),
            KeyData::Inline(_) => None,
        })
    }
}

impl Serialize for SshConfig {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            SshConfig::Default => to.serialize_none(),
            SshConfig::Off => to.serialize_bool(false),
            SshConfig::File(file) => [file].serialize(to),
        }
    }
}

impl SshConfig {
    fn decode(field: &Field, report: &mut Report) -> Self {
        if let Some(second) = field.list().get(1) {
            let error = second.error("several files are not supported yet");
            report.push(error.help("name one file that includes the others (`Include`)"));
        }
        match (field.boolean(), field.text().or_else(|| field.strings().into_iter().next())) {
            (Some(true), _) => SshConfig::Default,
            (_, Some(file)) if field.boolean().is_none() => SshConfig::File(file),
            _ => SshConfig::Off,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'s> {
    pub user: &'s str,
    pub host: &'s str,
    pub port: u16,
}

impl Ssh {
    /// Parses a host of `servers`: `[USER@]HOST[:PORT]`. This section supplies the missing parts.
    pub fn target<'s>(&'s self, server: &'s str) -> Target<'s> {
        let (user, rest) = server.rsplit_once('@').unwrap_or((&self.user, server));
        let (host, port) = split_port(rest);
        Target { user, host, port: port.and_then(|port| port.parse().ok()).unwrap_or(self.port) }
    }
}

fn jumps(text: &str) -> Vec<Jump> {
    text.split(',').filter_map(|hop| Jump::parse(hop.trim())).collect()
}

impl Jump {
    /// Parses `[USER@]HOST[:PORT]`.
    fn parse(text: &str) -> Option<Self> {
        let (user, rest) = text.rsplit_once('@').unwrap_or(("root", text));
        if user.is_empty() || bad_host(rest).is_some() {
            return None;
        }
        let (host, port) = split_port(rest);
        Some(Self { user: user.into(), host: host.into(), port: port.map_or(Ok(22), str::parse).ok()? })
    }
}
