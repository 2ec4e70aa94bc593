//! The secrets for pulling the proxy's image.

use bowline_config::{Config, Registry};

use super::container::Image;
use super::{run_of, runs};
use crate::commands::registry::Login;
use crate::error::PlanError;
use crate::secrets::{Secrets, login as login_to, registry_of};

/// The names of the secrets that are needed to pull the image from the app's registry.
pub fn of_pull(config: &Config) -> Vec<String> {
    let registries = runs(config).filter_map(|run| registry(config, &Image::of(run)));
    let mut names: Vec<String> = registries.flat_map(Registry::secrets).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

pub fn login(config: &Config, secrets: &Secrets, host: &str) -> Result<Option<Login>, PlanError> {
    let registry = run_of(config, host).and_then(|run| registry(config, &Image::of(run)));
    registry.map_or(Ok(None), |registry| login_to(registry, secrets))
}

/// The app's registry, if the image is in it as well.
fn registry<'c>(config: &'c Config, image: &Image) -> Option<&'c Registry> {
    match image {
        Image::Named(image) => registry_of(config, image),
        Image::Own => None,
    }
}

#[cfg(test)]
mod tests {
    use bowline_config::SourceFile;
    use bowline_config::secret::Secret;

    use super::*;

    fn config(run: &str) -> Config {
        let text = format!(
            "service: app\nimage: app\nregistry: {{server: r.test, username: u, password: [PW]}}\n\
             builder: {{arch: amd64}}\nservers: [a]\nproxy: {{run: {run}}}"
        );
        bowline_config::load(SourceFile::new("config/deploy.yml", text), None).unwrap().config
    }

    #[test]
    fn only_an_image_in_the_apps_registry_needs_its_login() {
        let secrets = Secrets::from_iter([("PW".to_owned(), Secret::new("hidden"))]);
        for (run, needs) in [
            ("{registry: r.test, repository: proxy, version: v1.0.0}", true),
            ("{registry: other.test, repository: proxy, version: v1.0.0}", false),
            ("{version: v0.9.2}", false),
            ("{http_port: 81}", false),
        ] {
            let config = config(run);
            assert_eq!(of_pull(&config).len(), usize::from(needs), "{run}");
            assert_eq!(login(&config, &secrets, "a").unwrap().is_some(), needs, "{run}");
            assert!(login(&config, &secrets, "b").unwrap().is_none());
        }
    }
}
