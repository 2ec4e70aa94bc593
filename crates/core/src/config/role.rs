//! `servers`: the roles and their hosts.

use super::decode::{Field, Keys, Report, Section};
use super::diagnostic::Diagnostic;
use super::healthcheck::Parts;
use super::{Env, Healthcheck, Logging, Pairs};

/// A role, with what it inherits from the root already merged in.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// `web`, `workers`, …
    pub name: String,
    /// Its hosts in order, each once.
    pub hosts: Vec<RoleHost>,
    /// `cmd`, appended after the image.
    pub cmd: Option<String>,
    /// `options`: further flags of `docker run`.
    pub options: Vec<(String, OptionValue)>,
    /// Root labels with the role's over them. The labels that Bowline sets itself are not among them.
    pub labels: Pairs,
    /// The role's own env (see [`super::Config::env_for`]).
    pub env: Env,
    /// Root logging with the role's over it.
    pub logging: Logging,
    /// `asset_path` of the role, else of the root; only for roles behind Traefik.
    pub asset_path: Option<AssetPath>,
    /// Whether Traefik sends requests to it: `traefik`, true for the primary role unless said otherwise.
    pub traefik: bool,
    /// The health check. A role without Traefik has one only if it says so itself.
    pub healthcheck: Option<Healthcheck>,
}

/// A host of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleHost {
    /// Name or address, as `ssh` takes it.
    pub host: String,
    /// Its tags, in order, each once (S6).
    pub tags: Vec<String>,
}

/// The value of a flag of `docker run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// `true`: the bare flag.
    Flag,
    /// `--flag VALUE`.
    Value(String),
    /// The flag once for each value.
    List(Vec<String>),
}

/// `asset_path`: `PATH` or `PATH:mount-options`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetPath {
    /// The directory in the image, without a `/` at its end: `/app/public/assets`.
    pub path: String,
    /// `ro`, `z`, …
    pub mount_options: Option<String>,
}

const KEYS: Keys = Keys {
    known: &["hosts", "cmd", "options", "labels", "env", "logging", "asset_path", "traefik", "healthcheck"],
    later: &["proxy", "stop_timeout"],
};

/// Labels that Bowline sets itself, and by which it finds its containers again.
const RESERVED: &[&str] = &["destination", "role", "service"];

/// What a role takes from the root.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    pub(super) labels: Pairs,
    pub(super) logging: Logging,
    pub(super) asset_path: Option<AssetPath>,
    pub(super) healthcheck: Parts,
}

impl Role {
    /// A role given as a list of hosts.
    pub(super) fn plain(name: &str, hosts: Vec<RoleHost>, primary: bool, from: &Inherited) -> Self {
        Self {
            name: name.into(),
            hosts,
            cmd: None,
            options: Vec::new(),
            labels: from.labels.clone(),
            env: Env::default(),
            logging: from.logging.clone(),
            asset_path: from.asset_path.clone().filter(|_| primary),
            traefik: primary,
            healthcheck: primary.then(|| from.healthcheck.clone().resolve(true)),
        }
    }

    /// A role given as a map; its hosts are read by the caller.
    pub(super) fn decode(
        name: &str,
        field: &Field,
        primary: bool,
        from: &Inherited,
        report: &mut Report,
    ) -> Self {
        let mut role = Self::plain(name, Vec::new(), primary, from);
        let Some(section) = field.section(&KEYS, report) else { return role };
        role.cmd = section.filled("cmd", report);
        role.options = section.get("options").map(|field| options(&field, report)).unwrap_or_default();
        if let Some(own) = section.get("labels").and_then(|field| labels(&field, report)) {
            role.labels = super::lay_over(&role.labels, &own);
        }
        role.env = section.get("env").map(|field| Env::decode(&field, report)).unwrap_or_default();
        if let Some(own) = section.get("logging").map(|field| Logging::decode(&field, report)) {
            role.logging = own.over(&role.logging);
        }
        role.traefik = section.boolean("traefik", report).unwrap_or(primary);
        role.asset_path = role.decode_asset_path(&section, from, report);
        role.healthcheck = role.decode_healthcheck(&section, from, report);
        role
    }

    fn decode_asset_path(
        &self,
        section: &Section,
        from: &Inherited,
        report: &mut Report,
    ) -> Option<AssetPath> {
        let own = section.get("asset_path").map(|field| (AssetPath::decode(&field, report), field));
        if let (false, Some((_, field))) = (self.traefik, &own) {
            report.push(field.warning("has no effect in a role that Traefik sends no requests to"));
        }
        let path = own.map_or_else(|| from.asset_path.clone(), |(path, _)| path);
        path.filter(|_| self.traefik)
    }

    fn decode_healthcheck(
        &self,
        section: &Section,
        from: &Inherited,
        report: &mut Report,
    ) -> Option<Healthcheck> {
        let own = section.get("healthcheck").map(|field| (Parts::decode(&field, report), field));
        if self.traefik {
            let parts = own.map(|(parts, _)| parts).unwrap_or_default();
            return Some(parts.over(&from.healthcheck).resolve(true));
        }
        let (parts, field) = own?;
        if !parts.says_how() {
            report.push(
                field
                    .warning("has no effect in a role that Traefik sends no requests to")
                    .help("give `cmd`, `port` or `path` to have its containers checked"),
            );
            return None;
        }
        Some(parts.resolve(false))
    }
}

impl AssetPath {
    pub(super) fn decode(field: &Field, report: &mut Report) -> Option<Self> {
        let text = field.filled(report)?;
        let (path, options) = match text.split_once(':') {
            Some((path, options)) => (path, Some(options.to_owned()).filter(|options| !options.is_empty())),
            None => (text.as_str(), None),
        };
        if !path.starts_with('/') {
            report.push(field.error("should be an absolute path in the image"));
            return None;
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.is_empty() || parts.contains(&"..") {
            report.push(field.error("should be a directory below `/`, without `..`"));
            return None;
        }
        Some(Self { path: format!("/{}", parts.join("/")), mount_options: options })
    }
}

/// Labels of app containers, at the root or in a role.
pub(super) fn labels(field: &Field, report: &mut Report) -> Option<Pairs> {
    for (key, value) in field.entries_silently() {
        if RESERVED.contains(&key.text.as_str()) {
            let message =
                format!("{}: invalid label. destination, role, and service are reserved labels", value.path);
            report.push(Diagnostic::error(key.span, message));
        }
        if key.text.is_empty() || key.text.contains(|c: char| c == '=' || c.is_whitespace()) {
            let message = field.says("a label's name can't be empty or contain `=` or blanks");
            report.push(Diagnostic::error(key.span, message));
        }
    }
    field.pairs(report)
}

/// Flags of `docker run`. `restart: no` without quotes is a boolean, which Docker would not take.
pub(super) fn options(field: &Field, report: &mut Report) -> Vec<(String, OptionValue)> {
    for (key, value) in field.entries_silently() {
        let boolean = value.scalar().is_some_and(|scalar| scalar.plain)
            && value.boolean(&mut Report::default()).is_some();
        if key.text == "restart" && boolean {
            report.push(value.error("should be a string").help("use \"no\" in quotes to disable restarts"));
        }
    }
    field.options(report).unwrap_or_default()
}
