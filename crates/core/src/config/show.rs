//! The resolved configuration as text, for `bowline config`: what will be done, with every default filled in and
//! everything inherited, and where each variable of a server's containers comes from.
//!
//! It is YAML, in a fixed order, so that two of them can be compared. It holds no secret and no value of an env.

use std::fmt::Write as _;
use std::time::Duration;

use super::mask::is_secret_key;
use super::source::{Key, Kind, Node};
use super::{
    Accessory, AccessoryMount, AssetPath, BarrierOrder, Config, Cord, Credential, Env, Healthcheck, Jump,
    Limit, Logging, OnFailure, Opaque, OptionValue, Pairs, Registry, Role, RoleHost, Value, Variable,
};
use crate::secret::REDACTED;

/// The configuration as YAML text.
pub fn show(config: &Config) -> String {
    let mut out = Lines::default();
    out.value("service", &config.service);
    out.option("destination", config.destination.as_deref());
    out.value("repository", &config.repository());
    out.value("latest_image", &config.latest_image());
    registry(&config.registry, &mut out);
    builder(config, &mut out);
    out.value("primary_role", &config.primary_role);
    out.map("roles", |out| {
        for role in &config.roles {
            out.map(&role.name, |out| show_role(config, role, out));
        }
    });
    if !config.accessories.is_empty() {
        out.map("accessories", |out| {
            for accessory in &config.accessories {
                out.map(&accessory.name, |out| show_accessory(accessory, out));
            }
        });
    }
    out.list("volumes", &config.volumes);
    traefik(config, &mut out);
    boot(config, &mut out);
    ssh(config, &mut out);
    out.seconds("readiness_delay", config.readiness_delay);
    out.seconds("deploy_timeout", config.deploy_timeout);
    out.seconds("drain_timeout", config.drain_timeout);
    if let Some(stop_wait_time) = config.stop_wait_time {
        out.seconds("stop_wait_time", stop_wait_time);
    }
    out.raw("retain_containers", config.retain_containers);
    out.value("hooks_path", &config.hooks_path);
    out.value("secrets_path", &config.secrets_path);
    out.pairs("aliases", &config.aliases);
    out.option("run_directory", config.run_directory.as_deref());
    out.text
}

fn registry(registry: &Registry, out: &mut Lines) {
    out.map("registry", |out| {
        out.value("server", registry.server.as_deref().unwrap_or("docker.io"));
        match &registry.username {
            Credential::Plain(name) => out.value("username", name.expose()),
            Credential::Secret(name) => out.value("username", &format!("secret {name}")),
        }
        match &registry.password {
            Credential::Plain(password) => out.value("password", &password.to_string()),
            Credential::Secret(name) => out.value("password", &format!("secret {name}")),
        }
    });
}

fn builder(config: &Config, out: &mut Lines) {
    out.map("builder", |out| {
        out.value("context", &config.builder.context);
        out.value("dockerfile", &config.builder.dockerfile);
        out.option("target", config.builder.target.as_deref());
        out.list("arch", &config.builder.arch);
        out.pairs("args", &config.builder.args);
    });
}

fn show_role(config: &Config, role: &Role, out: &mut Lines) {
    out.raw("traefik", role.traefik);
    out.option("cmd", role.cmd.as_deref());
    out.map("hosts", |out| {
        for host in &role.hosts {
            out.map(&host.host, |out| {
                out.list("tags", &host.tags);
                env_of(config, role, host, out);
            });
        }
    });
    out.pairs("labels", &role.labels);
    out.options("options", &role.options);
    logging(&role.logging, out);
    if let Some(AssetPath { path, mount_options }) = &role.asset_path {
        let options = mount_options.as_ref().map(|options| format!(":{options}")).unwrap_or_default();
        out.value("asset_path", &format!("{path}{options}"));
    }
    if let Some(check) = &role.healthcheck {
        healthcheck(check, out);
    }
}

/// Each variable of a server's container, who gave it the value it has, and whom it overrides.
fn env_of(config: &Config, role: &Role, host: &RoleHost, out: &mut Lines) {
    let env = config.env_for(role, host);
    if env.is_empty() {
        return;
    }
    let layers = config.env_layers(role, host);
    out.map("env", |out| {
        for variable in env.iter() {
            let mut from = layers.iter().rev().filter(|(_, env)| env.get(&variable.name).is_some());
            let mut text = from.next().map(|(origin, _)| origin.to_string()).unwrap_or_default();
            if let Value::Secret(key) = &variable.value {
                text.push_str(&format!(" (secret {key})"));
            }
            let overridden: Vec<String> = from.map(|(origin, _)| origin.to_string()).collect();
            if !overridden.is_empty() {
                text.push_str(&format!(" (over {})", overridden.join(" and ")));
            }
            out.value(&variable.name, &text);
        }
    });
}

