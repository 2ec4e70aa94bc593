//! A role: its hosts, its settings, and what it inherits from the root.

mod keys;

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::decode::{Field, Report};
use crate::diagnostic::Diagnostic;
use crate::generation::Generation;
use crate::merge::{merge, merge_files};
use crate::pairs::{OptionValue, Pairs, merge_pairs};
use crate::shown;
use crate::source::Node;
use crate::suggest::did_you_mean;
use crate::{Env, Healthcheck, Logging, Proxy, healthcheck, publish};
pub(crate) use keys::{ASSET_PATH, HOSTS, KEYS};

/// A role, with what it inherits from the root already merged in.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    pub name: String,
    /// Its hosts in order, each once.
    pub hosts: Vec<RoleHost>,
    /// `cmd`, appended after the image.
    pub cmd: Option<String>,
    pub options: Vec<(String, OptionValue)>,
    /// The root's labels merged with the role's, without those that Bowline sets.
    pub labels: Pairs,
    /// The role's own env (see [`crate::Config::env_for`]).
    pub env: Env,
    /// The root's logging merged with the role's.
    pub logging: Logging,
    /// `asset_path` of the role, else of the root; only for roles behind a proxy.
    pub asset_path: Option<AssetPath>,
    pub served_by: ServedBy,
    /// `docker stop -t`: `stop_timeout` of the role, else the root's (`stop_wait_time` in Kamal 1), else
    /// `drain_timeout` for a Kamal 2 role without a proxy. If absent, Docker's default of 10 s applies.
    pub stop_timeout: Option<Duration>,
    /// The health check. A role without Traefik has one only if the role itself sets it.
    pub healthcheck: Option<Healthcheck>,
}

/// What sends requests to a role's containers. By default, only the primary role has a proxy.
#[derive(Debug, Clone, PartialEq)]
pub enum ServedBy {
    Nothing,
    /// Traefik: `traefik: true`. Only in a configuration for Kamal 1.
    Traefik,
    /// kamal-proxy: `proxy` of the role over the root's. Only in a configuration for Kamal 2.
    KamalProxy(Box<Proxy>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleHost {
    /// Name or address, as `ssh` takes it.
    pub host: String,
    /// Its tags, in order, each once.
    pub tags: Vec<String>,
}

/// `asset_path`: `PATH` or `PATH:mount-options`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetPath {
    /// The directory in the image, without a `/` at its end: `/app/public/assets`.
    pub path: String,
    /// `ro`, `z`, …
    pub mount_options: Option<String>,
}

/// Labels that Bowline sets to find its containers.
const RESERVED: &[&str] = &["destination", "role", "service"];

/// What a role inherits from the root.
#[derive(Debug)]
pub(crate) struct Inherited<'n> {
    pub(crate) generation: Generation,
    pub(crate) labels: Pairs,
    pub(crate) root: Field<'n>,
    pub(crate) asset_path: Option<AssetPath>,
    /// The root's `proxy`, as written for merging with a role's, and as a value for roles without one.
    pub(crate) proxy: Option<(Field<'n>, Proxy)>,
    pub(crate) drain_timeout: Duration,
    pub(crate) stop_timeout: Option<Duration>,
}

impl Role {
    /// A list of hosts, or a map. The caller reads the hosts.
    pub(crate) fn decode(
        name: &str,
        section: &Field,
        primary: bool,
        from: &Inherited,
        report: &mut Report,
    ) -> Self {
        let served_by = ServedBy::decode(section, primary, from, report);
        let traefik = served_by == ServedBy::Traefik;
        let own = labels(&section.at("labels"), report);
        let mut role = Self {
            name: name.into(),
            hosts: Vec::new(),
            cmd: section.at("cmd").text(),
            options: options(&section.at("options"), report),
            labels: merge_pairs(&from.labels_of(traefik), &own),
            env: Env::decode(&section.at("env"), report),
            logging: Logging::decode(&Field::new("", &from.with("logging", section))),
            asset_path: None,
            served_by,
            stop_timeout: None,
            healthcheck: None,
        };
        role.stop_timeout = section.at("stop_timeout").seconds().or(from.stop_timeout(role.is_proxied()));
        role.asset_path = role.decode_asset_path(section, from, report);
        role.healthcheck = role.decode_healthcheck(section, from, report);
        role
    }

    pub fn is_proxied(&self) -> bool {
        self.served_by != ServedBy::Nothing
    }

    pub fn kamal_proxy(&self) -> Option<&Proxy> {
        match &self.served_by {
            ServedBy::KamalProxy(proxy) => Some(proxy),
            ServedBy::Nothing | ServedBy::Traefik => None,
        }
    }

    fn decode_asset_path(&self, section: &Field, from: &Inherited, report: &mut Report) -> Option<AssetPath> {
        let own = section.get("asset_path").map(|field| (AssetPath::decode(&field, report), field));
        if let (false, Some((_, field))) = (self.is_proxied(), &own) {
            report.push(field.warning("is ignored: no proxy sends requests to this role"));
        }
        let path = own.map_or_else(|| from.asset_path.clone(), |(path, _)| path);
        path.filter(|_| self.is_proxied())
    }

