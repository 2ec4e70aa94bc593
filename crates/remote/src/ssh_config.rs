//! What `~/.ssh/config` says of a host.
//!
//! Where there is an `ssh`, it is asked (`ssh -G HOST`): it alone is right about `Match`, `Include` and
//! canonical names. Elsewhere a small parser reads the user's file and refuses what it does not know, rather
//! than to connect to another place than `ssh` would.
//!
//! `~` is `HOME` in both cases, though `ssh` by itself would go by the passwd entry ([`home`]).
//!
//! The user and port of `deploy.yml` always win, as Kamal passes both always; its `proxy` and `proxy_command`
//! win where they are given.

mod file;
mod home;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use bowline_engine::ports::ServerError;
use tokio::process::Command;

use crate::known_hosts::KnownHosts;
use crate::local::Group;
use crate::options::{Options, UserConfig};
use crate::ssh_config::home::Elsewhere;

/// A host as it is written down, in `deploy.yml` or as somebody's jump host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    /// `None` where the configuration decides.
    pub(crate) user: Option<String>,
    /// `None` where the configuration decides.
    pub(crate) port: Option<u16>,
}

/// What is needed to reach a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostSettings {
    pub(crate) hostname: String,
    pub(crate) user: String,
    pub(crate) port: u16,
    /// The name under which its key is known (`HostKeyAlias`).
    pub(crate) alias: Option<String>,
    pub(crate) identity_files: Vec<PathBuf>,
    pub(crate) identities_only: bool,
    /// The agent's socket.
    pub(crate) agent: Option<PathBuf>,
    pub(crate) jumps: Vec<Endpoint>,
    pub(crate) proxy_command: Option<String>,
    pub(crate) known_hosts: KnownHosts,
}

/// Looks hosts up, each once.
#[derive(Debug)]
pub(crate) struct ConfigReader {
    options: Options,
    elsewhere: Option<Elsewhere>,
    seen: Mutex<HashMap<Endpoint, Arc<HostSettings>>>,
}

impl ConfigReader {
    pub(crate) fn new(options: Options) -> Self {
        Self { elsewhere: Elsewhere::of(&options), options, seen: Mutex::default() }
    }

    /// What is configured for a host.
    pub(crate) async fn settings(&self, endpoint: &Endpoint) -> Result<Arc<HostSettings>, ServerError> {
        let lock = || self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(settings) = lock().get(endpoint) {
            return Ok(Arc::clone(settings));
        }
        let pairs = match &self.options.user_config {
            UserConfig::None => Vec::new(),
            _ => self.ask(endpoint).await?,
        };
        let settings = Arc::new(read(&self.options, endpoint, &Pairs(pairs))?);
        lock().insert(endpoint.clone(), Arc::clone(&settings));
        Ok(settings)
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<Vec<(String, String)>, ServerError> {
        let mut command = Command::new("ssh");
        command.arg("-G").stdin(Stdio::null());
        if let UserConfig::File(file) = &self.options.user_config {
            command.arg("-F").arg(file);
        }
        if let Some(elsewhere) = &self.elsewhere {
            let config = Elsewhere::config();
            let config = config.map_err(|e| trouble(format!("`ssh -G` can't be told of HOME: {e}")))?;
            command.args(["-F", "/dev/stdin"]).stdin(config).env("HOME", elsewhere.home());
        }
        if let Some(user) = &endpoint.user {
            command.args(["-l", user]);
        }
        if let Some(port) = endpoint.port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", &endpoint.host]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        // A `Match exec` in the file can run anything.
        let limit = self.options.timeouts.connect;
        let ran = async {
            let child = command.spawn()?;
            let group = Group::of(&child);
            let output = child.wait_with_output().await;
            group.let_go();
            output
        };
        let output = match tokio::time::timeout(limit, ran).await {
            Ok(Ok(output)) => output,
            Ok(Err(e)) if e.kind() == io::ErrorKind::NotFound => return self.parse(endpoint),
            Ok(Err(e)) => return Err(trouble(format!("`ssh -G` can't be run: {e}"))),
            Err(_) => {
                return Err(trouble(format!(
                    "`ssh -G` gave no answer within {} s (`timeouts: {{connect: SECONDS}}` gives it more)",
                    limit.as_secs_f32()
                )));
            }
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().lines().collect::<Vec<_>>().join("; ");
            return Err(trouble(format!("`ssh -G {}` failed: {said}", endpoint.host)));
        }
        let pairs = pairs(&String::from_utf8_lossy(&output.stdout));
        match &self.elsewhere {
            Some(elsewhere) => Ok(pairs.into_iter().map(|pair| elsewhere.moved(pair)).collect()),
            None => Ok(pairs),
        }
    }

    /// Without an `ssh`.
    fn parse(&self, endpoint: &Endpoint) -> Result<Vec<(String, String)>, ServerError> {
        let path = match &self.options.user_config {
            UserConfig::File(file) => file.clone(),
            _ => self.options.expand("~/.ssh/config"),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => file::pairs(&text, &endpoint.host)
                .map_err(|e| trouble(format!("{}:{}: {}", path.display(), e.line, e.reason))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(trouble(format!("can't read {}: {e}", path.display()))),
        }
    }
}

fn trouble(reason: String) -> ServerError {
    ServerError::Unreachable {
        reason,
        hint: Some("how to reach the server is looked up in the SSH configuration".into()),
    }
}

/// `keyword value` lines, keywords in lower case, the first one counts.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    fn first<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).next()
    }

