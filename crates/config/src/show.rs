//! The resolved configuration as text, for `bowline config`: every default filled in, everything inherited, and the source of
//! each variable of a server's containers.
//!
//! The text is YAML in a fixed order, so that two outputs can be compared. It contains no secret and no value of an env. Each
//! section serializes itself (with the common parts in `shown`); this file combines them.

mod yaml;

use super::{Config, Generation, Logging, Role, RoleHost, ServedBy, Timeouts, Value, shown};
use shown::Redacted;
#[cfg(test)]
pub(super) use yaml::scalar;
use yaml::{Node, node};

pub fn show(config: &Config) -> String {
    tree(config).text()
}

/// Like [`show`], as JSON.
pub fn value(config: &Config) -> serde_json::Value {
    tree(config).value()
}

fn tree(config: &Config) -> Node {
    let decided_by = config.decided_by.as_ref().map(|key| format!(" (because of {key})")).unwrap_or_default();
    let roles = config.roles.iter().map(|role| (&role.name, of_role(config, role)));
    let accessories = config.accessories.iter().map(|accessory| (&accessory.name, node(accessory)));
    let has_roles = !config.roles.is_empty();
    let seconds = |duration: std::time::Duration| node(&duration.as_secs());
    Node::map([
        ("service", node(&config.service)),
        ("destination", node(&config.destination)),
        ("repository", node(&config.repository())),
        ("latest_image", node(&config.latest_image())),
        ("written_for", node(&format!("{}{decided_by}", config.generation))),
        ("minimum_version", node(&config.minimum_version)),
        ("registry", node(&config.registry)),
        ("builder", node(&config.builder)),
        ("primary_role", node(&has_roles.then_some(&config.primary_role))),
        ("roles", Node::map(roles).unless_empty()),
        ("accessories", Node::map(accessories).unless_empty()),
        ("volumes", node(&config.volumes)),
        ("traefik", traefik(config)),
        ("boot", node(&config.boot)),
        ("ssh", node(&config.ssh)),
        ("timeouts", timeouts(&config.timeouts)),
        ("readiness_delay", seconds(config.readiness_delay)),
        ("deploy_timeout", seconds(config.deploy_timeout)),
        ("drain_timeout", seconds(config.drain_timeout)),
        ("retain_containers", node(&config.retain_containers)),
        ("hooks_path", node(&config.hooks_path)),
        ("hooks_output", node(&config.hooks_output)),
        ("secrets_path", node(&config.secrets_path)),
        ("aliases", node(&Redacted(&config.aliases))),
        ("error_pages_path", node(&config.error_pages_path)),
        ("output", node(&config.output).unless_empty()),
        ("run_directory", node(&config.run_directory)),
    ])
}

fn of_role(config: &Config, role: &Role) -> Node {
    let served = match (&role.served_by, config.generation) {
        (ServedBy::KamalProxy(proxy), _) => ("proxy", node(proxy)),
        (served_by, Generation::One) => ("traefik", node(&(*served_by == ServedBy::Traefik))),
        (_, Generation::Two) => ("proxy", node(&false)),
    };
    let of_host = |host: &RoleHost| {
        Node::map([("tags", node(&host.tags)), ("env", origins(config, role, host).unless_empty())])
    };
    Node::map([
        served,
        ("cmd", node(&role.cmd)),
        ("hosts", Node::map(role.hosts.iter().map(|host| (&host.host, of_host(host))))),
        ("labels", node(&Redacted(&role.labels))),
        ("options", node(&Redacted(&role.options))),
        ("logging", logging(&role.logging)),
        ("asset_path", node(&role.asset_path)),
        ("healthcheck", node(&role.healthcheck)),
        ("stop_timeout", node(&role.stop_timeout.map(|timeout| timeout.as_secs()))),
    ])
}

/// Each variable of a server's container, with the source of its value and the sources that it overrides.
fn origins(config: &Config, role: &Role, host: &RoleHost) -> Node {
    let layers = config.env_layers(role, host);
    let origin = |name: &str, value: &Value| {
        let mut from = layers.iter().rev().filter(|(_, env)| env.get(name).is_some());
        let mut text = from.next().map(|(origin, _)| origin.to_string()).unwrap_or_default();
        if let Value::Secret(key) = value {
            text.push_str(&format!(" (secret {key})"));
        }
        let overridden: Vec<String> = from.map(|(origin, _)| origin.to_string()).collect();
        if !overridden.is_empty() {
            text.push_str(&format!(" (over {})", overridden.join(" and ")));
        }
        node(&text)
    };
    let env = config.env_for(role, host);
    Node::map(env.iter().map(|variable| (&variable.name, origin(&variable.name, &variable.value))))
}

/// Includes the root's `logging`, which applies to Traefik's container.
fn traefik(config: &Config) -> Node {
    if config.generation == Generation::Two {
        return Node::Nothing;
    }
    node(&config.traefik).with("logging", logging(&config.logging))
}

fn logging(logging: &Logging) -> Node {
    node(&Some(logging).filter(|logging| !shown::is_default(*logging)))
}

/// Only the timeouts that differ from the defaults.
fn timeouts(timeouts: &Timeouts) -> Node {
    let limits = timeouts.all().into_iter().zip(Timeouts::default().all());
    let own = limits.filter(|(own, usual)| own != usual);
    Node::map(own.map(|((name, limit), _)| (name, node(&limit.as_secs())))).unless_empty()
}
