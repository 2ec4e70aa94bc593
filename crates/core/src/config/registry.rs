//! `registry`: where the image is pushed to and pulled from.

use super::decode::{Field, Keys, Report, Section};
use super::diagnostic::Diagnostic;
use crate::secret::Secret;

/// `registry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// `server`; Docker Hub if absent.
    pub server: Option<String>,
    /// `username`.
    pub username: Credential,
    /// `password`.
    pub password: Credential,
}

/// A text, or the name of a secret that holds it (a list of one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The value itself.
    Plain(Secret),
    /// A key of the secrets file.
    Secret(String),
}

const KEYS: Keys = Keys { known: &["server", "username", "password"], later: &[] };

impl Registry {
    pub(super) fn decode(field: &Field, report: &mut Report) -> Option<Self> {
        let section = field.section(&KEYS, report)?;
        let server = section.filled("server", report);
        let local = server.as_ref().is_some_and(|server| server.starts_with("localhost:"));
        if local && section.get("username").is_none() && section.get("password").is_none() {
            let server = section.get("server")?;
            report.push(
                server
                    .error("a registry on the deploying machine is not supported yet")
                    .help("give `username` and `password` if it is one that wants them"),
            );
            return None;
        }
        let username = Credential::decode(&section, "username", report);
        let password = Credential::decode(&section, "password", report);
        Some(Self { server, username: username?, password: password? })
    }
}

impl Credential {
    fn decode(section: &Section, name: &str, report: &mut Report) -> Option<Self> {
        let Some(field) = section.get(name) else {
            let message = format!("registry/{name}: is required");
            report.push(
                Diagnostic::error(section.field.span(), message)
                    .help(format!("`{name}: VALUE`, or `{name}: [NAME]` with the name of a secret")),
            );
            return None;
        };
        if field.scalar().is_some() {
            return field.filled(report).map(|text| Credential::Plain(Secret::new(text)));
        }
        match field.is_list().then(|| field.list(report)).flatten().as_deref() {
            Some([name]) if name.scalar().is_some() => name.filled(report).map(Credential::Secret),
            _ => {
                field.wrong_type("a string or an array with one string (for secret lookup)", report);
                None
            }
        }
    }
}
