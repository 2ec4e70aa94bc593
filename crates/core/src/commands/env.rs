//! How environment variables reach a container.
//!
//! Clear variables are words of the command line. Secret ones never are: they go to the script's standard input and from there
//! into an env file that only its owner can read, which Docker reads (the file is Kamal's). An env file has one line per
//! variable, so it can't hold a value with a line break. Such values go into a second file of assignments, which the shell
//! reads into the environment of the one `docker run`, whose command line only has `--env NAME`. Bowline removes that file before
//! the container starts. Either way, every value arrives byte for byte.

use super::Scope;
use crate::shell::{Line, Script, quote};
use bowline_config::Pairs;
use bowline_config::secret::Secret;

/// Linux takes no longer variable, name and value together (`MAX_ARG_STRLEN` without the NUL).
const LONGEST: usize = 128 * 1024 - 1;
/// Docker reads no longer line of an env file (64 KiB), with room to spare.
const LONGEST_LINE: usize = 60_000;

/// Secret variables of a container, in order, all of which can reach it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretEnv(Vec<(String, Secret)>);

/// A secret variable that can't reach a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The kernel ends values there.
    #[error("the value of the secret variable `{0}` has a NUL byte, which no environment can hold")]
    Nul(String),
    /// The kernel takes no such value.
    #[error("the value of the secret variable `{0}` is longer than Linux allows (128 KiB)")]
    Long(String),
    /// A shell can't export this name, or takes it for itself.
    #[error(
        "the secret variable `{0}` has a value with a line break, which can't be given to a container under this name"
    )]
    Name(String),
}

impl Unfit {
    pub fn hint(&self) -> &'static str {
        match self {
            Unfit::Nul(_) => "encode it, say with base64, and have the app decode it",
            Unfit::Long(_) => "mount it as a file, or have the app fetch it",
            Unfit::Name(_) => {
                "give it a name of letters, digits and `_` that neither the shell nor Docker uses, \
                 such as `secret: [APP_NAME:NAME]`"
            }
        }
    }
}

impl SecretEnv {
    /// Takes variables, or says which of them can't reach a container.
    pub fn new(variables: Vec<(String, Secret)>) -> Result<Self, Unfit> {
        for (name, value) in &variables {
            if value.expose().contains('\0') {
                return Err(Unfit::Nul(name.clone()));
            }
            if name.len() + 1 + value.expose().len() > LONGEST {
                return Err(Unfit::Long(name.clone()));
            }
            if !fits_a_line(name, value) && !can_be_exported(name) {
                return Err(Unfit::Name(name.clone()));
            }
        }
        Ok(Self(variables))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The names of those that a line of an env file can't hold.
    pub fn left_out(&self) -> Vec<&str> {
        self.exported().map(|(name, _)| name.as_str()).collect()
    }

    fn exported(&self) -> impl Iterator<Item = &(String, Secret)> {
        self.0.iter().filter(|(name, value)| !fits_a_line(name, value))
    }

    /// The assignments, in as many lines as their values have.
    fn assignments(&self) -> String {
        self.exported().map(|(name, value)| format!("export {name}={}\n", quote(value.expose()))).collect()
    }

    /// What a script with [`SecretEnv::write`] reads: the assignments, then the env file. A file without variables
    /// has one empty line.
    pub(crate) fn input(&self) -> Secret {
        let lines = self.0.iter().filter(|(name, value)| fits_a_line(name, value));
        let file: String = lines.map(|(name, value)| format!("{name}={}\n", value.expose())).collect();
        let file = if file.is_empty() { "\n".to_owned() } else { file };
        Secret::new(self.assignments() + &file)
    }

    /// Shell lines that write standard input to the env file: 0600 from its first byte, put in place whole.
    pub(crate) fn write(&self, path: &str) -> String {
        let directory = quote(path.rsplit_once('/').map_or(".", |(directory, _)| directory));
        let [env, new, input, exports] = files(path).map(|file| quote(&file));
        let lines = self.assignments().matches('\n').count();
        let write = match lines {
            0 => format!("cat > {new}"),
            lines => format!(
                "cat > {input} && head -n {lines} {input} > {exports} && tail -n +{} {input} > {new} && rm {input}",
                lines + 1
            ),
        };
        format!("mkdir -p {directory} && (umask 077 && {write}) && mv {new} {env} || exit\n")
    }

    /// Adds the words that name the secret variables and the env file.
    pub(crate) fn words(&self, line: Line, path: &str) -> Line {
        let line = self.exported().fold(line, |line, (name, _)| line.words(["--env", name]));
        line.words(["--env-file", path])
    }

    /// The command line of Docker's, given the values that [`SecretEnv::words`] only names. Its own words are read before, so that
    /// a `${NAME}` among them can't become a secret's value, and no
    /// variable of ours is set while they are. May begin with a parenthesis: `$( …)`, not `$(…)`.
    pub(crate) fn run(&self, line: &Line, path: &str) -> String {
        if self.exported().next().is_none() {
            return line.to_string();
        }
        let exports = quote(&format!("./{}", files(path)[3]));
        let words = line.as_str().strip_prefix("docker ").unwrap_or(line.as_str());
        format!("(set -- \"$(command -v docker)\" {words} && . {exports} && rm -f {exports} && exec \"$@\")")
    }
}

/// Writes an env file, or removes it, while no container is booted: `env push`, `env delete`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    pub scope: Scope,
    /// The role, for the audit log; none for an accessory.
    pub role: Option<String>,
    pub path: String,
    /// Its content; `None` removes the file.
    pub secret: Option<SecretEnv>,
}