    fn yes(&self, key: &str) -> bool {
        matches!(self.first(key), Some("yes" | "true"))
    }

    /// `none` switches a setting off.
    fn some<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.first(key).filter(|value| !value.eq_ignore_ascii_case("none"))
    }
}

/// What `ssh -G` prints.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_ascii_lowercase(), value.trim().to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

fn read(options: &Options, endpoint: &Endpoint, pairs: &Pairs) -> Result<HostSettings, ServerError> {
    if let Some(file) = pairs.some("revokedhostkeys") {
        return Err(trouble(format!("RevokedHostKeys ({file}) is not supported; mark keys as @revoked")));
    }
    let user = endpoint.user.clone().or_else(|| pairs.first("user").map(str::to_owned));
    let port = endpoint.port.or_else(|| pairs.first("port").and_then(|port| port.parse().ok()));
    let mut settings = HostSettings {
        hostname: endpoint.host.clone(),
        user: user.unwrap_or_else(|| "root".to_owned()),
        port: port.unwrap_or(22),
        alias: pairs.some("hostkeyalias").map(str::to_owned),
        identity_files: Vec::new(),
        identities_only: pairs.yes("identitiesonly"),
        agent: agent(options, pairs),
        jumps: jumps(pairs.some("proxyjump").unwrap_or_default())?,
        proxy_command: pairs.some("proxycommand").map(str::to_owned),
        known_hosts: KnownHosts {
            user: Vec::new(),
            global: Vec::new(),
            strict: pairs.yes("stricthostkeychecking"),
            hash: pairs.yes("hashknownhosts"),
        },
    };
    if let Some(hostname) = pairs.first("hostname") {
        settings.hostname = hostname.replace("%h", &endpoint.host).replace("%%", "%");
    }
    let tokens = Tokens { options, endpoint, settings: &settings };
    let files = |key: &str, defaults: &str| -> Vec<PathBuf> {
        let given = pairs.first(key).unwrap_or(defaults);
        given.split_ascii_whitespace().filter(|f| *f != "none").map(|f| tokens.path(f)).collect()
    };
    let identities = pairs.all("identityfile").filter(|f| *f != "none").map(|f| tokens.path(f)).collect();
    let user = options
        .known_hosts
        .clone()
        .unwrap_or_else(|| files("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"));
    let global = match options.known_hosts {
        Some(_) => Vec::new(),
        None => files("globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"),
    };
    settings.identity_files = identities;
    settings.known_hosts.user = user;
    settings.known_hosts.global = global;
    Ok(settings)
}

/// `IdentityAgent`, else the one of the environment.
fn agent(options: &Options, pairs: &Pairs) -> Option<PathBuf> {
    match pairs.first("identityagent") {
        Some("none") => None,
        None | Some("SSH_AUTH_SOCK") => options.agent.clone(),
        Some(variable) if variable.starts_with('$') => {
            let name = variable.trim_start_matches('$').trim_matches(['{', '}']);
            std::env::var_os(name).map(PathBuf::from)
        }
        Some(path) => Some(options.expand(path.trim_matches('"'))),
    }
}

/// What `%` letters stand for in paths.
struct Tokens<'a> {
    options: &'a Options,
    endpoint: &'a Endpoint,
    settings: &'a HostSettings,
}

impl Tokens<'_> {
    fn path(&self, text: &str) -> PathBuf {
        let home = self.options.home.as_ref().map(|home| home.display().to_string()).unwrap_or_default();
        let text = expand_tokens(text.trim_matches('"'), |letter| match letter {
            'd' => Some(home.clone()),
            'h' => Some(self.settings.hostname.clone()),
            'n' => Some(self.endpoint.host.clone()),
            'p' => Some(self.settings.port.to_string()),
            'r' => Some(self.settings.user.clone()),
            'u' => std::env::var("USER").ok(),
            _ => None,
        });
        self.options.expand(&text)
    }
}

/// Replaces `%x` by what it stands for; `%%` is a percent sign, and what is unknown stays.
pub(crate) fn expand_tokens(text: &str, meaning: impl Fn(char) -> Option<String>) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some(letter) => match meaning(letter) {
                Some(value) => out.push_str(&value),
                None => out.extend(['%', letter]),
            },
            None => out.push('%'),
        }
    }
    out
}

/// `[user@]host[:port]`, several with commas, also as `ssh://` addresses.
fn jumps(text: &str) -> Result<Vec<Endpoint>, ServerError> {
    text.split(',').map(str::trim).filter(|hop| !hop.is_empty()).map(jump).collect()
}

fn jump(text: &str) -> Result<Endpoint, ServerError> {
    let address = text.strip_prefix("ssh://").unwrap_or(text).trim_end_matches('/');
    let (user, address) = match address.rsplit_once('@') {
        Some((user, address)) => (Some(user.to_owned()), address),
        None => (None, address),
    };
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match address.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (address, None),
        },
    };
    let port = port.map(str::parse).transpose();
    let port = port.map_err(|_| trouble(format!("ProxyJump: {text:?} has no port after its colon")))?;
    Ok(Endpoint { host: host.to_owned(), user, port })
}

#[cfg(test)]
mod tests;
