//! How environment variables reach a container.
//!
//! Clear variables are arguments of `docker run`. Secret ones never are: the script reads them from standard input and
//! writes them to an env file for Docker, readable only by its owner, at the path that Kamal uses. An env file has one line
//! per variable, so it can't hold a value with a line break. Such values go to a second file, of shell assignments. A
//! subshell sources that file, deletes it, and executes `docker run` with `--env NAME`. Both ways pass every value byte for byte.

use super::Scope;
use crate::shell::{Line, Script, quote};
use bowline_config::Pairs;
use bowline_config::secret::Secret;

/// The longest variable that Linux accepts in bytes, as `NAME=VALUE` (`MAX_ARG_STRLEN` without the NUL).
const LONGEST: usize = 128 * 1024 - 1;
/// The longest line that Bowline writes to an env file, in bytes. Docker's limit is 64 KiB.
const LONGEST_LINE: usize = 60_000;

/// A container's secret variables, in order. Each of them can be passed to the container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretEnv(Vec<(String, Secret)>);

/// A secret variable that can't be passed to a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("the value of the secret variable `{0}` has a NUL byte, which no environment can hold")]
    Nul(String),
    #[error("the value of the secret variable `{0}` is longer than Linux allows (128 KiB)")]
    Long(String),
    /// A shell can't export this name, or gives it a special meaning.
    #[error(
        "the secret variable `{0}` has a value with a line break, which can't be passed to a container under this name"
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

    /// The names of the variables that an env file can't hold.
    pub fn left_out(&self) -> Vec<&str> {
        self.exported().map(|(name, _)| name.as_str()).collect()
    }

    fn exported(&self) -> impl Iterator<Item = &(String, Secret)> {
        self.0.iter().filter(|(name, value)| !fits_a_line(name, value))
    }

    /// The shell assignments. A value with line breaks takes several lines.
    fn assignments(&self) -> String {
        self.exported().map(|(name, value)| format!("export {name}={}\n", quote(value.expose()))).collect()
    }

    /// The standard input of a script with [`SecretEnv::write`]: the assignments, then the env file. An env file without
    /// variables is one empty line.
    pub(crate) fn input(&self) -> Secret {
        let lines = self.0.iter().filter(|(name, value)| fits_a_line(name, value));
        let file: String = lines.map(|(name, value)| format!("{name}={}\n", value.expose())).collect();
        let file = if file.is_empty() { "\n".to_owned() } else { file };
        Secret::new(self.assignments() + &file)
    }

    /// Shell lines that write standard input to the env file. The file has mode 0600 from its first byte, and replaces the
    /// old one atomically.
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

    /// Adds the options that pass the secret variables: `--env NAME` and `--env-file`.
    pub(crate) fn words(&self, line: Line, path: &str) -> Line {
        let line = self.exported().fold(line, |line, (name, _)| line.words(["--env", name]));
        line.words(["--env-file", path])
    }

    /// A command that runs a `docker` line with the values that [`SecretEnv::words`] passes by name. The shell expands the
    /// line before it sources the assignments, so a `${NAME}` in it can't expand to a secret. The command may begin with a
    /// parenthesis, so write `$( …)`, not `$(…)`.
    pub(crate) fn run(&self, line: &Line, path: &str) -> String {
        if self.exported().next().is_none() {
            return line.to_string();
        }
        let exports = quote(&format!("./{}", files(path)[3]));
        let words = line.as_str().strip_prefix("docker ").unwrap_or(line.as_str());
        format!("(set -- \"$(command -v docker)\" {words} && . {exports} && rm -f {exports} && exec \"$@\")")
    }
}

/// Writes or removes an env file without booting a container: `env push`, `env delete`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    pub scope: Scope,
    /// The role, for the audit log. `None` for an accessory.
    pub role: Option<String>,
    pub path: String,
    /// The content. `None` removes the file.
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
        // The export file is only useful to a container that boots right after.
        text.push_str(&format!("{}\n{}", remove(&rest), audit("Pushed env files")));
        Script::new(text).with_input(secret.input())
    }

    pub fn describe(&self) -> String {
        format!("{} {}", if self.secret.is_some() { "write" } else { "remove" }, self.path)
    }
}

/// The paths of the env file, and of the temporary files: the new version, the script's input, and the assignments.
pub(crate) fn files(path: &str) -> [String; 4] {
    ["", ".new", ".input", ".export"].map(|ending| format!("{path}{ending}"))
}

/// Adds clear variables. The server's shell expands `${NAME}` in their values.
pub(crate) fn clear_words(line: Line, clear: &Pairs) -> Line {
    clear.iter().fold(line, |line, (name, value)| line.word("--env").expanding(&format!("{name}={value}")))
}

/// Whether an env file can hold the variable. Docker strips a carriage return at the end of a line.
fn fits_a_line(name: &str, value: &Secret) -> bool {
    let value = value.expose();
    !value.contains('\n') && !value.ends_with('\r') && name.len() + value.len() < LONGEST_LINE
}

/// Whether a shell that runs `docker` can export this name safely: some names change how the shell, the linker or Docker behaves.
fn can_be_exported(name: &str) -> bool {
    const OURS: &[&str] =
        &["PATH", "HOME", "PWD", "OLDPWD", "IFS", "OPTIND", "ENV", "UID", "EUID", "PPID", "SHELLOPTS"];
    const KINDS: &[&str] = &["DOCKER_", "LD_", "BASH"];
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !OURS.contains(&name)
        && !KINDS.iter().any(|kind| name.starts_with(kind))
}
