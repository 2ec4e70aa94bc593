//! Names of images, as Docker reads them: `[HOST[:PORT]/]PATH[:TAG]`, with a lower-case path.
//!
//! Docker rejects some names, and looks for others in a registry that the user isn't logged in to. Bowline rejects
//! both before the login, the clone and the lock.

use crate::decode::{Field, Report};
use crate::given::given;
use crate::suggest::variable_help;

const DOCKER_HUB: &[&str] = &["docker.io", "index.docker.io", "registry-1.docker.io"];

#[derive(Debug, PartialEq, Eq)]
struct Problem {
    message: String,
    help: String,
}

/// What Bowline puts in front of the image's name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Before<'s> {
    /// Nothing: the name already contains its registry, if any.
    Nothing,
    /// The server of `registry`; `None` for Docker Hub.
    Registry(Option<&'s str>),
}

/// Reports an invalid name, and returns whether the name is valid. Ignores the tag and the digest.
pub(crate) fn check(field: &Field, name: &str, before: Before, report: &mut Report) -> bool {
    let (bare, tag) = name.split_at(untagged(name).len());
    let Some(problem) = problem(bare, tag, before) else { return true };
    report.push(field.error(&problem.message).help(problem.help));
    false
}

/// Reports a registry's address that can't precede an image's name, and returns whether the address is valid.
pub(crate) fn check_server(field: &Field, report: &mut Report) -> bool {
    let Some(server) = field.text() else { return true };
    let bare = server.split_once("://").map_or(server.as_str(), |(_, rest)| rest).trim_end_matches('/');
    let host = bare.split('/').next().unwrap_or_default();
    let (message, help) = if bare != server {
        let help = match DOCKER_HUB.contains(&host) {
            true => "leave `server` out: without it the registry is Docker Hub".to_owned(),
            false => format!("`server: {}`", given(bare)),
        };
        ("should have no `https://` before it and no `/` after it", help)
    } else if bare.contains('$') {
        ("contains `$`, which isn't expanded here", variable_help(&server))
    } else if host.rsplit_once(':').is_some_and(|(_, port)| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        ("should have a port from 1 to 65535 after the `:`", "as in `localhost:5000`".to_owned())
    } else if bare.split('/').skip(1).any(|part| !is_component(part)) {
        let path = bare.get(host.len()..).unwrap_or_default().to_lowercase();
        let help = format!("`server: {}{}`", given(host), given(path));
        ("should have only lower-case letters, digits, `.`, `_` and `-` after the host", help)
    } else {
        return true;
    };
    report.push(field.error(message).help(help));
    false
}

fn untagged(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or_default();
    let last = name.rfind('/').map_or(0, |at| at + 1);
    match name.get(last..).and_then(|last| last.find(':')) {
        Some(colon) => name.get(..last + colon).unwrap_or(name),
        None => name,
    }
}

fn problem(name: &str, tag: &str, before: Before) -> Option<Problem> {
    let problem = |message: &str, help: String| Some(Problem { message: message.to_owned(), help });
    if name.contains('$') {
        let message = "contains `$`, which isn't expanded here";
        return problem(message, variable_help(name));
    }
    if let Some((_, rest)) = name.split_once("://") {
        return problem("should be an image's name, not a URL", image(rest, tag));
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    if parts.len() < name.split('/').count() {
        let message = "an image's name can't begin or end with `/` or contain `//`";
        return problem(message, image(&parts.join("/"), tag));
    }
    if let Some(misplaced) = misplaced(&parts, tag, before) {
        return Some(misplaced);
    }
    let host = host(&parts).filter(|_| matches!(before, Before::Nothing | Before::Registry(None)));
    let path = parts.get(usize::from(host.is_some())..).unwrap_or_default();
    if path.iter().any(|part| part.contains(char::is_uppercase)) {
        let lower: Vec<String> = path.iter().map(|part| part.to_lowercase()).collect();
        let host = host.map(|host| format!("{host}/")).unwrap_or_default();
        let help = image(&format!("{host}{}", lower.join("/")), tag);
        return problem("an image's name can't contain upper-case letters", help);
    }
    let unsound = path.iter().any(|part| !is_component(part)) || path.is_empty();
    unsound.then(|| Problem {
        message: "this is not the name of an image".into(),
        help: "lower-case letters and digits, with single `.`, `_` or `-` between them, and `/` between the parts".into(),
    })
}

fn image(name: &str, tag: &str) -> String {
    format!("`image: {}{}`", given(name), given(tag))
}

/// The problem with a name that contains a registry, although `registry` says where the image is.
fn misplaced(parts: &[&str], tag: &str, before: Before) -> Option<Problem> {
    let (Before::Registry(server), Some(host)) = (before, host(parts)) else { return None };
    let rest = parts.get(1..).unwrap_or_default().join("/");
    let Some(server) = server else {
        let elsewhere = host != "localhost" && !host.starts_with("localhost:") && !DOCKER_HUB.contains(&host);
        return elsewhere.then(|| Problem {
            message: format!(
                "this image is at {}, but the login is for Docker Hub, as `registry` names no server",
                given(host)
            ),
            help: format!("{}, and `server: {}` under `registry`", image(&rest, tag), given(host)),
        });
    };
    let own: Vec<&str> = server.split('/').collect();
    if parts.starts_with(&own) || own.first() == Some(&host) {
        let rest =
            if parts.starts_with(&own) { parts.get(own.len()..).unwrap_or_default().join("/") } else { rest };
        return Some(Problem {
            message: format!(
                "contains the registry {} again, which Bowline already puts before the name",
                given(server)
            ),
            help: image(&rest, tag),
        });
    }
    host.contains(':').then(|| Problem {
        message: format!("names a second registry, after {} of `registry: {{server: …}}`", given(server)),
        help: format!("{}, and only one of the two as `server`", image(&rest, tag)),
    })
}

/// The first part, if Docker reads it as a registry.
fn host<'p>(parts: &[&'p str]) -> Option<&'p str> {
    let [first, _, ..] = parts else { return None };
    (first.contains(['.', ':']) || *first == "localhost").then_some(*first)
}

