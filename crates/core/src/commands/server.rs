//! The servers themselves: a command run on them beside Docker, and what a server needs before its first deploy.

use super::exec::{Mode, guard, kill_marked, mark};
use super::{Scope, network};
use crate::names::NETWORK;
use crate::shell::{Line, Script, quote};

/// Runs a command on the server, in its login shell: what a person would get who logs in and types it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnServer {
    /// Names and run.
    pub scope: Scope,
    /// The server.
    pub host: String,
    /// A line for the shell.
    pub command: String,
    /// How it is connected.
    pub mode: Mode,
}

impl OnServer {
    /// The command, and nothing else: input, output and status belong to whoever called.
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

    /// Ends it from outside, with all that it began.
    pub fn end(&self) -> Script {
        Script::new(self.hang_up())
    }

    fn hang_up(&self) -> String {
        format!("sh -c {}", quote(&kill_marked(&mark(&self.scope))))
    }
}

/// Has Docker on a server, and the directory and the network that apps share. Safe to repeat.
///
/// It prints what it found and did, a line each: `@installing`, `@installed`, `@network` (made), `@docker VERSION` at
/// the end. `@joined USER` and nothing more means that the user may use Docker from the next login on. When it fails
/// with [`REFUSED`], `@refused WHY` says why; see [`Refusal`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bootstrap;

/// What [`Bootstrap`] exits with when it can't go on.
pub const REFUSED: u32 = 73;

/// Why a server could not be bootstrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Docker is missing, and this user may install nothing.
    NotRoot,
    /// Docker is missing, and so is what could fetch it.
    NoTool,
    /// The installer could not be fetched.
    NoInstaller,
    /// The installer failed.
    Failed,
    /// Docker is there, and this user may neither use it nor be allowed to.
    NotInGroup,
}

impl Refusal {
    const ALL: [(&str, Refusal); 5] = [
        ("not-root", Refusal::NotRoot),
        ("no-tool", Refusal::NoTool),
        ("no-installer", Refusal::NoInstaller),
        ("failed", Refusal::Failed),
        ("not-in-group", Refusal::NotInGroup),
    ];

    /// The reason in what [`Bootstrap`] printed.
    pub fn find(stdout: &str) -> Option<Self> {
        let word = stdout.lines().find_map(|line| line.strip_prefix("@refused "))?;
        Self::ALL.iter().find(|(known, _)| *known == word.trim()).map(|(_, refusal)| *refusal)
    }
}

/// Docker's own installer.
pub const INSTALLER: &str = "https://get.docker.com";

/// Seconds that a daemon has to answer after it was installed.
const DAEMON_S: u32 = 20;

const BOOTSTRAP: &str = r#"refused() { echo "@refused $1"; exit 73; }
root() { [ "$(id -u)" -eq 0 ]; }
may_install() { root || sudo -nl usermod >/dev/null 2>&1; }
asked() { docker version --format '{{.Server.Version}}' 2>&1; }
mkdir -p .kamal || exit
bowline_installed=
if ! command -v docker >/dev/null 2>&1; then
echo @installing
may_install || refused not-root
if command -v curl >/dev/null 2>&1; then bowline_fetched=$(curl -fsSL "$bowline_installer") || refused no-installer
elif command -v wget >/dev/null 2>&1; then bowline_fetched=$(wget -qO- "$bowline_installer") || refused no-installer
else refused no-tool; fi
printf '%s\n' "$bowline_fetched" | sh >&2 || refused failed
command -v docker >/dev/null 2>&1 || refused failed
bowline_installed=1
echo @installed
fi
bowline_said=$(asked); bowline_answer=$?
while [ $bowline_answer != 0 ] && [ -n "$bowline_installed" ] && [ $((bowline_tries -= 1)) -gt 0 ]; do
case $bowline_said in *'permission denied'*) break ;; esac
sleep 0.1; bowline_said=$(asked); bowline_answer=$?
done
if [ $bowline_answer != 0 ]; then
case $bowline_said in *'permission denied'*) ;; *) printf '%s\n' "$bowline_said" >&2; exit 1 ;; esac
bowline_me=$(id -un)
if ! id -nG "$bowline_me" | grep -qw docker; then
may_install && sudo -n usermod -aG docker "$bowline_me" >&2 || refused not-in-group
fi
echo "@joined $bowline_me"
exit 0
fi
"#;

impl Bootstrap {
    /// The script.
    pub fn script(&self) -> Script {
        let exists = Line::new("docker").words(["network", "inspect", NETWORK]);
        Script::new(format!(
            "bowline_installer={installer}\nbowline_tries={DAEMON_S}0\n{BOOTSTRAP}\
             bowline_made=; {exists} >/dev/null 2>&1 || bowline_made=1\n\
             {network}[ -z \"$bowline_made\" ] || echo @network\n\
             echo \"@docker $bowline_said\"\n",
            installer = quote(INSTALLER),
            network = network::create(),
        ))
    }
}

/// Ends this connection: the next one has the groups that the user is in by then.
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
            assert_eq!(Refusal::find(&format!("@installing\n@refused {word}\n")), Some(refusal));
        }
        assert!(script.contains(&format!("exit {REFUSED}; }}")));
        assert_eq!(Refusal::find("@docker 26.1\n"), None);
    }
}