/// Names of variables, and where their values come from if they are secret.
fn env_names(env: &Env, out: &mut Lines) {
    let name = |variable: &Variable| match &variable.value {
        Value::Clear(_) => variable.name.clone(),
        Value::Secret(key) => format!("{} (secret {key})", variable.name),
    };
    out.list("env", &env.iter().map(name).collect::<Vec<_>>());
}

fn show_accessory(accessory: &Accessory, out: &mut Lines) {
    out.value("service", &accessory.service);
    out.value("image", &accessory.image);
    if let Some(own) = &accessory.registry {
        registry(own, out);
    }
    out.list("hosts", &accessory.hosts);
    out.option("port", accessory.port.as_deref());
    out.option("cmd", accessory.cmd.as_deref());
    env_names(&accessory.env, out);
    out.list("files", &accessory.files.iter().map(mount).collect::<Vec<_>>());
    out.list("directories", &accessory.directories.iter().map(mount).collect::<Vec<_>>());
    out.list("volumes", &accessory.volumes);
    out.pairs("labels", &accessory.labels);
    out.options("options", &accessory.options);
    out.value("network", &accessory.network);
    if let Some(Opaque(node)) = &accessory.proxy {
        out.tree("proxy", node);
    }
}

/// `LOCAL:REMOTE[:OPTIONS]`, and what it is made to be on the server.
fn mount(mount: &AccessoryMount) -> String {
    let AccessoryMount { local, remote, mode, owner, options } = mount;
    let options = options.as_ref().map(|options| format!(":{options}")).unwrap_or_default();
    let mode = mode.as_ref().map(|mode| format!(" (mode {mode})")).unwrap_or_default();
    let owner = owner.as_ref().map(|owner| format!(" (owner {owner})")).unwrap_or_default();
    format!("{local}:{remote}{options}{mode}{owner}")
}

fn logging(logging: &Logging, out: &mut Lines) {
    if *logging == Logging::default() {
        return;
    }
    out.map("logging", |out| {
        out.option("driver", logging.driver.as_deref());
        out.pairs("options", &logging.options);
    });
}

fn healthcheck(check: &Healthcheck, out: &mut Lines) {
    out.map("healthcheck", |out| {
        out.value("cmd", &check.cmd);
        out.raw("port", check.port);
        out.value("path", &check.path);
        out.raw("interval", duration(check.interval));
        if let Some(attempts) = check.max_attempts {
            out.raw("max_attempts", attempts);
        }
        match &check.cord {
            Cord::At(path) => out.value("cord", path),
            Cord::Off => out.raw("cord", false),
        }
    });
}

fn traefik(config: &Config, out: &mut Lines) {
    let traefik = &config.traefik;
    out.map("traefik", |out| {
        out.value("image", &traefik.image);
        out.raw("publish", traefik.publish);
        out.raw("host_port", traefik.host_port);
        out.pairs("labels", &traefik.labels);
        out.options("args", &traefik.args);
        out.options("options", &traefik.options);
        env_names(&traefik.env, out);
        logging(&config.logging, out);
    });
}

fn boot(config: &Config, out: &mut Lines) {
    out.map("boot", |out| {
        match config.boot.limit {
            Some(Limit::Servers(count)) => out.raw("limit", count),
            Some(Limit::Percent(percent)) => out.raw("limit", format!("{percent}%")),
            None => {}
        }
        if let Some(wait) = config.boot.wait {
            out.seconds("wait", wait);
        }
        out.raw(
            "barrier",
            match config.boot.barrier {
                BarrierOrder::AfterBoot => "after_boot",
                BarrierOrder::BeforeBoot => "before_boot",
            },
        );
        out.raw("parallel_roles", config.boot.parallel_roles);
        out.raw(
            "on_failure",
            match config.boot.on_failure {
                OnFailure::Keep => "keep",
                OnFailure::Rollback => "rollback",
            },
        );
    });
}

