//! The resolved configuration as text, for `bowline config`: what will be done, with every default filled in and
//! everything inherited, and where each variable of a server's containers comes from.
//!
//! It is YAML, in a fixed order, so that two of them can be compared. It holds no secret and no value of an env.

mod builder;
mod lines;
mod proxy;

use std::time::Duration;

use super::hooks::HookLevel;
use super::{
    Accessory, AccessoryMount, AssetPath, BarrierOrder, Config, Cord, Credential, Env, Generation,
    Healthcheck, HooksOutput, Jump, KeyData, Limit, Logging, OnFailure, Registry, Role, RoleHost, SshConfig,
    Timeouts, Value, Variable,
};
use lines::Lines;
#[cfg(test)]
pub(super) use lines::scalar;

/// The configuration as YAML text.
pub fn show(config: &Config) -> String {
    let mut out = Lines::default();
    out.value("service", &config.service);
    out.option("destination", config.destination.as_deref());
    out.value("repository", &config.repository());
    out.value("latest_image", &config.latest_image());
    let told_by = config.told_by.as_ref().map(|key| format!(" ({key} tells)")).unwrap_or_default();
    out.value("written_for", &format!("{}{told_by}", config.generation));
    out.option("minimum_version", config.minimum_version.as_deref());
    registry(&config.registry, &mut out);
    builder::show(&config.builder, &mut out);
    if !config.roles.is_empty() {
        out.value("primary_role", &config.primary_role);
        out.map("roles", |out| {
            for role in &config.roles {
                out.map(&role.name, |out| show_role(config, role, out));
            }
        });
    }
    if !config.accessories.is_empty() {
        out.map("accessories", |out| {
            for accessory in &config.accessories {
                out.map(&accessory.name, |out| show_accessory(accessory, out));
            }
        });
    }
    out.list("volumes", &config.volumes);
    if config.generation == Generation::One {
        traefik(config, &mut out);
    }
    boot(config, &mut out);
    ssh(config, &mut out);
    let limits = config.timeouts.all().into_iter().zip(Timeouts::default().all());
    let own: Vec<_> = limits.filter(|(own, usual)| own != usual).map(|(own, _)| own).collect();
    if !own.is_empty() {
        out.map("timeouts", |out| own.iter().for_each(|(name, limit)| out.seconds(name, *limit)));
    }
    out.seconds("readiness_delay", config.readiness_delay);
    out.seconds("deploy_timeout", config.deploy_timeout);
    out.seconds("drain_timeout", config.drain_timeout);
    out.raw("retain_containers", config.retain_containers);
    out.value("hooks_path", &config.hooks_path);
    hooks_output(&config.hooks_output, &mut out);
    out.value("secrets_path", &config.secrets_path);
    out.pairs("aliases", &config.aliases);
    out.option("error_pages_path", config.error_pages_path.as_deref());
    output(config, &mut out);
    out.option("run_directory", config.run_directory.as_deref());
    out.text
}

fn hooks_output(output: &HooksOutput, out: &mut Lines) {
    let word = |level: HookLevel| match level {
        HookLevel::Quiet => "quiet",
        HookLevel::Verbose => "verbose",
    };
    out.option("hooks_output", output.all.map(word));
    if !output.each.is_empty() {
        out.map("hooks_output", |out| {
            output.each.iter().for_each(|(hook, level)| out.value(hook, word(*level)))
        });
    }
}

fn output(config: &Config, out: &mut Lines) {
    let targets = [("file", &config.output.file), ("otel", &config.output.otel)];
    if targets.iter().any(|(_, target)| target.is_some()) {
        out.map("output", |out| {
            targets.iter().for_each(|(name, target)| out.option(name, target.as_deref()))
        });
    }
}

fn registry(registry: &Registry, out: &mut Lines) {
    let credential = |credential: &Credential, plain: String| match credential {
        Credential::Plain(_) => plain,
        Credential::Secret(name) => format!("secret {name}"),
    };
    out.map("registry", |out| {
        out.value("server", registry.server.as_deref().unwrap_or("docker.io"));
        let Some(login) = &registry.login else {
            return out.value("login", "none: it is on the deploying machine");
        };
        let name = match &login.username {
            Credential::Plain(name) => name.expose().to_owned(),
            Credential::Secret(_) => String::new(),
        };
        out.value("username", &credential(&login.username, name));
        out.value("password", &credential(&login.password, crate::secret::REDACTED.into()));
    });
}

fn show_role(config: &Config, role: &Role, out: &mut Lines) {
    match (&role.proxy, role.traefik) {
        (Some(proxy), _) => proxy::show(proxy, out),
        (None, traefik) if config.generation == Generation::One => out.raw("traefik", traefik),
        (None, _) => out.raw("proxy", false),
    }
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
    out.given("stop_timeout", role.stop_timeout.map(|timeout| timeout.as_secs()));
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
    if let Some(proxy) = &accessory.proxy {
        proxy::show(proxy, out);
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
        out.given("max_attempts", check.max_attempts);
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
        out.value("docker_socket", &traefik.docker_socket);
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
        let key = |key: &KeyData| match key {
            KeyData::Named(name) => format!("secret {name}"),
            KeyData::Inline(key) => key.to_string(),
        };
        out.list("key_data", &config.ssh.key_data.iter().map(key).collect::<Vec<_>>());
        match &config.ssh.config {
            SshConfig::Default => {}
            SshConfig::Off => out.raw("config", false),
            SshConfig::Files(files) => out.list("config", files),
        }
        out.given("forward_agent", config.ssh.forward_agent);
        out.option("log_level", config.ssh.log_level.as_deref());
    });
}

fn duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}
