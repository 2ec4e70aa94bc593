//! Turns the configuration of an accessory into its container, its route and its files on a server.

use crate::commands::Scope;
use crate::commands::accessory::{Container, Directory, ImageFrom, Upload};
use crate::commands::app::Environment;
use crate::commands::ready::Ready;
use crate::commands::registry::{Login, Receive, Way};
use crate::error::{PlanError, Refusal};
use crate::observed::Observed;
use crate::proxy::{Attach, Detach, hidden, kamal};
use crate::request::Pages;
use crate::secrets::{self, Secrets, registry_of, secret_env};
use bowline_config::{Accessory, Config, Pairs, Registry, merge_pairs};

/// The names of the secrets that an accessory needs: for its env, for its registry, and for the proxy.
pub fn secrets_needed(config: &Config, accessory: &Accessory) -> Vec<String> {
    let mut names = env_secrets(accessory);
    names.extend(pull_secrets(config, accessory));
    names.extend(proxy_secrets(accessory));
    names.sort();
    names.dedup();
    names
}

pub fn proxy_secrets(accessory: &Accessory) -> Vec<String> {
    accessory.proxy.iter().flat_map(kamal::files::secrets_of).collect()
}

pub fn env_secrets(accessory: &Accessory) -> Vec<String> {
    accessory.env.secret().map(|(_, key)| key.to_owned()).collect()
}

pub fn pull_secrets(config: &Config, accessory: &Accessory) -> Vec<String> {
    registry(config, accessory).into_iter().flat_map(Registry::secrets).map(str::to_owned).collect()
}

/// The registry of its image, if that needs a login: its own, or the app's if the image is on that server.
pub fn registry<'a>(config: &'a Config, accessory: &'a Accessory) -> Option<&'a Registry> {
    accessory.registry.as_ref().or_else(|| registry_of(config, &accessory.image))
}

pub fn login(config: &Config, secrets: &Secrets, accessory: &Accessory) -> Result<Option<Login>, PlanError> {
    registry(config, accessory).map_or(Ok(None), |registry| secrets::login(registry, secrets))
}

/// The tag of its image, if that is the app's own image and there is no registry. Then the run sends it.
fn receive_tag<'a>(config: &Config, accessory: &'a Accessory) -> Option<&'a str> {
    let (repository, tag) = match accessory.image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (accessory.image.as_str(), "latest"),
    };
    let own = config.registry.is_absent() && accessory.registry.is_none();
    (own && repository == config.repository()).then_some(tag)
}

/// How the server gets its image, if this run sends it.
pub fn receive(config: &Config, scope: &Scope, accessory: &Accessory) -> Option<Receive> {
    let tag = receive_tag(config, accessory)?;
    Some(Receive {
        scope: scope.clone(),
        locked: true,
        image: format!("{}:{tag}", config.repository()),
        version: tag.into(),
        way: Way::There,
    })
}

pub fn container(
    config: &Config,
    secrets: &Secrets,
    accessory: &Accessory,
    host: &str,
) -> Result<Container, PlanError> {
    Ok(Container {
        image: accessory.image.clone(),
        environment: environment(config, secrets, accessory, host)?,
        port: accessory.port.clone(),
        network: accessory.network.clone(),
        labels: labels(accessory),
        cmd: accessory.cmd.clone(),
        from: match receive_tag(config, accessory) {
            Some(_) => ImageFrom::ThisRun,
            None => ImageFrom::Registry(login(config, secrets, accessory)?),
        },
        ready: if accessory.proxy.is_some() { Ready::Started } else { Ready::Healthy },
        timeout: config.deploy_timeout.as_secs(),
    })
}

/// Checks in advance what its proxy would reject once the container runs: another app's route, and unknown keys.
pub fn check_proxy(
    config: &Config,
    scope: &Scope,
    accessory: &Accessory,
    host: &str,
    observed: &Observed,
) -> Result<(), Refusal> {
    kamal::knows_accessory(config, scope, accessory, host, observed)?;
    kamal::check_accessory(config, &scope.names, accessory, host, observed)
}

/// Checks the values of its secrets. Placeholders don't pass.
pub fn check_secrets(accessory: &Accessory, secrets: &Secrets) -> Result<(), PlanError> {
    accessory.proxy.as_ref().map_or(Ok(()), |proxy| kamal::files::check_logins(proxy, secrets))
}

/// How requests get to its container, if it has a `proxy`.
pub fn route(config: &Config, scope: &Scope, accessory: &Accessory) -> Option<Attach> {
    let of = |proxy| kamal::service::of_accessory(config, scope, &accessory.service, proxy);
    Some(Attach::Kamal(Box::new(of(accessory.proxy.as_ref()?))))
}

/// The files that the proxy reads for it: its certificate, its logins and error pages.
pub fn files(
    scope: &Scope,
    secrets: &Secrets,
    accessory: &Accessory,
    pages: &Pages,
) -> Result<Option<Box<kamal::files::Files>>, PlanError> {
    let Some(proxy) = &accessory.proxy else { return Ok(None) };
    kamal::files::of_accessory(scope, &accessory.service, proxy, secrets, pages.clone())
}

