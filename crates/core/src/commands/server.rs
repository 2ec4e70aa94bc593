//! Commands that run on a server outside containers, and the preparation of a server for the first deploy.

use std::fmt;
use std::str::FromStr;

use super::answer::{self, Explanation, Unreadable};
use super::exec::{Mode, guard, kill_marked, mark};
use super::status::Status::Refused;
use super::{Scope, network};
use crate::names::NETWORK;
use crate::shell::{Line, Script, quote};

/// Runs a command in the user's login shell, as if the user had logged in and typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnServer {
    pub scope: Scope,
    pub host: String,
    pub command: String,
    pub mode: Mode,
}

impl OnServer {
    /// Runs only the command, so its standard input, output and exit status are the command's.
    pub fn script(&self) -> Script {
        let mut text = self.scope.audit(None, &format!("Executed cmd '{}' on {}", self.command, self.host));
        if self.mode.is_attached() {
            text.push_str(&guard(&format!("{}\n", self.hang_up())));
        }
        let input = if self.mode.reads() { "" } else { " </dev/null" };
        text.push_str(&format!(
            "export {}\nexec \"${{SHELL:-/bin/sh}}\" -c {}{input}\n",
            mark(&self.scope),
            quote(&self.command)
        ));
        Script::new(text).as_logged_in()
    }

    /// Ends the command and all processes that it started.
    pub fn end(&self) -> Script {
        Script::new(self.hang_up())
    }

    fn hang_up(&self) -> String {
        format!("sh -c {}", quote(&kill_marked(&mark(&self.scope))))
    }
}

/// Installs Docker if it is missing, and creates the directory and the network that apps share. Safe to repeat.
///
/// Prints an [`Answer`]. Exits with [`Refused`] if it can't continue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bootstrap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Docker is missing, and this user may not install software.
    NotRoot,
    /// Docker is missing, and so are the tools to download it.
    NoTool,
    NoInstaller,
    Failed,
    /// Docker is installed, but this user may not use it and can't be added to its group.
    NotInGroup,
}

answer::words!(Refusal: "not-root" NotRoot, "no-tool" NoTool, "no-installer" NoInstaller, "failed" Failed, "not-in-group" NotInGroup);

impl Refusal {
    pub fn explain(self, said: &str) -> Explanation {
        let lines: Vec<&str> = said.trim().lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n");
        let why = if last.is_empty() { "it has no sudo without a password" } else { &last };
        let (reason, hint) = match self {
            Refusal::NotRoot => (
                "Docker is not installed, and this user may not install it: it is not root, and has no sudo without a password".into(),
                "set `ssh: user:` to a user who may,",
            ),
            Refusal::NoTool => (
                "Docker is not installed, and the server has neither curl nor wget to fetch its installer".into(),
                "install curl there,",
            ),
            Refusal::NoInstaller => (
                format!("Docker is not installed, and its installer could not be fetched from {INSTALLER}: {last}"),
                "check that the server reaches the Internet,",
            ),
            Refusal::Failed => {
                (format!("Docker's installer failed:\n{last}"), "fix the problem that it reports,")
            }
            Refusal::NotInGroup => {
                return Explanation::new(
                    format!("this user may not use Docker, and can't be added to the group `docker`: {why}"),
                    "add it there as root (`usermod -aG docker USER`), or set `ssh: user:` to a user who may",
                );
            }
        };
        Explanation::new(reason, format!("{hint} {BY_HAND}"))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Docker was missing, and its installation started.
    pub installing: bool,
    pub installed: bool,
    /// This user may use Docker from the next login on. The script did nothing after that.
    pub joined: Option<String>,
    pub network: bool,
    pub docker: Option<String>,
    pub refused: Option<Refusal>,
}

impl Answer {
    pub fn version(&self) -> Result<&str, Unreadable> {
        self.docker.as_deref().ok_or(Unreadable::Missing("@docker"))
    }
}

impl FromStr for Answer {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut answer = Self::default();
        for line in answer::lines(text) {
            match line.word {
                "installing" => answer.installing = true,
                "installed" => answer.installed = true,
                "joined" => answer.joined = Some(line.some()?.into()),
                "network" => answer.network = true,
                "docker" => answer.docker = Some(line.some()?.into()),
                "refused" => answer.refused = Some(line.value()?),
                _ => {}
            }
        }
        Ok(answer)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said =
            [("installing", self.installing), ("installed", self.installed), ("network", self.network)];
        said.iter().filter(|(_, said)| *said).try_for_each(|(word, _)| writeln!(f, "@{word}"))?;
        self.joined.iter().try_for_each(|user| writeln!(f, "@joined {user}"))?;
        self.docker.iter().try_for_each(|version| writeln!(f, "@docker {version}"))?;
        self.refused.iter().try_for_each(|refusal| writeln!(f, "@refused {refusal}"))
    }
}

pub const INSTALLER: &str = "https://get.docker.com";
const BY_HAND: &str = "or install Docker there by hand: https://docs.docker.com/engine/install/";

/// Seconds for a newly installed daemon to respond.
const DAEMON_S: u32 = 20;

impl Bootstrap {
    pub fn script(&self) -> Script {
        let exists = Line::new("docker").words(["network", "inspect", NETWORK]);
        Script::new(format!(
            "bowline_installer={installer}\nbowline_tries={DAEMON_S}0\nbowline_refused={Refused}\n{bootstrap}\
             bowline_made=; {exists} >/dev/null 2>&1 || bowline_made=1\n\
             {network}[ -z \"$bowline_made\" ] || echo @network\n\
             echo \"@docker $bowline_said\"\n",
            installer = quote(INSTALLER),
            bootstrap = answer::sent(include_str!("server.sh")),
            network = network::create(),
        ))
    }
}

/// Ends this connection, so that the next one has the user's new groups.
pub fn leave() -> Script {
    Script::new("kill -HUP $PPID\nsleep 5\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_one_that_the_script_knows() {
        let script = Bootstrap.script().text;
        for (word, refusal) in Refusal::ALL {
            assert!(
                script.contains(&format!("refused {word}\n")) || script.contains(&format!("refused {word};"))
            );
            let answer = Answer { installing: true, refused: Some(*refusal), ..Answer::default() };
            assert_eq!(answer.to_string(), format!("@installing\n@refused {word}\n"));
            assert_eq!(answer.to_string().parse(), Ok(answer));
        }
        assert!(script.contains(&format!("bowline_refused={Refused}\n")));
        assert!(matches!("@refused so\n".parse::<Answer>(), Err(Unreadable::Line { .. })));
    }
}
