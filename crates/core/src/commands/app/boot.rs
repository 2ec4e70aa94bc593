//! Boots a container, finds one after a lost connection, and starts a stopped one.

use std::fmt;
use std::str::FromStr;

use bowline_config::secret::Secret;
use bowline_config::{AssetPath, Pairs};

use super::{Environment, logging_words, option_words};
use crate::commands::answer::{self, Explanation, Unreadable};
use crate::commands::env::clear_words;
use crate::commands::ready::Ready;
use crate::commands::status::Status::{NameTaken as NAME_TAKEN, NotStarted as NOT_STARTED};
use crate::commands::{Scope, ask, assets, policy, ready};
use crate::names::{NETWORK, container_hostname};
use crate::proxy::{self, Attach, cord};
use crate::shell::{Line, Script, quote};

/// The label with a container's fingerprint, which only Bowline's containers have ([`Boot::made`]).
pub const MADE_LABEL: &str = "bowline.config";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthFlags {
    /// The whole command, including the check of the cord.
    pub cmd: String,
    pub interval_ms: u128,
    /// For Docker 25 and later: check every 200 ms until the first success, for at most this many seconds.
    pub quick_start_s: Option<u64>,
}

/// Boots a role's new container on a server and waits until it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    pub scope: Scope,
    pub role: String,
    pub version: String,
    /// `REPO:VER`.
    pub image: String,
    pub environment: Environment,
    pub labels: Pairs,
    /// One more label, `KEY=VALUE`. It is derived from secrets, so it must not appear in a command line.
    pub made: Secret,
    /// Replaces the image's command.
    pub cmd: Option<String>,
    pub health: Option<HealthFlags>,
    /// The mount point of the cord's directory in the container.
    pub cord: Option<String>,
    /// The mount point of the asset volume in the container.
    pub assets: Option<AssetPath>,
    pub ready: Ready,
    /// The most seconds until it is ready.
    pub timeout: u64,
    /// Seconds that a container without a health check must keep running.
    pub readiness_delay: u64,
}

impl Boot {
    /// `SVC-ROLE[-DEST]-VER`.
    pub fn container(&self) -> String {
        self.scope.names.container(&self.role, &self.version)
    }

    pub fn cord_directory(&self) -> String {
        self.scope.names.cord(&self.role, &self.scope.run)
    }

    /// The network on which the proxy reaches the container.
    pub fn network(&self) -> String {
        proxy::network(self.labels.iter().map(|(key, value)| (key, value)))
    }

    pub fn find(&self) -> Find {
        Find {
            scope: self.scope.clone(),
            name: self.container(),
            hostname: container_hostname(&self.environment.host, self.scope.token()),
        }
    }

