//! The registry, seen from a server: log in, log out, pull. Without a registry, the server receives the image from this run
//! ([`Receive`]).

mod layers;
mod receive;

use std::fmt;
use std::str::FromStr;

use super::Scope;
use super::answer::{self, Unreadable};
use super::status::Status::{LoginRefused, NotLabelled, PullFailed};
use crate::shell::{Line, Script, quote};
use bowline_config::secret::Secret;
pub use layers::{Held, Layer, Layers, held};
pub use receive::{Receive, Served, Way, runs};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The registry's address; Docker Hub if absent.
    pub server: Option<String>,
    /// The user; sent on standard input, though Docker's client takes it as an argument.
    pub username: Secret,
    /// The password; sent on standard input.
    pub password: Secret,
}

/// Shell lines that read what [`Login::input`] gives. `read` takes no byte more than its line.
pub(super) const READ: &str = "IFS= read -r bowline_username && IFS= read -r bowline_password || exit\n";

impl Login {
    /// The words after `docker`; the password is read from standard input.
    pub fn words(&self) -> Vec<&str> {
        let mut words = vec!["login", "--username", self.username.expose(), "--password-stdin"];
        words.extend(self.server.as_deref());
        words
    }

    /// What a script with [`READ`] reads: a line each.
    pub(super) fn input(&self) -> String {
        let line = |secret: &Secret| secret.expose().replace('\n', "") + "\n";
        line(&self.username) + &line(&self.password)
    }

    /// A shell function `sign_in`, once [`READ`] has read.
    fn sign_in(&self) -> String {
        let line = Line::new("docker")
            .words(["login", "--username"])
            .var("bowline_username")
            .word("--password-stdin");
        format!(
            "sign_in() {{\n{} 2>&1 <<END\n$bowline_password\nEND\n}}\n",
            line.words(self.server.as_deref())
        )
    }
}

/// Logs in and pulls the version's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    pub scope: Scope,
    /// Whether the run holds the lock: it then pulls only as long as the server is its own, and notes the image.
    pub locked: bool,
    /// The login, unless the registry needs none.
    pub login: Option<Login>,
    /// `REPO:VER`.
    pub image: String,
    /// The version, for the audit log.
    pub version: String,
}

impl Pull {
    /// Login and pull in one round trip. Prints [`Pulled`]. What is pulled is written down first, so that no other app that shares the
    /// repository prunes it before it runs.
    pub fn script(&self) -> Script {
        let mut text = if self.locked { noted(&self.scope, &self.image) } else { String::new() };
        if self.login.is_some() {
            text.push_str(READ);
        }
        text.push_str(&pull(self.login.as_ref(), &self.image));
        text.push_str(&there(&self.scope, &self.image));
        text.push_str(&self.scope.audit(None, &format!("Pulled image with version {}", self.version)));
        match &self.login {
            Some(login) => Script::new(text).with_input(Secret::new(login.input())),
            None => Script::new(text),
        }
    }
}

/// Shell lines that write down, before it comes, which image a run has need of.
fn noted(scope: &Scope, image: &str) -> String {
    let pulled = quote(&scope.names.pulled());
    format!("{}printf '%s\\n' {} > {pulled} || exit 1\n", scope.fence(), quote(image))
}

/// Shell lines that print [`Pulled`], if the image is the service's: pruning finds a service's images by their label.
fn there(scope: &Scope, image: &str) -> String {
    format!(
        "bowline_pulled=$(docker image inspect --format '{{{{.ID}}}} {{{{.Config.Labels.service}}}}' {}) || exit\n\
         [ \"${{bowline_pulled#* }}\" = {} ] || exit {NotLabelled}\n\
         echo \"@image ${{bowline_pulled%% *}}\"\n",
        quote(image),
        quote(scope.names.service()),
    )
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its id.
    pub image: String,
}

impl FromStr for Pulled {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let line = answer::lines(text).find(|line| line.word == "image");
        Ok(Self { image: line.ok_or(Unreadable::Missing("@image"))?.some()?.into() })
    }
}

impl fmt::Display for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "@image {}", self.image)
    }
}

/// The credential helper that Docker's client looked for in vain, by what it said.
pub fn missing_helper(said: &str) -> Option<&str> {
    let absent = ["not found", "no such file", "not installed"];
    let line = said.lines().find(|line| {
        line.contains("docker-credential-") && absent.iter().any(|words| line.to_lowercase().contains(words))
    })?;
    let name = &line[line.find("docker-credential-")?..];
    name.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).next()
}

/// Shell lines that pull an image, logged in if there is a login, which [`READ`] has read.
///
/// Docker writes all logins of a user into one file, so another app's login at the same moment may undo ours: a pull
/// that is refused is tried once more, after another login.
pub(super) fn pull(login: Option<&Login>, image: &str) -> String {
    let pull = Line::new("docker").words(["pull", "--quiet", image]);
    let Some(login) = login else { return format!("{pull} >/dev/null || exit {PullFailed}\n") };
    format!(
        "{sign_in}\
         login() {{ bowline_said=$(sign_in) || {{ printf '%s\\n' \"$bowline_said\" >&2; exit {LoginRefused}; }}; }}\n\
         login\n\
         bowline_said=$({pull} 2>&1 >/dev/null) || {{\n\
         case $bowline_said in *auth*|*denied*|*credential*) login; bowline_said=$({pull} 2>&1 >/dev/null) ;; *) false ;; esac\n\
         }} || {{ printf '%s\\n' \"$bowline_said\" >&2; exit {PullFailed}; }}\n",
        sign_in = login.sign_in(),
    )
}

pub fn login(login: &Login) -> Script {
    Script::new(format!("{READ}{}sign_in >&2\n", login.sign_in())).with_input(Secret::new(login.input()))
}

pub fn logout(server: Option<&str>) -> Script {
    Script::new(format!("{} >&2\n", Line::new("docker").words(["logout"]).words(server)))
}

/// Prints the registry mirror that Docker asks first; nothing if there is none.
pub fn mirror() -> Script {
    Script::new(
        "docker info --format '{{range .RegistryConfig.Mirrors}}{{println .}}{{end}}' 2>/dev/null | head -n 1\n",
    )
}
