//! Which versions of the proxy Bowline supports. A version is the tag of the proxy's image.

use std::cmp::Ordering;

use bowline_config::Config;

use super::NAME;
use super::container::{Ensure, Image};
use crate::error::Refusal;
use crate::observed::Container;

/// The last part of the name of Bowline's own proxy image.
pub(super) const PROGRAM: &str = "bowline-proxy";

/// The oldest version that supports the commands that Bowline uses. Kamal 2.11 has the same minimum.
pub const MINIMUM: &str = "v0.9.2";

/// Rejects a proxy whose image's tag is too old. Accepts tags that aren't versions.
pub(super) fn check(host: &str, image: &str) -> Result<(), Refusal> {
    let Some(version) = of_image(image).filter(|version| is_older(version, MINIMUM)) else { return Ok(()) };
    Err(Refusal {
        message: format!("{NAME} on {host} is {version}, and {MINIMUM} is the oldest that works"),
        hint: "`bowline proxy reboot` replaces it with a newer one".into(),
    })
}

/// Whether a container runs Bowline's own proxy, according to a label of its image.
pub fn is_own(proxy: &Container) -> bool {
    proxy.labels.get("org.opencontainers.image.vendor").is_some_and(|vendor| vendor == "Bowline")
}

/// Rejects keys that only Bowline's own proxy knows if another proxy runs.
pub(super) fn knows(
    host: &str,
    proxy: &Container,
    mut keys: impl Iterator<Item = &'static str>,
) -> Result<(), Refusal> {
    if is_own(proxy) {
        return Ok(());
    }
    let Some(key) = keys.next() else { return Ok(()) };
    Err(Refusal {
        message: format!(
            "`proxy: {key}` needs Bowline's own proxy, and {NAME} on {host} runs {}",
            proxy.image
        ),
        hint:
            "`bowline proxy reboot` replaces it with Bowline's own, unless `proxy: run:` names another image"
                .into(),
    })
}

/// The keys in the configuration of a server's roles that only Bowline's own proxy knows.
pub(super) fn keys_of_roles<'c>(
    config: &'c Config,
    host: &'c str,
) -> impl Iterator<Item = &'static str> + 'c {
    let roles = config.roles.iter().filter(move |role| role.hosts.iter().any(|at| at.host == host));
    roles.filter_map(|role| role.kamal_proxy()).flat_map(|proxy| proxy.own.keys())
}

/// Like [`keys_of_roles`], and those of the server's accessories.
pub(super) fn own_keys<'c>(config: &'c Config, host: &'c str) -> impl Iterator<Item = &'static str> + 'c {
    let accessories =
        config.accessories.iter().filter(move |accessory| accessory.hosts.iter().any(|at| at == host));
    let proxies = accessories.filter_map(|accessory| accessory.proxy.as_ref());
    keys_of_roles(config, host).chain(proxies.flat_map(|proxy| proxy.own.keys()))
}

/// Refuses to create a proxy from another image if it would ignore keys that only Bowline's own proxy knows. Without
/// `basic_auth`, for example, an app would be open to everyone.
pub(super) fn makes(host: &str, ensure: &Ensure) -> Result<(), Refusal> {
    let (Some(key), Image::Named(image)) = (ensure.needs_own, &ensure.image) else { return Ok(()) };
    let repository =
        of_image(image).and_then(|tag| image.strip_suffix(tag)?.strip_suffix(':')).unwrap_or(image);
    if repository.rsplit('/').next() == Some(PROGRAM) {
        return Ok(());
    }
    Err(Refusal {
        message: format!(
            "`proxy: run:` names {image} for {host}, and `proxy: {key}` needs Bowline's own proxy"
        ),
        hint: format!("remove the image from `proxy: run:`, or remove `{key}` and deploy first"),
    })
}

/// The version in the image tag of Bowline's own proxy. The tag's prefix `v10.` satisfies Kamal's minimum.
pub(super) fn of_own(image: &str) -> Option<&str> {
    let tag = of_image(image)?;
    let repository = image.strip_suffix(tag)?.strip_suffix(':')?;
    tag.strip_prefix("v10.").filter(|_| repository.rsplit('/').next() == Some(PROGRAM))
}

fn of_image(image: &str) -> Option<&str> {
    let name = image.split('@').next()?;
    let (_, tag) = name.rsplit_once(':')?;
    (!tag.contains('/')).then_some(tag)
}

/// Whether one version is older than another. Numbers and pre-releases are in the same order as in RubyGems.
pub fn is_older(version: &str, than: &str) -> bool {
    match (parts(version), parts(than)) {
        (Some(version), Some(than)) => order(&version, &than) == Ordering::Less,
        _ => false,
    }
}

