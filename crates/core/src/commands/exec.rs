//! Runs a command for the app or an accessory, in a new container or in the running one.
//!
//! A new container takes two round trips. [`Exec::prepare`] writes the env file and provides the image. [`Exec::script`]
//! then only runs the command, so its standard input, output and exit status are the command's. Docker's client doesn't end
//! the command when it exits, so a command that is connected to the user's terminal or pipe has a guard (see [`guard`]).

use super::Scope;
use super::app::{Environment, logging_words, option_words};
use super::env::{self, clear_words};
use super::network;
use super::registry::{self, Login};
use super::status::Status::NoSuchImage;
use crate::names::NETWORK;
use crate::proxy;
use crate::shell::{Line, Script, quote};
use bowline_config::Pairs;
use bowline_config::secret::Secret;

/// Replaces Docker's `ctrl-p,ctrl-q`, which would delay every Ctrl-P and leave a container behind. Docker can't disable
/// detaching, so this is a sequence that is never typed.
const DETACH_KEYS: &str = "ctrl-@,ctrl-^,ctrl-@,ctrl-_";
/// The variable that marks the processes of a command in an existing container, so that they can be found and killed.
const MARK: &str = "BOWLINE_EXEC";
/// Options that conflict with the running container, or with `--rm`.
const NOT_SHARED: [&str; 2] = ["publish", "restart"];
/// Seconds between asking a new container to stop and killing it.
pub const GRACE: u64 = 5;

/// How a command's input and output are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No input. The output is shown after the command has ended.
    Gathered,
    /// No input. The output passes through byte for byte.
    Raw,
    /// Our standard input. The output passes through byte for byte.
    Piped,
    Terminal,
    /// The command starts and is left alone.
    Detached,
}

impl Mode {
    /// Whether the command's bytes pass straight through us, so that it must end when we do.
    pub fn is_attached(self) -> bool {
        matches!(self, Mode::Raw | Mode::Piped | Mode::Terminal)
    }

    pub(super) fn reads(self) -> bool {
        matches!(self, Mode::Piped | Mode::Terminal)
    }

    fn words(self) -> &'static [&'static str] {
        match self {
            Mode::Gathered | Mode::Raw => &[],
            Mode::Piped => &["-i"],
            Mode::Terminal => &["-it", "--detach-keys", DETACH_KEYS],
            Mode::Detached => &["--detach"],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a new container, which is removed afterwards unless it is detached.
    New { image: String, environment: Box<Environment>, missing: Missing },
    /// In this running container.
    Serving(String),
}

/// What to do if the image is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// Pull it.
    Pull(Option<Login>),
    /// Exit with [`super::status::Status::NoSuchImage`], because there is no registry. This run must bring the image first.
    Bring,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// A role of the app, with a version or tag.
    Role { name: String, version: String },
    /// An accessory, by its name in the configuration.
    Accessory { name: String, service: String, network: String },
}

