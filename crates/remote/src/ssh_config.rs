//! The settings of `~/.ssh/config` for a host.
//!
//! They come from `ssh -G HOST`: only `ssh` itself is right about `Match`, `Include` and canonical names. If `ssh`
//! isn't installed, a configuration is an error, because we might connect elsewhere than `ssh` would.
//!
//! `~` is `HOME`, although `ssh` itself uses the passwd entry ([`home`]).
//!
//! The user and port of `deploy.yml` always take precedence, as Kamal always passes both. So do its `proxy` and
//! `proxy_command` if they are set.

mod alike;
mod ask;
mod home;
mod tokens;
mod transport;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bowline_engine::ports::ServerError;

use crate::Result;
use crate::known_hosts::KnownHosts;
use crate::options::{Options, UserConfig};
use crate::ssh_config::ask::Asker;
pub(crate) use crate::ssh_config::tokens::{Tokens, expand};
pub(crate) use crate::ssh_config::transport::{Algorithms, Ends};

/// A host as written in `deploy.yml` or as a jump host. The SSH configuration provides a missing user or port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) user: Option<String>,
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostSettings {
    pub(crate) hostname: String,
    pub(crate) user: String,
    pub(crate) port: u16,
    /// The name of its key in known_hosts files (`HostKeyAlias`).
    pub(crate) alias: Option<String>,
    pub(crate) identity_files: Vec<PathBuf>,
    pub(crate) certificate_files: Vec<PathBuf>,
    pub(crate) identities_only: bool,
    pub(crate) agent: Option<PathBuf>,
    pub(crate) jumps: Vec<Endpoint>,
    pub(crate) proxy_command: Option<String>,
    pub(crate) known_hosts: KnownHosts,
    pub(crate) ends: Ends,
    pub(crate) algorithms: Algorithms,
    /// The keyword that forbids logging in with keys.
    pub(crate) keyless: Option<&'static str>,
    /// `PKCS11Provider`, whose keys are not offered.
    pub(crate) pkcs11: Option<String>,
}

#[derive(Debug)]
pub(crate) struct ConfigReader {
    options: Options,
    asker: Asker,
    seen: Mutex<HashMap<Endpoint, Arc<HostSettings>>>,
}

impl ConfigReader {
    pub(crate) fn new(options: Options) -> Self {
        Self { asker: Asker::new(options.clone()), options, seen: Mutex::default() }
    }

    pub(crate) async fn settings(&self, endpoint: &Endpoint) -> Result<Arc<HostSettings>> {
        let lock = || self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(settings) = lock().get(endpoint) {
            return Ok(Arc::clone(settings));
        }
        let (pairs, quoted) = match &self.options.user_config {
            UserConfig::None => (Pairs(Vec::new()), &[][..]),
            _ => (self.asker.pairs(endpoint).await?, self.asker.quoted()),
        };
        let settings = Arc::new(read(&self.options, endpoint, &pairs, quoted)?);
        lock().insert(endpoint.clone(), Arc::clone(&settings));
        Ok(settings)
    }
}

fn trouble(reason: String) -> ServerError {
    ServerError::Unreachable {
        reason,
        hint: Some("check the SSH configuration, or ignore it with `ssh: {config: false}`".into()),
    }
}

/// `keyword value` lines with keywords in lower case. The first one wins.
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

    /// Like [`Self::first`], without the value `none`, which turns a setting off.
    fn some<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.first(key).filter(|value| !value.eq_ignore_ascii_case("none"))
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_ascii_lowercase(), value.trim().to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// Rejects settings that change the route or the trust, and that we don't support.
fn refuse(pairs: &Pairs) -> Result<()> {
    if let Some(file) = pairs.some("revokedhostkeys") {
        return Err(trouble(format!("RevokedHostKeys ({file}) is not supported; mark keys as @revoked")));
    }
    if pairs.yes("proxyusefdpass") && pairs.some("proxycommand").is_some() {
        return Err(trouble(
            "ProxyUseFdpass is not supported: the proxy command must pass the bytes itself".into(),
        ));
    }
    Ok(())
}

