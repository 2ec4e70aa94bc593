//! `env push` and `env delete`: the files of secret variables on the servers. (A boot writes its own.)

use bowline_config::{Accessory, Config, Role, RoleHost};
use bowline_core::commands::env::{EnvFile, SecretEnv};
use bowline_core::error::PlanError;
use bowline_core::plan::secrets::{check_env_secrets, env_secrets};
use bowline_core::plan::step::Step;
use bowline_core::secrets::{Secrets, environment, secret_env};
use bowline_core::selection::Selection;

use crate::call::Call;
use crate::error::{Cause, Failure, Result};
use crate::run::change::{Change, Told};
use crate::world::Gathered;

/// Writes the file of each role, and of each accessory on the same servers.
pub async fn push(call: Call<'_>) -> Result<Gathered> {
    let config = call.config();
    let selection = Selection::new(config, &call.options.filters)?;
    let roles = selection.roles.iter().flat_map(|(role, hosts)| hosts.iter().map(|host| (*role, *host)));
    let mut names = env_secrets(config, roles.clone());
    let accessories =
        || config.accessories.iter().filter(|accessory| beside(&selection, accessory).next().is_some());
    names.extend(accessories().flat_map(|accessory| accessory.env.secret().map(|(_, key)| key.to_owned())));
    let secrets = call.project.secrets(call.world, &names).await?;
    check_env_secrets(config, &secrets, &selection)?;
    for accessory in accessories() {
        secret_env(&secrets, &accessory.env)?;
    }
    write_all(call, Some(&secrets)).await
}

pub async fn delete(call: Call<'_>) -> Result<Gathered> {
    write_all(call, None).await
}

fn beside<'a>(selection: &'a Selection<'_>, accessory: &'a Accessory) -> impl Iterator<Item = &'a str> {
    selection.hosts.iter().copied().filter(|host| accessory.hosts.iter().any(|own| own == host))
}

async fn write_all(call: Call<'_>, secrets: Option<&Secrets>) -> Result<Gathered> {
    let mut change = Change::begin(call).await?;
    let config = call.config();
    let part = change
        .each_role(|place| {
            let secret = secrets.map(|secrets| of_role(config, secrets, place.role, place.host));
            let path = change.scope.names.env_file(&place.role.name);
            one(&change, &place.host.host, Some(&place.role.name), path, secret)
        })
        .await;
    change.keep(part);
    for accessory in &config.accessories {
        let path = change.scope.names.accessory_env_file(&accessory.name);
        let secret = || secrets.map(|secrets| secret_env(secrets, &accessory.env));
        let part = change
            .each_server(async |host: &str| {
                if !accessory.hosts.iter().any(|own| own == host) {
                    return Ok(String::new());
                }
                one(&change, host, None, path.clone(), secret()).await
            })
            .await;
        change.keep(part);
    }
    change.end().await
}

fn of_role(config: &Config, secrets: &Secrets, role: &Role, host: &RoleHost) -> Result<SecretEnv, PlanError> {
    Ok(environment(config, secrets, role, host)?.secret)
}

/// Writes one file, or removes it if `secret` is `None`.
async fn one(
    change: &Change<'_>,
    host: &str,
    role: Option<&str>,
    path: String,
    secret: Option<Result<SecretEnv, PlanError>>,
) -> Told {
    let secret = secret.transpose().map_err(|error| Failure {
        host: host.into(),
        role: role.map(Into::into),
        doing: format!("write {path}"),
        cause: Cause::Told { reason: error.to_string(), hint: None },
    })?;
    let said = match &secret {
        None => format!("removed {path}"),
        Some(secret) => match secret.left_out().join(", ") {
            none if none.is_empty() => format!("wrote {path}"),
            names => format!(
                "wrote {path}, without {names}: no line of it can hold such a value, only a container's environment"
            ),
        },
    };
    let step = Step::Env(EnvFile { scope: change.scope.clone(), role: role.map(Into::into), path, secret });
    change.fleet.run(host, role, &step).await?;
    Ok(said)
}