/// The parts of a version. `None` is a word, which makes the version a pre-release.
fn parts(version: &str) -> Option<Vec<Option<u64>>> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let parts = version.split(['.', '-']).map(|part| match part.parse() {
        Ok(number) => Some(Some(number)),
        Err(_) if part.chars().all(char::is_alphanumeric) && !part.is_empty() => Some(None),
        Err(_) => None,
    });
    let parts: Vec<Option<u64>> = parts.collect::<Option<_>>()?;
    matches!(parts.first(), Some(Some(_))).then_some(parts)
}

fn order(left: &[Option<u64>], right: &[Option<u64>]) -> Ordering {
    let at = |parts: &[Option<u64>], place: usize| match parts.get(place) {
        Some(Some(number)) => (1, *number),
        Some(None) => (0, 0),
        None => (1, 0),
    };
    let places = 0..left.len().max(right.len());
    places
        .map(|place| at(left, place).cmp(&at(right, place)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use bowline_config::SourceFile;

    use super::*;
    use crate::commands::Scope;
    use crate::names::Names;

    #[test]
    fn what_only_our_proxy_does_is_refused_where_another_runs() {
        let text = "service: app\nimage: app\nregistry: {username: u, password: [PW]}\nbuilder: {arch: amd64}\n\
                    servers: [a]\nproxy: {compress: true}";
        let config = bowline_config::load(SourceFile::new("config/deploy.yml", text), None).unwrap().config;
        let mut proxy = Container { image: "basecamp/kamal-proxy:v0.9.2".into(), ..Container::default() };
        let refusal = knows("a", &proxy, keys_of_roles(&config, "a")).unwrap_err();
        assert_eq!(
            refusal.message,
            "`proxy: compress` needs Bowline's own proxy, and kamal-proxy on a runs basecamp/kamal-proxy:v0.9.2"
        );
        assert_eq!(knows("b", &proxy, keys_of_roles(&config, "b")), Ok(()));
        proxy.labels.insert("org.opencontainers.image.vendor".into(), "Bowline".into());
        assert_eq!(knows("a", &proxy, keys_of_roles(&config, "a")), Ok(()));
    }

    #[test]
    fn no_proxy_is_made_that_would_ignore_keys() {
        let text = "service: app\nimage: app\nregistry: {username: u, password: [PW]}\nbuilder: {arch: amd64}\nservers: [a, c]\nproxy: {run: {repository: me/other, version: v1}}\n\
                    accessories: {admin: {image: i, host: b, proxy: {host: b.test, basic_auth: [LOGIN]}}}\n";
        let scope = Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() };
        let made = |text: &str, host: &str| {
            let config =
                bowline_config::load(SourceFile::new("config/deploy.yml", text), None).unwrap().config;
            makes(host, &crate::proxy::kamal::ensure(&config, &scope, host))
                .map_err(|refusal| refusal.message)
        };
        assert_eq!(made(text, "a"), Ok(()));
        let wanted = text.replace("run: {", "allow_ips: [10.0.0.0/8], run: {");
        assert_eq!(
            made(&wanted, "a").unwrap_err(),
            "`proxy: run:` names me/other:v1 for a, and `proxy: allow_ips` needs Bowline's own proxy"
        );
        assert_eq!(made(&wanted.replace("me/other", "me/bowline-proxy"), "a"), Ok(()));
        assert_eq!(
            made(&wanted.replace("run: {repository: me/other, version: v1}", "ssl: false"), "a"),
            Ok(())
        );
    }

    #[test]
    fn images_of_our_own_are_known_by_name() {
        for (image, version) in [
            ("bowline-proxy:v10.0.1.0", Some("0.1.0")),
            ("r.test:5000/me/bowline-proxy:v10.1.0.0-rc.1", Some("1.0.0-rc.1")),
            ("bowline-proxy:latest", None),
            ("bowline-proxy", None),
            ("not-bowline-proxy:v10.0.1.0", None),
            ("basecamp/kamal-proxy:v10.0.1.0", None),
        ] {
            assert_eq!(of_own(image), version, "{image}");
        }
    }

    #[test]
    fn a_proxy_that_is_too_old_is_refused_with_what_to_do() {
        for image in [
            "basecamp/kamal-proxy:v0.9.2",
            "basecamp/kamal-proxy:v0.10.0",
            "bowline-proxy:v10.0.1.0",
            "me/proxy:latest",
            "localhost:5000/proxy",
            "sha256:0a",
        ] {
            assert_eq!(check("a", image), Ok(()), "{image}");
        }
        for image in
            ["basecamp/kamal-proxy:v0.8.7", "r.test:5000/p:0.9", "p:v0.9.2-rc1", "p:v0.9.1@sha256:00"]
        {
            let refusal = check("a", image).unwrap_err();
            assert!(refusal.message.contains("on a is") && refusal.hint.contains("proxy reboot"), "{image}");
        }
    }
}