impl Of {
    pub fn name(&self) -> &str {
        match self {
            Of::Role { name, .. } | Of::Accessory { name, .. } => name,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    pub scope: Scope,
    pub of: Of,
    pub place: Place,
    pub env: Pairs,
    pub words: Vec<String>,
    pub mode: Mode,
}

impl Exec {
    pub fn container(&self) -> String {
        match &self.place {
            Place::New { .. } => format!("{}-{}", self.series(), self.short_run()),
            Place::Serving(container) => container.clone(),
        }
    }

    fn series(&self) -> String {
        match &self.of {
            Of::Role { name, version } => {
                format!("{}-exec-{version}", self.scope.names.prefix(name))
            }
            Of::Accessory { service, .. } => format!("{service}-exec"),
        }
    }

    fn network(&self) -> &str {
        match &self.of {
            Of::Role { .. } => NETWORK,
            Of::Accessory { network, .. } => network,
        }
    }

    /// The preparation for a new container: writes the env file, and provides the image and the network, because no deploy
    /// may have run yet. Empty for a running container.
    pub fn prepare(&self) -> Script {
        let Place::New { image, environment, missing } = &self.place else { return Script::default() };
        let mut text = String::new();
        let mut input = String::new();
        if let Missing::Pull(Some(login)) = missing {
            text.push_str(registry::READ);
            input = login.input();
        }
        input.push_str(environment.secret.input().expose());
        text.push_str(&environment.secret.write(&self.env_file()));
        // Without the image, no container will use and remove the env file.
        let undo = format!("[ $? = 0 ] || {}", self.remove_env_file());
        text.push_str(&format!("trap {} EXIT\n", quote(&undo)));
        text.push_str(&format!("bowline_have=$(docker images --quiet {}) || exit\n", quote(image)));
        let pull = match missing {
            Missing::Pull(login) => registry::pull(login.as_ref(), image),
            Missing::Bring => format!("exit {NoSuchImage}\n"),
        };
        text.push_str(&format!("if [ -z \"$bowline_have\" ]; then\n{pull}fi\n"));
        text.push_str(&network::create());
        text.push_str(&self.audit());
        Script::new(text).with_input(Secret::new(input))
    }

    pub fn script(&self) -> Script {
        let mut text = String::new();
        match &self.place {
            Place::New { .. } => text.push_str(&format!(
                "trap {} EXIT\ntrap 'exit 129' HUP\ntrap 'exit 130' INT\ntrap 'exit 143' TERM\n",
                quote(self.remove_env_file().as_str())
            )),
            Place::Serving(_) => text.push_str(&self.audit()),
        }
        if self.mode.is_attached() {
            text.push_str(&guard(&self.hang_up(GRACE)));
        }
        let line = match &self.place {
            Place::New { environment, .. } => environment.secret.run(&self.line(), &self.env_file()),
            Place::Serving(_) => self.line().to_string(),
        };
        let input = if self.mode.reads() { "" } else { " </dev/null" };
        text.push_str(&format!("{line}{input}\n"));
        Script::new(text)
    }

    /// Ends the command from outside: hangs up, then kills what ignores that, in a new container after `grace` seconds.
    pub fn end(&self, grace: u64) -> Script {
        let hang_up = self.hang_up(grace);
        Script::new(match self.place {
            // The container may not exist yet.
            Place::New { .. } => format!(
                "for bowline_try in 1 2 3; do\n{{ {hang_up}}} && break\nsleep 1\ndone\n{}\n",
                self.remove_env_file()
            ),
            Place::Serving(_) => hang_up,
        })
    }

    fn line(&self) -> Line {
        let (place, mode) = (&self.place, self.mode);
        let mut line = Line::new("docker");
        line = match place {
            Place::New { .. } if mode == Mode::Detached => line.word("run"),
            Place::New { .. } => line.words(["run", "--rm"]),
            Place::Serving(_) => line.word("exec"),
        };
        line = line.words(mode.words().iter().copied());
        if let Place::New { environment, .. } = place {
            line = line.words(["--name", &self.container(), "--network", self.network()]);
            line = clear_words(line, &environment.clear);
            line = environment.secret.words(line, &self.env_file());
        } else {
            line = line.words(["--env", &self.mark()]);
        }
        for (key, value) in &self.env {
            line = line.words(["--env", &format!("{key}={value}")]);
        }
        line = match place {
            Place::New { image, environment, .. } => {
                line = logging_words(line, &environment.logging);
                line =
                    environment.volumes.iter().fold(line, |line, volume| line.word("--volume").path(volume));
                let shared: Vec<_> = environment
                    .options
                    .iter()
                    .filter(|(key, _)| !NOT_SHARED.contains(&key.as_str()))
                    .cloned()
                    .collect();
                let line = option_words(line, &shared);
                // Last, to take precedence: the app's image listens on a port, and the options may include the app's labels.
                line.words(["--label", proxy::HIDDEN]).word(image)
            }
            Place::Serving(container) => line.word(container),
        };
        line.words(self.words.iter().map(String::as_str))
    }

    fn hang_up(&self, grace: u64) -> String {
        let container = self.container();
        if matches!(self.place, Place::New { .. }) {
            // `docker stop` is slow even without a grace period.
            if grace == 0 {
                return format!("{} >/dev/null\n", Line::new("docker").words(["kill", &container]));
            }
            let signal = Line::new("docker").words(["kill", "--signal", "HUP", &container]);
            let stop = Line::new("docker").words(["stop", "-t", &grace.to_string(), &container]);
            return format!("{signal} >/dev/null 2>&1\n{stop} >/dev/null\n");
        }
        let kill = quote(&kill_marked(&self.mark()));
        // On the server, root can kill the processes whatever tools the image has.
        let inside = Line::new("docker").words(["exec", &container, "sh", "-c"]);
        format!("if [ \"$(id -u)\" = 0 ]; then sh -c {kill}; else {inside} {kill}; fi\n")
    }

    fn mark(&self) -> String {
        mark(&self.scope)
    }

    fn audit(&self) -> String {
        let words = self.words.join(" ");
        match (&self.of, &self.place) {
            (Of::Role { name, version }, place) => {
                let role = matches!(place, Place::Serving(_)).then_some(name.as_str());
                self.scope.audit(role, &format!("Executed cmd '{words}' on app version {version}"))
            }
            (Of::Accessory { name, .. }, _) => {
                self.scope.audit(None, &format!("Executed cmd '{words}' on {name} accessory"))
            }
        }
    }

    /// Digits that differ even between runs that a hook starts.
    fn short_run(&self) -> &str {
        self.scope.token().get(..6).unwrap_or("0")
    }

    /// A separate file, because the running container uses the other one.
    fn env_file(&self) -> String {
        let file = format!("{}.exec-{}", self.of.name(), self.short_run());
        match &self.of {
            Of::Role { .. } => self.scope.names.env_file(&file),
            Of::Accessory { .. } => self.scope.names.accessory_env_file(&file),
        }
    }

    fn remove_env_file(&self) -> Line {
        let files = env::files(&self.env_file());
        Line::new("rm").word("-f").words(files.iter().map(String::as_str))
    }
}

pub(super) fn mark(scope: &Scope) -> String {
    format!("{MARK}={}", scope.run)
}

/// Shell lines that check every second whether our connection lives, by sshd's process that started the script, and hang up
/// when it is gone. Without a terminal, no signal would arrive. With one, it would at most end Docker's client, never the
/// command. Hangs up repeatedly, so it also ends a container that is still being created. If the script may not signal that
/// process, there is no guard.
pub(super) fn guard(hang_up: &str) -> String {
    format!(
        "(trap '' HUP INT QUIT TERM\n\
         kill -0 \"$PPID\" || exit\n\
         while kill -0 \"$PPID\"; do kill -0 $$ || exit; sleep 1; done\n\
         while :; do\n{hang_up}kill -0 $$ || exit\nsleep 1\ndone\n\
         ) </dev/null >/dev/null 2>&1 &\n"
    )
}

/// A program that kills all processes with this variable in their environment, which children inherit.
pub(super) fn kill_marked(mark: &str) -> String {
    format!(
        "found() {{ bowline_pids=$(grep -lsF {} /proc/[0-9]*/environ | cut -d/ -f3); [ -n \"$bowline_pids\" ]; }}\n\
         for bowline_signal in HUP TERM KILL; do\n\
         found || exit 0\n\
         kill -s $bowline_signal $bowline_pids\n\
         for bowline_wait in 1 2 3 4 5; do sleep 0.2; found || exit 0; done\n\
         done",
        quote(mark)
    )
}