pub fn detach(config: &Config, scope: &Scope, accessory: &Accessory) -> Detach {
    let unregister = |_| kamal::service::Unregister {
        scope: scope.clone(),
        service: accessory.service.clone(),
        id: None,
        drain: config.drain_timeout.as_secs(),
    };
    accessory.proxy.as_ref().map(unregister).map_or(Detach::None, |service| Detach::Kamal(Box::new(service)))
}

fn labels(accessory: &Accessory) -> Pairs {
    match accessory.proxy {
        Some(_) => accessory.labels.clone(),
        None => merge_pairs(&hidden(&accessory.labels, &accessory.options), &accessory.labels),
    }
}

pub fn environment(
    config: &Config,
    secrets: &Secrets,
    accessory: &Accessory,
    host: &str,
) -> Result<Environment, PlanError> {
    let mut clear = accessory.env.clear_pairs();
    if accessory.env.get(HOST_VARIABLE).is_none() {
        clear.insert(0, (HOST_VARIABLE.into(), host.into()));
    }
    let service = &accessory.service;
    let files = accessory.files.iter().map(|file| Upload::volume(service, file));
    let directories = accessory.directories.iter().map(|directory| Directory::volume(service, directory));
    Ok(Environment {
        host: host.into(),
        clear,
        secret: secret_env(secrets, &accessory.env)?,
        volumes: accessory.volumes.iter().cloned().chain(files).chain(directories).collect(),
        options: accessory.options.clone(),
        logging: config.logging.clone(),
    })
}

/// A variable that Kamal sets. The configuration can override it.
const HOST_VARIABLE: &str = "KAMAL_HOST";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;
    use crate::observed::Container;
    use bowline_config::{SourceFile, load};

    fn config(server: &str, image: &str) -> Config {
        let text = format!(
            "service: app\nimage: app\nregistry: {{server: {server}, username: u, password: [ROOT]}}\n\
             accessories:\n  db: {{image: {image}, host: a}}\n  own: {{image: i, host: a, registry: {{server: o.test, username: u, password: [OWN]}}}}\n"
        );
        load(SourceFile::new("d", text), None).unwrap().config
    }

    #[test]
    fn a_login_is_only_for_the_registry_that_the_image_is_in() {
        let cases = [
            ("ghcr.io", "mysql:8", false),
            ("ghcr.io", "ghcr.io/me/db", true),
            ("docker.io", "mysql:8", true),
            ("https://index.docker.io/v1/", "me/db", true),
            ("docker.io", "quay.io/me/db", false),
            ("reg.test:5000", "reg.test:5000/db", true),
            ("reg.test:5000", "reg.test/db", false),
        ];
        for (server, image, wanted) in cases {
            let config = config(server, image);
            let secrets = secrets_needed(&config, &config.accessories[0]);
            assert_eq!(secrets, if wanted { vec!["ROOT"] } else { vec![] }, "{server} {image}");
            assert_eq!(secrets_needed(&config, &config.accessories[1]), ["OWN"]);
        }
    }

    #[test]
    fn keys_that_the_proxy_there_does_not_know_are_refused_before_the_container_boots() {
        let text = "service: app\nimage: app\nregistry: {username: u, password: [PW]}\nbuilder: {arch: amd64}\nservers: [a]\n\
                    proxy: {run: {version: v0.9.2}}\n\
                    accessories: {admin: {image: i, host: a, proxy: {host: a.test, app_port: 80, basic_auth: [LOGIN]}}}\n";
        let config = load(SourceFile::new("d", text), None).unwrap().config;
        let scope = Scope { names: Names::of(&config), run: "f00d".into(), performer: "me".into() };
        let checked = |image: Option<&str>| {
            let proxy = |image: &str| Container {
                name: kamal::NAME.into(),
                image: image.into(),
                status: "running".into(),
                ..Container::default()
            };
            let observed =
                Observed { proxies: image.map(proxy).into_iter().collect(), ..Observed::default() };
            check_proxy(&config, &scope, &config.accessories[0], "a", &observed)
                .map_err(|refusal| refusal.message)
        };
        for image in [None, Some("basecamp/kamal-proxy:v0.9.2")] {
            let refused = checked(image).unwrap_err();
            assert!(refused.contains("`proxy: basic_auth` needs Bowline's own proxy"), "{refused}");
        }
    }

    #[test]
    fn an_image_of_the_app_itself_is_sent_where_there_is_no_registry() {
        let text = |registry: &str, image: &str| {
            format!(
                "service: app\nimage: me/app\n{registry}accessories:\n  own: {{image: '{image}', host: a}}\n"
            )
        };
        let local = "registry: {server: 'localhost:5000'}\n";
        let remote = "registry: {server: ghcr.io, username: u, password: [P]}\n";
        for (registry, image, tag) in [
            ("", "me/app", Some("latest")),
            ("", "me/app:v1", Some("v1")),
            ("", "me/app2", None),
            ("", "mysql:8", None),
            (local, "localhost:5000/me/app", Some("latest")),
            (local, "localhost:5000/me/app:v1", Some("v1")),
            (local, "me/app", None),
            (remote, "ghcr.io/me/app:v1", None),
        ] {
            let config = load(SourceFile::new("d", text(registry, image)), None).unwrap().config;
            assert_eq!(receive_tag(&config, &config.accessories[0]), tag, "{registry} {image}");
        }
    }
}