impl EnvFile {
    pub fn script(&self) -> Script {
        let audit = |text| self.scope.audit(self.role.as_deref(), text);
        let [file, rest @ ..] = files(&self.path);
        let remove = |names: &[String]| Line::new("rm").word("-f").words(names.iter().map(String::as_str));
        let mut text = self.scope.fence();
        let Some(secret) = &self.secret else {
            let [new, input, export] = rest;
            let label = super::app::label_file(&self.path);
            text.push_str(&format!("{} || exit\n", remove(&[file, new, input, export, label])));
            text.push_str(&audit("Deleted env files"));
            return Script::new(text);
        };
        text.push_str(&secret.write(&self.path));
        // Values that the file can't hold are only useful to a container that is about to run.
        text.push_str(&format!("{}\n{}", remove(&rest), audit("Pushed env files")));
        Script::new(text).with_input(secret.input())
    }

    pub fn describe(&self) -> String {
        format!("{} {}", if self.secret.is_some() { "write" } else { "remove" }, self.path)
    }
}

/// The env file, and the files next to it while it is written and until it is used.
pub(crate) fn files(path: &str) -> [String; 4] {
    ["", ".new", ".input", ".export"].map(|ending| format!("{path}{ending}"))
}

/// Adds clear variables. In values `${NAME}` is the server's.
pub(crate) fn clear_words(line: Line, clear: &Pairs) -> Line {
    clear.iter().fold(line, |line, (name, value)| line.word("--env").expanding(&format!("{name}={value}")))
}

/// Whether a line of an env file can hold it: Docker takes a carriage return at its end for a part of the line break.
fn fits_a_line(name: &str, value: &Secret) -> bool {
    let value = value.expose();
    !value.contains('\n') && !value.ends_with('\r') && name.len() + value.len() < LONGEST_LINE
}

/// Whether the shell that runs `docker` can have a variable of this name without being led astray by it.
fn can_be_exported(name: &str) -> bool {
    const OURS: &[&str] =
        &["PATH", "HOME", "PWD", "OLDPWD", "IFS", "OPTIND", "ENV", "UID", "EUID", "PPID", "SHELLOPTS"];
    const KINDS: &[&str] = &["DOCKER_", "LD_", "BASH"];
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !OURS.contains(&name)
        && !KINDS.iter().any(|kind| name.starts_with(kind))
}
