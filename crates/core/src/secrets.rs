//! Turns the values of secrets into logins, env files and environments.

use std::collections::BTreeMap;

use bowline_config::secret::Secret;
use bowline_config::{Config, Credential, Env, Registry, Role, RoleHost};

use crate::commands::app::Environment;
use crate::commands::env::SecretEnv;
use crate::commands::registry::Login;
use crate::error::PlanError;

/// Values of secrets by name.
pub type Secrets = BTreeMap<String, Secret>;

pub(crate) fn secret(secrets: &Secrets, name: &str) -> Result<Secret, PlanError> {
    secrets.get(name).cloned().ok_or_else(|| PlanError::MissingSecret(name.into()))
}

/// The login at a registry. `None` if it needs none.
pub fn login(registry: &Registry, secrets: &Secrets) -> Result<Option<Login>, PlanError> {
    let value = |credential: &Credential| match credential {
        Credential::Plain(value) => Ok(value.clone()),
        Credential::Secret(name) => secret(secrets, name),
    };
    let Some(login) = &registry.login else { return Ok(None) };
    Ok(Some(Login {
        server: registry.server.clone(),
        username: value(&login.username)?,
        password: value(&login.password)?,
    }))
}

pub fn secret_env(secrets: &Secrets, env: &Env) -> Result<SecretEnv, PlanError> {
    let resolve = |(name, key): (&str, &str)| Ok((name.to_owned(), secret(secrets, key)?));
    Ok(SecretEnv::new(env.secret().map(resolve).collect::<Result<_, PlanError>>()?)?)
}

pub fn environment(
    config: &Config,
    secrets: &Secrets,
    role: &Role,
    entry: &RoleHost,
) -> Result<Environment, PlanError> {
    let env = config.env_for(role, entry);
    Ok(Environment {
        host: entry.host.clone(),
        clear: env.clear_pairs(),
        secret: secret_env(secrets, &env)?,
        volumes: config.volumes.clone(),
        options: role.options.clone(),
        logging: role.logging.clone(),
    })
}

/// The app's registry, if this image is in it as well.
pub(crate) fn registry_of<'c>(config: &'c Config, image: &str) -> Option<&'c Registry> {
    let server = hub(config.registry.server.as_deref().unwrap_or(HUB));
    (server_of(image) == server).then_some(&config.registry)
}

const HUB: &str = "docker.io";

/// The server in an image's name. Its first part is a server if it has a dot or a port, or is `localhost`.
fn server_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => hub(first),
        _ => HUB,
    }
}

/// Maps the several names of Docker Hub to one.
fn hub(server: &str) -> &str {
    match server.trim_start_matches("https://").trim_end_matches('/') {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" | "index.docker.io/v1" => HUB,
        other => other,
    }
}
