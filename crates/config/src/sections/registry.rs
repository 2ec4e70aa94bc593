//! `registry`: the registry that the image is pushed to and pulled from.

use serde::{Serialize, Serializer};

use crate::decode::{Field, Report};
use crate::describe::{Form, Keys, Setting};
use crate::image;
use crate::secret::{REDACTED, Secret};
use crate::shown;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registry {
    /// `server`, which precedes the names of images; Docker Hub if absent.
    pub server: Option<String>,
    /// `username` and `password`. Without them there is no registry: the deploying machine sends the image to the servers.
    pub login: Option<Credentials>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: Credential,
    pub password: Credential,
}

/// A text, or the name of a secret that holds it (a list of one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    Plain(Secret),
    /// A key of the secrets file.
    Secret(String),
}

pub(crate) const KEYS: Keys = Keys::new(
    "registry",
    "The registry that the image is pushed to and pulled from. Without this section, your machine sends the image to the \
     servers through their SSH connections. `server: localhost:PORT` without `username` and `password` works the same way: \
     no registry runs there, and the address only becomes the first part of the image's name.",
    &[
        Setting::new("server", Form::Filled, "the registry's address")
            .default("Docker Hub")
            .examples(&["ghcr.io", "\"localhost:5000\""]),
        Setting::new("username", Form::Credential, "the user name, or a list with the name of one secret")
            .default("required, except with `localhost:PORT`")
            .examples(&["me", "[REGISTRY_USERNAME]"]),
        Setting::new("password", Form::Credential, "the password, or a list with the name of one secret")
            .default("required, except with `localhost:PORT`")
            .examples(&["[REGISTRY_PASSWORD]"]),
    ],
)
.slips(&[("host", "server"), ("url", "server"), ("user", "username"), ("token", "password")]);

impl Registry {
    pub(crate) fn decode(section: &Field, report: &mut Report) -> Option<Self> {
        let server = section.at("server").text();
        if is_localhost(server.as_deref()) && !section.has("username") && !section.has("password") {
            return Some(Self { server, login: None });
        }
        let username = Credential::decode(section, "username", report);
        let password = Credential::decode(section, "password", report);
        Some(Self { server, login: Some(Credentials { username: username?, password: password? }) })
    }

    /// Like [`Self::decode`], for a registry whose server precedes the names of images and must be valid there.
    pub(crate) fn decode_named(field: &Field, report: &mut Report) -> Option<Self> {
        let sound = field.get("server").is_none_or(|server| image::check_server(&server, report));
        Self::decode(field, report).filter(|_| sound)
    }

    /// Whether there is no registry, so that the deploying machine sends the image to the servers.
    pub fn is_absent(&self) -> bool {
        self.login.is_none()
    }

    /// Whether it is Kamal's local registry (`localhost:PORT`), of which Bowline uses only the name.
    pub fn is_local(&self) -> bool {
        self.is_absent() && is_localhost(self.server.as_deref())
    }

    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let login = self.login.iter().flat_map(|login| [&login.username, &login.password]);
        login.filter_map(|credential| match credential {
            Credential::Secret(name) => Some(name.as_str()),
            Credential::Plain(_) => None,
        })
    }
}

fn is_localhost(server: Option<&str>) -> bool {
    server.is_some_and(|server| server.starts_with("localhost:"))
}

impl Serialize for Registry {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Some(login) = &self.login else {
            return to.serialize_str("none: servers get the image from the deploying machine");
        };
        let server = ("server", self.server.as_deref().unwrap_or("docker.io").to_owned());
        let shown = |credential: &Credential, plain: &str| match credential {
            Credential::Plain(_) => plain.to_owned(),
            Credential::Secret(name) => shown::secret(name),
        };
        let username = match &login.username {
            Credential::Plain(name) => name.expose(),
            Credential::Secret(_) => "",
        };
        let username = shown(&login.username, username);
        to.collect_map([server, ("username", username), ("password", shown(&login.password, REDACTED))])
    }
}

impl Credential {
    fn decode(section: &Field, name: &str, report: &mut Report) -> Option<Self> {
        if !section.has(name) {
            let help = format!("`{name}: VALUE`, or `{name}: [NAME]` with the name of a secret");
            report.missing(section, name, &help);
            return None;
        }
        let field = section.get(name)?;
        match field.text() {
            Some(text) => Some(Credential::Plain(Secret::new(text))),
            None => field.secrets(report).into_iter().next().map(Credential::Secret),
        }
    }
}