fn ssh(config: &Config, out: &mut Lines) {
    out.map("ssh", |out| {
        out.value("user", &config.ssh.user);
        out.raw("port", config.ssh.port);
        out.list("keys", &config.ssh.keys);
        out.raw("keys_only", config.ssh.keys_only);
        let jump = |Jump { user, host, port }: &Jump| match host.contains(':') {
            true => format!("{user}@[{host}]:{port}"),
            false => format!("{user}@{host}:{port}"),
        };
        out.list("proxy", &config.ssh.proxy.iter().map(jump).collect::<Vec<_>>());
        out.option("proxy_command", config.ssh.proxy_command.as_deref());
    });
}

fn duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

/// Indented lines. What is empty is left out.
#[derive(Default)]
struct Lines {
    text: String,
    depth: usize,
}

impl Lines {
    fn raw(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing to a String doesn't fail.
        let _ = writeln!(self.text, "{:depth$}{}: {value}", "", scalar(key), depth = self.depth * 2);
    }

    fn value(&mut self, key: &str, value: &str) {
        self.raw(key, scalar(value));
    }

    /// A value that people may have put a secret into, as its name tells.
    fn unless_secret(&mut self, name: &str, value: &str) {
        self.value(name, if is_secret_key(name) { REDACTED } else { value });
    }

    fn option(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.value(key, value);
        }
    }

    fn seconds(&mut self, key: &str, value: Duration) {
        self.raw(key, value.as_secs());
    }

    fn list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.raw(key, sequence(values));
        }
    }

    fn map(&mut self, key: &str, entries: impl FnOnce(&mut Self)) {
        let _ = writeln!(self.text, "{:depth$}{}:", "", scalar(key), depth = self.depth * 2);
        let before = self.text.len();
        self.depth += 1;
        entries(self);
        self.depth -= 1;
        if self.text.len() == before {
            self.text.pop();
            self.text.push_str(" {}\n");
        }
    }

    fn pairs(&mut self, key: &str, pairs: &Pairs) {
        if !pairs.is_empty() {
            self.map(key, |out| pairs.iter().for_each(|(name, value)| out.unless_secret(name, value)));
        }
    }

    /// A part that is kept as it is written.
    fn tree(&mut self, key: &str, node: &Node) {
        match &node.kind {
            Kind::Map(entries) => self.map(key, |out| {
                entries.iter().for_each(|(name, node)| out.tree(&name.text, node));
            }),
            _ => self.raw(key, flow(key, node)),
        }
    }

    fn options(&mut self, key: &str, options: &[(String, OptionValue)]) {
        if options.is_empty() {
            return;
        }
        self.map(key, |out| {
            for (name, value) in options {
                match value {
                    OptionValue::Flag => out.raw(name, true),
                    OptionValue::Value(value) => out.unless_secret(name, value),
                    OptionValue::List(values) => out.raw(name, sequence(values)),
                }
            }
        });
    }
}

/// A part within a list that is kept as it is written, in one line.
fn flow(key: &str, node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(_) if is_secret_key(key) => scalar(REDACTED),
        Kind::Scalar(text) if text.plain && (is_other(&text.text) || text.text.parse::<f64>().is_ok()) => {
            text.text.clone()
        }
        Kind::Scalar(text) => scalar(&text.text),
        Kind::Null => "null".into(),
        Kind::List(items) => {
            format!("[{}]", items.iter().map(|item| flow(key, item)).collect::<Vec<_>>().join(", "))
        }
        Kind::Map(entries) => {
            let entry =
                |(name, node): &(Key, Node)| format!("{}: {}", scalar(&name.text), flow(&name.text, node));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

fn sequence(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| scalar(value)).collect();
    format!("[{}]", values.join(", "))
}

/// A text as YAML: bare where nothing could take it for anything else, in double quotes otherwise.
pub(super) fn scalar(text: &str) -> String {
    // Commas and brackets would end an entry of a list.
    let safe = |c: char| c.is_ascii_alphanumeric() || " _-./:@+%=$()|*~".contains(c);
    let starts = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '.';
    let bare = text.starts_with(starts)
        && text.chars().all(safe)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !is_other(text);
    // Addresses and versions begin with a digit and have more than one dot.
    let address = text.matches('.').count() >= 2 && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if bare || address {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Bare words that YAML takes for a boolean, a number or nothing.
fn is_other(text: &str) -> bool {
    const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "y", "n", "null", ".inf", ".nan"];
    WORDS.contains(&text.to_ascii_lowercase().as_str())
        || text.starts_with('.') && text.parse::<f64>().is_ok()
}