    /// Renames our container of the same name, ties the cord, runs the container, and waits until it is ready. Prints a
    /// [`ready::Answer`], or [`NameTaken`].
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence() + &ask::functions();
        text.push_str(&self.rename_clashing());
        let (secret, env_file) = (&self.environment.secret, self.scope.names.env_file(&self.role));
        // Input: the label's line, then the env file. `read` consumes exactly one line.
        let label = quote(&label_file(&env_file));
        text.push_str("IFS= read -r bowline_made || exit\n");
        text.push_str(&secret.write(&env_file));
        text.push_str(&format!("(umask 077 && printf '%s\\n' \"$bowline_made\" > {label}) || exit\n"));
        if self.cord.is_some() {
            text.push_str(&cord::tie(&self.cord_directory()));
        }
        let run = secret.run(&self.run_line(), &env_file);
        text.push_str(&format!(
            "bowline_id=$( {run}) || {{\nrm -f {label}\n{not_started}exit {NOT_STARTED}\n}}\nrm -f {label}\necho \"@id $bowline_id\"\n{booted}",
            not_started = self.audit("Could not start"),
            booted = self.audit("Booted"),
        ));
        text.push_str(&self.find().given_up());
        text.push_str(&ready::wait(self.ready, self.timeout, self.readiness_delay, &self.network()));
        Script::new(text).with_input(Secret::new(format!(
            "{}\n{}",
            self.made.expose(),
            secret.input().expose()
        )))
    }

    fn audit(&self, done: &str) -> String {
        self.scope.audit(Some(&self.role), &format!("{done} app version {}", self.version))
    }

    /// Renames our container of the same name, and refuses another app's: the names of two apps can coincide (role
    /// `web-api` of `app`, role `api` of `app-web`).
    fn rename_clashing(&self) -> String {
        let (name, names) = (self.container(), &self.scope.names);
        let replaced = names.replaced(&self.role, &self.version, self.scope.token());
        let rename = Line::new("docker").words(["container", "rename", &name, &replaced]);
        let whose = ["service", "role", "destination"]
            .map(|label| format!("{{{{index .Config.Labels \"{label}\"}}}}"));
        let whose = Line::new("ask_name").word(&name).word(&whose.join("/"));
        let ours = [names.service(), &self.role, names.destination().unwrap_or_default()].join("/");
        format!(
            "if {whose}; then\n\
             [ \"$bowline_said\" = {ours} ] || {{ echo \"@taken $bowline_said\"; exit {NAME_TAKEN}; }}\n\
             {rename} || exit {NOT_STARTED}\n{}fi\n",
            self.scope.audit(Some(&self.role), &format!("Renaming container {name} to {replaced}")),
            ours = quote(&ours),
        )
    }

    pub fn run_line(&self) -> Line {
        let name = self.container();
        let environment = &self.environment;
        let line = Line::new("docker")
            .words(["run", "--detach", "--restart", "unless-stopped", "--name", &name])
            .words(["--network", NETWORK, "--hostname"])
            .word(&container_hostname(&environment.host, self.scope.token()));
        let line = clear_words(self.automatic(line), &environment.clear);
        let mut line = environment.secret.words(line, &self.scope.names.env_file(&self.role));
        if let Some(health) = &self.health {
            line = health_words(line, health);
        }
        if let Some(cord) = &self.cord {
            line = line.word("--volume").path(&format!("$PWD/{}:{cord}", self.cord_directory()));
        }
        line = logging_words(line, &environment.logging);
        line = environment.volumes.iter().fold(line, |line, volume| line.word("--volume").path(volume));
        if let Some(assets) = &self.assets {
            let volume = assets::volume(&self.scope, &self.role, &self.version);
            let options = assets.mount_options.as_ref().map(|options| format!(":{options}"));
            let mount = format!("$PWD/{volume}:{}{}", assets.path, options.unwrap_or_default());
            line = line.word("--volume").path(&mount);
        }
        for (key, value) in &self.labels {
            let label = if value.is_empty() { key.clone() } else { format!("{key}={value}") };
            line = line.word("--label").expanding(&label);
        }
        line = line.words(["--label-file", &label_file(&self.scope.names.env_file(&self.role))]);
        line = option_words(line, &environment.options).word(&self.image);
        match &self.cmd {
            Some(cmd) => line.command(cmd),
            None => line,
        }
    }

    /// Kamal's own variables, unless the configuration sets them.
    fn automatic(&self, line: Line) -> Line {
        let (name, environment) = (self.container(), &self.environment);
        let mut variables = vec![
            ("KAMAL_CONTAINER_NAME", name.as_str()),
            ("KAMAL_VERSION", &self.version),
            ("KAMAL_HOST", &environment.host),
        ];
        variables.extend(self.scope.names.destination().map(|name| ("KAMAL_DESTINATION", name)));
        variables.retain(|(name, _)| {
            !environment.secret.has(name) && !environment.clear.iter().any(|(known, _)| known == name)
        });
        variables.iter().fold(line, |line, (name, value)| line.words(["--env", &format!("{name}={value}")]))
    }
}

/// The file with [`Boot::made`], which exists only while the container is created.
pub(in crate::commands) fn label_file(env_file: &str) -> String {
    format!("{env_file}.label")
}

fn health_words(line: Line, health: &HealthFlags) -> Line {
    let line = line
        .words(["--health-cmd", &health.cmd])
        .words(["--health-interval", &format!("{}ms", health.interval_ms)]);
    match health.quick_start_s {
        Some(seconds) => {
            line.words(["--health-start-period", &format!("{seconds}s"), "--health-start-interval", "200ms"])
        }
        None => line,
    }
}

