//! `env push` and `env delete`: the files of secret variables of the roles, and of the accessories on the same servers.
//! (A boot writes its own.)

use super::{Basis, Piece, Stage, Work};
use crate::commands::env::{EnvFile, SecretEnv};
use crate::error::PlanError;
use crate::names::Names;
use crate::plan::accessory;
use crate::plan::secrets::{env_secrets, places};
use crate::plan::step::Step;
use crate::secrets::{Secrets, secret_env};
use crate::selection::Selection;
use bowline_config::{Accessory, Config, Env};

/// A file on a server.
#[derive(Debug, Clone)]
pub struct File<'a> {
    host: &'a str,
    /// `None` for an accessory.
    role: Option<&'a str>,
    path: String,
    /// The content. `None` removes the file.
    secret: Option<SecretEnv>,
}

/// The names of the secrets that the files hold.
pub fn secrets(config: &Config, selection: &Selection<'_>) -> Vec<String> {
    let of_accessories = beside(config, selection).flat_map(|(own, _)| accessory::env_secrets(own));
    env_secrets(config, places(selection)).into_iter().chain(of_accessories).collect()
}

/// The files to write, or to remove without `secrets`.
///
/// # Errors
/// A secret that is missing, or that no container can get.
pub fn files<'a>(
    config: &'a Config,
    selection: &Selection<'a>,
    secrets: Option<&Secrets>,
) -> Result<Vec<File<'a>>, PlanError> {
    let names = Names::of(config);
    let secret = |env: &Env| secrets.map(|secrets| secret_env(secrets, env)).transpose();
    let of_roles = places(selection).map(|(role, at)| {
        let (name, secret) = (role.name.as_str(), secret(&config.env_for(role, at))?);
        Ok(File { host: &at.host, role: Some(name), path: names.env_file(name), secret })
    });
    let of_accessories = beside(config, selection).map(|(accessory, host)| {
        let path = names.accessory_env_file(&accessory.name);
        Ok(File { host, role: None, path, secret: secret(&accessory.env)? })
    });
    of_roles.chain(of_accessories).collect()
}

/// The accessories on the selected servers.
fn beside<'a>(
    config: &'a Config,
    selection: &Selection<'a>,
) -> impl Iterator<Item = (&'a Accessory, &'a str)> {
    let on = |accessory: &'a Accessory| {
        let here = selection.hosts.iter().filter(|host| accessory.hosts.iter().any(|own| own == *host));
        here.map(move |host| (accessory, *host))
    };
    config.accessories.iter().flat_map(on)
}

impl File<'_> {
    fn said(&self) -> String {
        let path = &self.path;
        let Some(secret) = &self.secret else { return format!("removed {path}") };
        match secret.left_out().join(", ") {
            none if none.is_empty() => format!("wrote {path}"),
            names => format!(
                "wrote {path}, without {names}: an env file can't hold a value with a line break, only a container's environment can"
            ),
        }
    }
}

impl Basis<'_> {
    pub(super) fn env(&self) -> Stage {
        let piece = |file: &File<'_>| {
            let File { host, role, path, secret } = file.clone();
            let (host, role, scope) = (host.into(), role.map(String::from), self.scope.clone());
            let step = Step::Env(EnvFile { scope, role: role.clone(), path, secret });
            Piece { host, role, work: Work::run(step, file.said()) }
        };
        let there = self.given.env.iter().filter(|file| self.observed.contains_key(file.host));
        there.map(piece).collect::<Vec<_>>().into()
    }
}
