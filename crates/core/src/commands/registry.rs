//! The registry, seen from a server: log in, pull.

use super::Scope;
use crate::secret::Secret;
use crate::shell::{Line, Script, quote};

/// Who we are to the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The registry's address; Docker Hub if absent.
    pub server: Option<String>,
    /// The user.
    pub username: Secret,
    /// The password; sent on standard input.
    pub password: Secret,
}

impl Login {
    /// The words after `docker`; the password is read from standard input.
    pub fn words(&self) -> Vec<&str> {
        let mut words = vec!["login", "--username", self.username.expose(), "--password-stdin"];
        words.extend(self.server.as_deref());
        words
    }
}

/// Logs in and pulls the version's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The run.
    pub scope: Scope,
    /// The login, unless the registry needs none.
    pub login: Option<Login>,
    /// `REPO:VER`.
    pub image: String,
    /// The version, for the audit log.
    pub version: String,
}

/// What `Pull` exits with when the registry refuses us.
pub const LOGIN_REFUSED: u32 = 71;
/// What `Pull` exits with when there is no such image, or it can't be had.
pub const PULL_FAILED: u32 = 72;

impl Pull {
    /// Login and pull in one round trip. What is pulled is written down first, so that no other app that shares the
    /// repository prunes it before it runs.
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence();
        let (image, pulled) = (quote(&self.image), quote(&self.scope.names.pulled()));
        text.push_str(&format!("printf '%s\\n' {image} > {pulled} || exit 1\n"));
        let pull = Line::new("docker").words(["pull", "--quiet", &self.image]);
        match &self.login {
            Some(login) => text.push_str(&pull_as(login, &pull)),
            None => text.push_str(&format!("{pull} >/dev/null || exit {PULL_FAILED}\n")),
        }
        text.push_str(&self.scope.audit(None, &format!("Pulled image with version {}", self.version)));
        match &self.login {
            Some(login) => Script::new(text).with_input(login.password.clone()),
            None => Script::new(text),
        }
    }
}

/// Docker writes all logins of a user into one file, so another app's login at the same moment may undo ours: a pull
/// that is refused is tried once more, after another login.
fn pull_as(login: &Login, pull: &Line) -> String {
    let line = Line::new("docker").words(login.words());
    format!(
        "password=$(cat)\n\
         sign_in() {{\n{line} 2>&1 <<END\n$password\nEND\n}}\n\
         login() {{ said=$(sign_in) || {{ printf '%s\\n' \"$said\" >&2; exit {LOGIN_REFUSED}; }}; }}\n\
         login\n\
         said=$({pull} 2>&1 >/dev/null) || {{\n\
         case $said in *auth*|*denied*|*credential*) login; said=$({pull} 2>&1 >/dev/null) ;; *) false ;; esac\n\
         }} || {{ printf '%s\\n' \"$said\" >&2; exit {PULL_FAILED}; }}\n"
    )
}