/// `quoted` contains the lists of files that are quoted in the configuration.
fn read(
    options: &Options,
    endpoint: &Endpoint,
    pairs: &Pairs,
    quoted: &[Vec<String>],
) -> Result<HostSettings> {
    refuse(pairs)?;
    let user = endpoint.user.clone().or_else(|| pairs.first("user").map(str::to_owned));
    let port = endpoint.port.or_else(|| pairs.first("port").and_then(|port| port.parse().ok()));
    let mut settings = HostSettings {
        // `ssh -G` has replaced the tokens in it.
        hostname: pairs.first("hostname").unwrap_or(&endpoint.host).to_owned(),
        user: user.unwrap_or_else(|| "root".to_owned()),
        port: port.unwrap_or(22),
        alias: pairs.some("hostkeyalias").map(str::to_owned),
        identity_files: Vec::new(),
        certificate_files: Vec::new(),
        identities_only: pairs.yes("identitiesonly"),
        agent: agent(options, pairs),
        jumps: jumps(pairs.some("proxyjump").unwrap_or_default())?,
        proxy_command: pairs.some("proxycommand").map(str::to_owned),
        known_hosts: KnownHosts {
            user: Vec::new(),
            global: Vec::new(),
            command: pairs.some("knownhostscommand").map(str::to_owned),
            strict: pairs.yes("stricthostkeychecking"),
            new_hosts: options.new_hosts,
            hash: pairs.yes("hashknownhosts"),
        },
        ends: Ends::read(pairs),
        algorithms: Algorithms::read(pairs),
        keyless: keyless(pairs),
        pkcs11: pairs.some("pkcs11provider").map(str::to_owned),
    };
    let tokens = Tokens { options, endpoint, settings: &settings };
    let files = |key: &str, defaults: &str| tokens.files(pairs.first(key).unwrap_or(defaults), quoted);
    let each = |key: &str| -> Vec<PathBuf> {
        pairs.all(key).filter(|f| *f != "none").map(|f| tokens.path(f.trim_matches('"'))).collect()
    };
    let (identities, certificates) = (each("identityfile"), each("certificatefile"));
    let user = options
        .known_hosts
        .clone()
        .unwrap_or_else(|| files("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"));
    let global = match options.known_hosts {
        Some(_) => Vec::new(),
        None => files("globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"),
    };
    settings.identity_files = identities;
    settings.certificate_files = certificates;
    settings.known_hosts.user = user;
    settings.known_hosts.global = global;
    Ok(settings)
}

fn keyless(pairs: &Pairs) -> Option<&'static str> {
    let no_keys = |methods: &str| !methods.split(',').any(|method| method.trim() == "publickey");
    match pairs.first("pubkeyauthentication") {
        Some("no" | "false") => Some("PubkeyAuthentication"),
        _ if pairs.first("preferredauthentications").is_some_and(no_keys) => Some("PreferredAuthentications"),
        _ => None,
    }
}

/// The socket that `IdentityAgent` sets, or else the environment.
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

/// Parses `[user@]host[:port]` or `ssh://` addresses, separated by commas.
fn jumps(text: &str) -> Result<Vec<Endpoint>> {
    text.split(',').map(str::trim).filter(|hop| !hop.is_empty()).map(jump).collect()
}

fn jump(text: &str) -> Result<Endpoint> {
    let address = text.strip_prefix("ssh://").unwrap_or(text).trim_end_matches('/');
    Endpoint::parse(address)
        .ok_or_else(|| trouble(format!("ProxyJump: {text:?} has no port after its colon")))
}

impl Endpoint {
    /// Parses `[USER@]HOST[:PORT]`. An IPv6 address needs brackets if a port follows. `None` if the port is invalid.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (user, address) = match text.rsplit_once('@') {
            Some((user, address)) => (Some(user.to_owned()), address),
            None => (None, text),
        };
        let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
            None => match address.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') => (host, Some(port)),
                _ => (address, None),
            },
        };
        let port = port.map(str::parse).transpose().ok()?;
        Some(Self { host: host.to_owned(), user, port })
    }
}

#[cfg(test)]
mod tests;
