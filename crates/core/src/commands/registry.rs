//! The registry as seen from a server: log in, log out, pull. Without a registry, the server receives the image from this
//! run ([`Receive`]).

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
    /// The registry's address. `None` is Docker Hub.
    pub server: Option<String>,
    /// Sent on standard input, although Docker's client takes it as an argument.
    pub username: Secret,
    /// Sent on standard input.
    pub password: Secret,
}

/// Shell lines that read [`Login::input`]. `read` consumes exactly one line.
pub(super) const READ: &str = "IFS= read -r bowline_username && IFS= read -r bowline_password || exit\n";

impl Login {
    /// The arguments of `docker`, which reads the password from standard input.
    pub fn words(&self) -> Vec<&str> {
        let mut words = vec!["login", "--username", self.username.expose(), "--password-stdin"];
        words.extend(self.server.as_deref());
        words
    }

    /// The input for [`READ`]: one line each.
    pub(super) fn input(&self) -> String {
        let line = |secret: &Secret| secret.expose().replace('\n', "") + "\n";
        line(&self.username) + &line(&self.password)
    }

    /// The shell function `sign_in`. It uses the variables that [`READ`] sets.
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    pub scope: Scope,
    /// Whether the run holds the lock. If so, the script checks that the server is still its own, and notes the image.
    pub locked: bool,
    /// `None` if the registry needs no login.
    pub login: Option<Login>,
    /// `REPO:VER`.
    pub image: String,
    /// The version, for the audit log.
    pub version: String,
}

impl Pull {
    /// Logs in and pulls in one round trip. Prints [`Pulled`]. The script notes the image before it pulls it, so that no
    /// other app with the same repository prunes it before it runs.
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

/// Shell lines that note the image that a run needs, before it arrives.
fn noted(scope: &Scope, image: &str) -> String {
    let pulled = quote(&scope.names.pulled());
    format!("{}printf '%s\\n' {} > {pulled} || exit 1\n", scope.fence(), quote(image))
}

/// Shell lines that check that the image has the service's label, by which pruning finds it, and print [`Pulled`].
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
    /// The image's id.
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

/// Shell lines that pull an image, after a login with what [`READ`] has read, if a login is given.
///
/// Docker stores all logins of a user in one file, so a simultaneous login of another app may overwrite ours. So after a
/// pull that is refused, the lines log in and pull a second time.
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

/// Prints the first registry mirror that Docker uses, or nothing.
pub fn mirror() -> Script {
    Script::new(
        "docker info --format '{{range .RegistryConfig.Mirrors}}{{println .}}{{end}}' 2>/dev/null | head -n 1\n",
    )
}