    fn decode_healthcheck(
        &self,
        section: &Field,
        from: &Inherited,
        report: &mut Report,
    ) -> Option<Healthcheck> {
        if self.served_by == ServedBy::Traefik {
            return Some(Healthcheck::decode(&Field::new("", &from.with("healthcheck", section)), true));
        }
        let field = section.get("healthcheck")?;
        if !healthcheck::sets_check(&field) {
            report.push(
                field
                    .warning("is ignored: Traefik doesn't send requests to this role")
                    .help("set `cmd`, `port` or `path` to check its containers"),
            );
            return None;
        }
        Some(Healthcheck::decode(&field, false))
    }
}

impl ServedBy {
    fn decode(section: &Field, primary: bool, from: &Inherited, report: &mut Report) -> Self {
        let traefik = section.at("traefik").boolean();
        if let Some(own) = section.get("proxy") {
            let proxy = from.proxy_with(&own, report);
            return proxy.map_or(ServedBy::Nothing, |proxy| ServedBy::KamalProxy(Box::new(proxy)));
        }
        match from.generation {
            _ if traefik == Some(true) => ServedBy::Traefik,
            _ if traefik == Some(false) || !primary => ServedBy::Nothing,
            Generation::One => ServedBy::Traefik,
            Generation::Two => ServedBy::KamalProxy(Box::new(from.proxy())),
        }
    }
}

impl Inherited<'_> {
    /// A section of the root, with a role's merged over it.
    fn with(&self, name: &str, role: &Field) -> Node {
        merge_files(self.root.at(name).node.clone(), role.at(name).node.clone())
    }

    /// The root's labels. Traefik labels go only to roles behind Traefik: on other containers they would contradict the
    /// labels of those roles for the same routers, and Traefik would drop both.
    fn labels_of(&self, traefik: bool) -> Pairs {
        let is_for = |key: &str| traefik || !key.to_ascii_lowercase().starts_with("traefik.");
        self.labels.iter().filter(|(key, _)| is_for(key)).cloned().collect()
    }

    fn proxy(&self) -> Proxy {
        self.proxy.as_ref().map_or_else(Proxy::default, |(_, proxy)| proxy.clone())
    }

    /// Combines the root's `proxy` with a role's: `false` means none, `true` means the root's, a map is merged over
    /// the root's.
    fn proxy_with(&self, own: &Field, report: &mut Report) -> Option<Proxy> {
        if !own.is_map() {
            return own.boolean().filter(|proxied| *proxied).map(|_| self.proxy());
        }
        let Some((base, _)) = &self.proxy else { return Some(Proxy::decode(own, report)) };
        let merged = merge(base.node.clone(), own.node.clone());
        Some(Proxy::decode(&Field::new(own.path.as_str(), &merged), report))
    }

    fn stop_timeout(&self, proxied: bool) -> Option<Duration> {
        let drain = (self.generation == Generation::Two && !proxied).then_some(self.drain_timeout);
        self.stop_timeout.or(drain)
    }
}

impl Serialize for AssetPath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}{}", self.path, shown::suffix(self.mount_options.as_deref())))
    }
}

impl AssetPath {
    pub(crate) fn decode(field: &Field, report: &mut Report) -> Option<Self> {
        let text = field.text_unless_off()?;
        let (path, options) = match text.split_once(':') {
            Some((path, options)) => (path, Some(options.to_owned()).filter(|options| !options.is_empty())),
            None => (text.as_str(), None),
        };
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.is_empty() || parts.contains(&"..") {
            report.push(field.error("should be a directory below `/`, without `..`"));
            return None;
        }
        Some(Self { path: format!("/{}", parts.join("/")), mount_options: options })
    }
}

/// Reads labels of containers and reports reserved or invalid ones.
pub(crate) fn labels(field: &Field, report: &mut Report) -> Pairs {
    for (key, value) in field.entries() {
        if RESERVED.contains(&key.text.as_str()) {
            let message =
                format!("{}: invalid label. destination, role, and service are reserved labels", value.path);
            report.push(Diagnostic::error(key.span, message));
        }
        if key.text.is_empty() || key.text.contains(|c: char| c == '=' || c.is_whitespace()) {
            let message = "a label's name can't be empty or contain `=` or blanks";
            report.push(field.error_at(key.span, message));
        }
    }
    field.pairs()
}

const RESTART: &[&str] = &["no", "always", "unless-stopped", "on-failure"];

pub(crate) fn options(field: &Field, report: &mut Report) -> Vec<(String, OptionValue)> {
    if let Some((_, restart)) = field.entries().into_iter().find(|(key, _)| key.text == "restart") {
        check_restart(&restart, report);
    }
    for (_, field) in field.entries().iter().filter(|(key, _)| ["publish", "p"].contains(&key.text.as_str()))
    {
        let values = if field.is_list() { field.list() } else { vec![field.clone()] };
        values.iter().for_each(|value| publish::check(value, report));
    }
    field.options()
}

/// Checks the one flag that has a default in Bowline. `restart: no` without quotes is a boolean, which Docker rejects.
fn check_restart(restart: &Field, report: &mut Report) {
    if restart.boolean().is_some() || restart.is_list() {
        report.push(restart.error("should be a string").help("use \"no\" in quotes to disable restarts"));
        return;
    }
    let Some(policy) = restart.text() else { return };
    let tries = policy.strip_prefix("on-failure:").map(|tries| tries.parse::<u32>().is_ok());
    if !RESTART.contains(&policy.as_str()) && tries != Some(true) {
        let error =
            restart.error("should be `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`");
        report.push(Diagnostic { help: did_you_mean(&policy, RESTART.iter().copied()), ..error });
    }
}
