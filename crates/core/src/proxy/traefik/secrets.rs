//! The secrets for Traefik's container.

use bowline_config::{Config, Registry};

use crate::commands::registry::Login;
use crate::error::PlanError;
use crate::secrets::{Secrets, login as login_to, registry_of};

pub fn of_env(config: &Config) -> Vec<String> {
    config.traefik.env.secret().map(|(_, key)| key.to_owned()).collect()
}

pub fn of_pull(config: &Config) -> Vec<String> {
    let registry = registry_of(config, &config.traefik.image);
    registry.into_iter().flat_map(Registry::secrets).map(str::to_owned).collect()
}

pub fn login(config: &Config, secrets: &Secrets) -> Result<Option<Login>, PlanError> {
    registry_of(config, &config.traefik.image).map_or(Ok(None), |registry| login_to(registry, secrets))
}
