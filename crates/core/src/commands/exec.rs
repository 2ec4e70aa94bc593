//! Running a command in the app: in a new container, or in the one that serves.

use super::Scope;
use super::app::{Environment, logging_words, option_words};
use super::env::{self, clear_words};
use crate::config::Pairs;
use crate::names::NETWORK;
use crate::shell::{Line, Script, quote};

/// Runs a command in a new container of a role, which is gone afterwards (S12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// Names and run.
    pub scope: Scope,
    /// The role.
    pub role: String,
    /// The version or tag.
    pub version: String,
    /// `REPO:VER`.
    pub image: String,
    /// Env, volumes, options, logging of the role on this host.
    pub environment: Environment,
    /// Further variables.
    pub env: Pairs,
    /// The command's words.
    pub words: Vec<String>,
}

impl Exec {
    /// The script; the command's output and status are the script's.
    pub fn script(&self) -> Script {
        // A file of its own: the role's env file belongs to the container that serves.
        let role = format!("{}.exec-{}", self.role, self.scope.run.get(..6).unwrap_or("0"));
        let file = self.scope.names.env_file(&role);
        let name = format!(
            "{}-exec-{}-{}",
            self.scope.names.prefix(&self.role),
            self.version,
            self.scope.run.get(..6).unwrap_or("0")
        );
        let mut line = Line::new("docker").words(["run", "--rm", "--name", &name, "--network", NETWORK]);
        line = clear_words(line, &self.environment.clear);
        line = self.environment.secret.words(line, &file);
        for (key, value) in &self.env {
            line = line.words(["--env", &format!("{key}={value}")]);
        }
        line = logging_words(line, &self.environment.logging);
        line = self.environment.volumes.iter().fold(line, |line, volume| line.word("--volume").path(volume));
        line = option_words(line, &self.environment.options)
            .word(&self.image)
            .words(self.words.iter().map(String::as_str));
        let files = env::files(&file);
        let remove = Line::new("rm").word("-f").words(files.iter().map(String::as_str));
        let mut text = format!("trap {} EXIT\ntrap 'exit 129' HUP TERM INT\n", quote(remove.as_str()));
        text.push_str(&self.environment.secret.write(&file));
        text.push_str(&self.scope.audit(
            None,
            &format!("Executed cmd '{}' on app version {}", self.words.join(" "), self.version),
        ));
        text.push_str(&format!("{}\n", self.environment.secret.run(&line, &file)));
        Script::new(text).with_input(self.environment.secret.input())
    }
}

/// Runs a command in a container of this version that is there.
pub fn reuse(
    scope: &Scope,
    role: &str,
    version: &str,
    container: &str,
    env: &Pairs,
    words: &[String],
) -> Script {
    let mut line = Line::new("docker").word("exec");
    for (key, value) in env {
        line = line.words(["--env", &format!("{key}={value}")]);
    }
    line = line.word(container).words(words.iter().map(String::as_str));
    let audit =
        scope.audit(Some(role), &format!("Executed cmd '{}' on app version {version}", words.join(" ")));
    Script::new(format!("{audit}exec {line}\n"))
}