/// Finds the container of a boot whose result was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    pub scope: Scope,
    pub name: String,
    /// The container's hostname, which differs from that of any other container with this name.
    pub hostname: String,
}

/// How long the container of an interrupted boot may take to appear, in seconds.
const THERE_WITHIN_S: u32 = 10;

impl Find {
    /// A shell line for the boot: stops the container if the run no longer waits for it.
    fn given_up(&self) -> String {
        format!(
            "! grep -qsxF -e {} {} || {{ docker stop \"$bowline_id\" >/dev/null; exit {NOT_STARTED}; }}\n",
            self.mark(),
            quote(&self.scope.given_up())
        )
    }

    fn mark(&self) -> String {
        quote(&format!("{} {}", self.name, self.hostname))
    }

    /// Waits for the container and prints a [`ready::Answer`] with only its id. If the container appears too late, its boot
    /// stops it.
    pub fn script(&self) -> Script {
        let look = Line::new("ask_name").words([self.name.as_str(), "{{.Config.Hostname}} {{.ID}}"]);
        Script::new(format!(
            "{fence}{ask}printf '%s\\n' {mark} >> {given_up} || exit\n\
             bowline_tries={THERE_WITHIN_S}0\n\
             while [ $((bowline_tries -= 1)) -gt 0 ]; do\n\
             {look} && case $bowline_said in {hostname}' '*) echo \"@id ${{bowline_said#* }}\"; exit 0 ;; esac\n\
             sleep 0.1\n\
             done\n",
            fence = self.scope.fence(),
            ask = ask::functions(),
            mark = self.mark(),
            given_up = quote(&self.scope.given_up()),
            hostname = quote(&self.hostname),
        ))
    }
}

/// The owner of the container that already has the name, as `SERVICE/ROLE/DESTINATION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTaken(pub String);

impl NameTaken {
    pub fn explain(&self, name: &str) -> Explanation {
        let labels = &self.0;
        Explanation::new(
            format!(
                "the name {name} is taken by a container of another app (service/role/destination: {labels})"
            ),
            "give the service or the role another name, or deploy another version",
        )
    }
}

impl FromStr for NameTaken {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let line = answer::lines(text).find(|line| line.word == "taken");
        line.map(|line| Self(line.rest.into())).ok_or(Unreadable::Missing("@taken"))
    }
}

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "@taken {}", self.0)
    }
}

/// Starts a stopped container with its cord tied, and waits until it is ready. This returns to the container that served before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub scope: Scope,
    pub role: String,
    pub version: String,
    pub name: String,
    pub id: String,
    pub attach: Attach,
    pub network: String,
    /// The cord's directory on the server.
    pub cord: Option<String>,
    /// The asset volume's directory on the server. It must exist: Docker would create an empty one.
    pub assets: Option<String>,
    /// The restart policy that stopping the container took from it: the one it had, or, if that is no longer known, the
    /// configured one.
    pub restart: Option<String>,
    pub ready: Ready,
    /// The most seconds until it is ready.
    pub timeout: u64,
    /// Seconds that a container without a health check must keep running.
    pub readiness_delay: u64,
}

impl Start {
    /// Prints what [`Boot::script`] prints from the id on.
    pub fn script(&self) -> Script {
        let start = Line::new("docker").words(["container", "start", &self.id]);
        let mut text = self.scope.fence();
        if let Some(assets) = &self.assets {
            text.push_str(&format!(
                "[ -d {} ] || {{ echo 'its assets are gone; `bowline rollback` to this version brings them back' >&2; exit 1; }}\n",
                quote(assets),
            ));
        }
        if let Some(cord) = &self.cord {
            text.push_str(&cord::tie(cord));
        }
        text.push_str(
            &self.scope.audit(Some(&self.role), &format!("Started app version {} again", self.version)),
        );
        text.push_str(&format!(
            "bowline_id={}\n{}{start} >/dev/null || exit {NOT_STARTED}\necho \"@id $bowline_id\"\n",
            quote(&self.id),
            policy::give_back(self.restart.as_ref(), &self.id, NOT_STARTED),
        ));
        text.push_str(&ask::functions());
        text.push_str(&ready::wait(self.ready, self.timeout, self.readiness_delay, &self.network));
        Script::new(text)
    }
}