pub(crate) fn names_a_registry(name: &str) -> bool {
    host(&name.split('/').collect::<Vec<_>>()).is_some()
}

/// Whether Docker accepts a part of a path: letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_component(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = part.split(plain).filter(|between| !between.is_empty());
    part.starts_with(plain)
        && part.ends_with(plain)
        && separators
            .into_iter()
            .all(|between| matches!(between, "." | "_" | "__") || between.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::plain;

    #[test]
    fn names_that_docker_takes() {
        let hub = Before::Registry(None);
        let cases = [
            ("acme/shop", hub),
            ("shop", hub),
            ("docker.io/acme/shop", hub),
            ("localhost:5000/shop", hub),
            ("a_b/c__d/e.f/g--h", hub),
            ("acme/shop", Before::Registry(Some("ghcr.io"))),
            ("shop", Before::Registry(Some("registry.example.com/team"))),
            ("library.example/shop", Before::Registry(Some("mirror.example.com"))),
            ("ghcr.io/acme/shop", Before::Nothing),
            ("10.0.0.5:5000/shop", Before::Nothing),
            ("redis", Before::Nothing),
        ];
        for (name, before) in cases {
            assert_eq!(problem(name, "", before), None, "{name}");
        }
    }

    #[test]
    fn names_that_cannot_work() {
        let hub = Before::Registry(None);
        let ghcr = Before::Registry(Some("ghcr.io"));
        let cases = [
            ("Acme/shop", hub, "`image: acme/shop`"),
            ("Acme.Corp/shop", ghcr, "`image: acme.corp/shop`"),
            ("/acme/shop", hub, "`image: acme/shop`"),
            ("acme/shop/", hub, "`image: acme/shop`"),
            ("acme//shop", hub, "`image: acme/shop`"),
            ("ghcr.io/acme/shop", ghcr, "`image: acme/shop`"),
            ("ghcr.io/acme/shop", Before::Registry(Some("ghcr.io/acme")), "`image: shop`"),
            ("ghcr.io/acme/shop", hub, "`image: acme/shop`, and `server: ghcr.io` under `registry`"),
            ("r.io:5000/shop", Before::Registry(Some("r.io:5000")), "`image: shop`"),
            ("b.io:5000/shop", ghcr, "`image: shop`, and only one of the two as `server`"),
            ("https://ghcr.io/acme/shop", Before::Nothing, "`image: ghcr.io/acme/shop`"),
            ("ghcr.io/Acme/Shop", Before::Nothing, "`image: ghcr.io/acme/shop`"),
            ("$USER/shop", hub, "a variable of your environment is written `<%= ENV[\"USER\"] %>`"),
        ];
        for (name, before, help) in cases {
            assert_eq!(
                problem(name, "", before).map(|problem| plain(&problem.help)).as_deref(),
                Some(help),
                "{name}"
            );
        }
        for name in ["acme/sh op", "-shop", "shop_", "a___b", "a..b", "acme/shöp"] {
            assert!(problem(name, "", hub).is_some(), "{name}");
        }
    }

    #[test]
    fn tags_and_digests_are_no_part_of_the_name() {
        let cases = [
            ("redis:7", "redis"),
            ("h:1/a:B", "h:1/a"),
            ("a@sha256:ABC", "a"),
            ("a:B@sha256:ABC", "a"),
            ("h:1/a", "h:1/a"),
        ];
        for (name, bare) in cases {
            assert_eq!(untagged(name), bare);
        }
    }
}
