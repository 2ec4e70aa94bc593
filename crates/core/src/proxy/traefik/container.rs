//! Traefik's container, and its API on an entry point that is not published.

use super::NAME as TRAEFIK;
use super::labels::Route;
use crate::commands::answer::Explanation;
use crate::commands::app::{logging_words, option_words};
use crate::commands::env::{self, SecretEnv, clear_words};
use crate::commands::network::{self, FAILED as PROXY_FAILED};
use crate::commands::replacement::Replacement;
use crate::commands::status::Status;
use crate::commands::{Action, Scope, answer, ask, policy, published};
use crate::names::NETWORK;
use crate::observed::Container;
use crate::proxy::container;
use crate::shell::{Line, Script, function, quote};
use bowline_config::{Logging, OptionValue, Pairs, Traefik, lay_over};

/// The port of Traefik's own entry point, in its container only.
pub const API_PORT: u16 = 8080;
/// Makes sure the network exists and Traefik runs in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensure {
    /// The run.
    pub scope: Scope,
    /// The configuration.
    pub traefik: Traefik,
    /// Its secret variables, resolved.
    pub secret: SecretEnv,
    /// Root logging.
    pub logging: Logging,
    /// The host, for the plan.
    pub host: String,
}

/// The env file of the running container. Each run writes a file of its own next to it, and renames it into place once its
/// container runs: several apps share the file and may deploy at the same time.
const ENV_FILE: &str = ".kamal/env/traefik/traefik.env";

/// A container's address on the network that all apps share.
pub(super) const ADDRESS: &str = "{{with index .NetworkSettings.Networks \"kamal\"}}{{.IPAddress}}{{end}}";

impl Ensure {
    fn env_file(&self) -> String {
        format!("{ENV_FILE}.{}", self.scope.run)
    }

    /// Shell lines that write this run's env file, and remove it at the end if it wasn't renamed.
    pub(super) fn write_env_file(&self) -> String {
        let file = self.env_file();
        let written = env::files(&file);
        let remove = Line::new("rm").word("-f").words(written.iter().map(String::as_str));
        format!(
            "trap {} EXIT\ntrap 'exit 129' HUP TERM INT\n{}",
            quote(remove.as_str()),
            self.secret.write(&file)
        )
    }

    /// Starts the container that is there or runs a new one; connects it to the network if it isn't. Prints
    /// [`super::Answer`].
    pub fn script(&self) -> Script {
        let text = format!(
            "{fence}{ask}{written}{network}{functions}\
             {again}\
             run() {{ {run}; }}\n{boot}",
            fence = self.scope.fence(),
            ask = ask::functions(),
            written = self.write_env_file(),
            network = network::create(),
            functions = self.functions(),
            again = function("again", &policy::give_back(self.restart().as_ref(), TRAEFIK, PROXY_FAILED)),
            run = self.secret.run(&self.run_line(), &self.env_file()),
            boot = answer::sent(include_str!("boot.sh")),
        );
        Script::new(text).with_input(self.secret.input())
    }

    /// Shell lines that define the functions of `container.sh`, Traefik's and that of all proxies.
    pub(super) fn functions(&self) -> String {
        format!(
            "{functions}bowline_address={address} bowline_written={written} bowline_env_file={ENV_FILE} bowline_beside='{NEXT} {OLD}'\n{own}",
            functions = container::functions(TRAEFIK),
            address = quote(ADDRESS),
            written = quote(&self.env_file()),
            own = answer::sent(include_str!("container.sh")),
        )
    }

    /// The `docker run` line.
    pub fn run_line(&self) -> Line {
        self.container(&["run", "--detach"], TRAEFIK)
    }

    /// Its restart policy, if one is configured.
    pub fn restart(&self) -> Option<String> {
        policy::configured(&self.traefik.options)
    }

    /// Where Traefik routes by its own labels. That it does so shows that it hears from Docker.
    pub fn route(&self) -> Route {
        let labels = lay_over(&default_labels(), &self.traefik.labels);
        own_route(labels.iter().map(|(key, value)| (key, value)), &flags(&self.traefik))
    }

    /// A shell command that makes the next one.
    pub(super) fn make_next(&self) -> String {
        self.secret.run(&self.container(&["create"], NEXT), &self.env_file())
    }

    fn container(&self, how: &[&str], name: &str) -> Line {
        let mut line = Line::new("docker").words(how.iter().copied()).words([
            "--name",
            name,
            "--restart",
            "unless-stopped",
            "--network",
            NETWORK,
        ]);
        if self.traefik.publish {
            line = line.words(["--publish", &format!("{}:80", self.traefik.host_port)]);
        }
        if !mounts_socket(&self.traefik.options) {
            line = line.word("--volume").expanding(&format!("{}:{SOCKET}", self.traefik.docker_socket));
        }
        line = self.secret.words(line, &self.env_file());
        line = clear_words(line, &self.traefik.env.clear_pairs());
        line = logging_words(line, &self.logging);
        for (key, value) in lay_over(&default_labels(), &self.traefik.labels) {
            line = line.word("--label").expanding(&format!("{key}={value}"));
        }
        line = option_words(line, &self.traefik.options).expanding(&self.traefik.image);
        line = line.word("--providers.docker");
        for (key, value) in arguments(&self.traefik.args) {
            line = match value {
                OptionValue::Flag => line.word(&format!("--{key}")),
                OptionValue::Value(value) => line.expanding(&format!("--{key}={value}")),
                OptionValue::List(values) => {
                    values.iter().fold(line, |line, value| line.expanding(&format!("--{key}={value}")))
                }
            };
        }
        line
    }
}

/// The route of a Traefik with these labels and arguments; empty if its arguments have it choose among containers.
pub fn own_route<'l>(labels: impl IntoIterator<Item = (&'l String, &'l String)>, args: &[String]) -> Route {
    let chooses =
        |argument: &String| argument.to_ascii_lowercase().starts_with("--providers.docker.constraints");
    if args.iter().any(chooses) { Route::default() } else { Route::new(TRAEFIK, labels) }
}

/// Where Traefik looks for Docker in its container.
const SOCKET: &str = "/var/run/docker.sock";

/// Whether further flags of `docker run` put something there: two mounts of one place are refused.
fn mounts_socket(options: &[(String, OptionValue)]) -> bool {
    let volumes = options.iter().filter(|(key, _)| key == "volume" || key == "v");
    let mut volumes = volumes.flat_map(|(_, value)| match value {
        OptionValue::Flag => &[],
        OptionValue::Value(value) => std::slice::from_ref(value),
        OptionValue::List(values) => values.as_slice(),
    });
    volumes.any(|volume| volume.split(':').nth(1) == Some(SOCKET))
}

/// Puts a new Traefik with the configuration as it is now in the place of the one that runs. It is made before the
/// old one stops, and if it doesn't come up, the old one is put back. Otherwise the old one stays beside it, stopped,
/// until [`Settle`].
#[derive(Debug, Clone, PartialEq)]
pub struct Replace {
    /// The new one.
    pub ensure: Ensure,
}

/// How long requests that are under way get when Traefik stops, in seconds: longer than its own `graceTimeOut`.
const STOP_WAIT_S: u32 = 30;

impl Replace {
    /// Prints [`super::Answer`].
    pub fn script(&self) -> Script {
        let ensure = &self.ensure;
        let replacement = Replacement {
            name: TRAEFIK,
            next: NEXT,
            old: OLD,
            gives: TRAEFIK,
            stop_wait: Some(STOP_WAIT_S),
            failed: PROXY_FAILED,
        };
        let text = format!(
            "{fence}{written}{network}{audit}{replacement}{functions}make() {{ {make}; }}\n{replace}",
            fence = ensure.scope.fence(),
            written = ensure.write_env_file(),
            network = network::create(),
            audit = ensure.scope.audit(None, "Rebooted traefik"),
            replacement = replacement.functions(),
            functions = ensure.functions(),
            make = ensure.make_next(),
            replace = answer::sent(include_str!("replace.sh")),
        );
        Script::new(text).with_input(ensure.secret.input())
    }
}

/// Decides what becomes of a Traefik that was just made, once it is known whether it routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// The run.
    pub scope: Scope,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The restart policy of the one before, if one is configured.
    pub restart: Option<String>,
}

/// What becomes of a Traefik that was just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, and the one before it is removed.
    Stays,
    /// It is removed, and the one before it, if there was one, is started again.
    GivesWay,
}

impl Settle {
    /// In a few words.
    pub fn describe(&self) -> &'static str {
        match self.verdict {
            Verdict::Stays => "remove the previous Traefik",
            Verdict::GivesWay => "restore the previous Traefik",
        }
    }

    /// Prints [`super::Answer`].
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence();
        match self.verdict {
            Verdict::Stays => text.push_str(&format!("docker container rm {OLD} >/dev/null 2>&1\nexit 0\n")),
            Verdict::GivesWay => {
                text.push_str(&format!(
                    "docker container rm --force {TRAEFIK} >/dev/null || exit {PROXY_FAILED}\n\
                     {}ask_name {OLD} '{{{{.ID}}}}' || exit 0\n\
                     docker container rename {OLD} {TRAEFIK} || exit {PROXY_FAILED}\n\
                     {}docker container start {TRAEFIK} >/dev/null || exit {PROXY_FAILED}\n\
                     echo @back\n",
                    ask::functions(),
                    policy::give_back(self.restart.as_ref(), TRAEFIK, PROXY_FAILED),
                ));
                text.push_str(&self.scope.audit(None, "Restored the previous Traefik"));
            }
        }
        Script::new(text)
    }
}

/// Starts or stops the Traefik that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Power {
    /// The run.
    pub scope: Scope,
    /// What is done to it.
    pub action: Action,
    /// Its restart policy, if one is configured.
    pub restart: Option<String>,
}

impl Power {
    /// The script. Prints [`super::Answer`], and [`policy::RETURNS`] with the restart policy of one that
    /// will run again when Docker restarts.
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence() + &ask::functions();
        let start = format!(
            "{}docker container start {TRAEFIK} >/dev/null || exit {PROXY_FAILED}\n",
            policy::give_back(self.restart.as_ref(), TRAEFIK, PROXY_FAILED)
        );
        let stop =
            format!("docker container stop -t {STOP_WAIT_S} {TRAEFIK} >/dev/null || exit {PROXY_FAILED}\n");
        match self.action {
            Action::Start => text.push_str(&start),
            Action::Stop => {
                let keep = policy::keep_stopped(TRAEFIK, "\"$bowline_said\"");
                text.push_str(&format!("! ask_name {TRAEFIK} '{}' || {keep}{stop}", policy::FORMAT));
            }
            Action::Restart => text.push_str(&format!("{stop}{start}")),
        }
        let done = match self.action {
            Action::Start => "Started traefik",
            Action::Stop => "Stopped traefik",
            Action::Restart => "Restarted traefik",
        };
        text.push_str(&self.scope.audit(None, done));
        if self.action != Action::Stop {
            text.push_str(&format!("ask_name {TRAEFIK} '{ADDRESS}' && echo \"@address $bowline_said\"\n"));
        }
        Script::new(text)
    }
}

/// Removes Traefik's container, unless it has other apps to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    /// The run.
    pub scope: Scope,
}

impl Remove {
    /// Prints [`super::Answer`].
    pub fn script(&self) -> Script {
        Script::new(format!(
            "{fence}{ask}bowline_name={TRAEFIK} bowline_env_file={ENV_FILE} bowline_beside='{NEXT} {OLD}'\n{remove}{audit}",
            fence = self.scope.fence(),
            ask = ask::functions(),
            remove = answer::sent(include_str!("remove.sh")),
            audit = self.scope.audit(None, "Removed traefik container"),
        ))
    }
}

/// Lists Traefik's container.
pub fn details() -> Script {
    Script::new(format!(
        "exec {}\n",
        Line::new("docker").words(["ps", "--all", "--filter", "name=^traefik$"])
    ))
}

/// The new Traefik until the old one has stopped, and the old one until the new one runs.
const NEXT: &str = "traefik_next";
const OLD: &str = "traefik_replaced";
/// Both.
pub(crate) const BESIDE: [&str; 2] = [NEXT, OLD];

/// A shell line that removes the env file of one that is gone.
pub(crate) fn forget_env() -> String {
    format!("rm -f {ENV_FILE}\n")
}

/// How a Traefik that is there differs from the configuration, in words; `None` if it doesn't.
pub fn difference(traefik: &Traefik, container: &Container) -> Option<String> {
    if container.image != traefik.image {
        return Some(format!("it runs {}, not {}", container.image, traefik.image));
    }
    let socket = container.mounts.iter().find(|mount| mount.destination == SOCKET);
    let expands = |text: &str| text.contains('$') || text.starts_with('~');
    if let Some(socket) =
        socket.filter(|_| !mounts_socket(&traefik.options) && !expands(&traefik.docker_socket))
        && !same_path(&socket.source, &traefik.docker_socket)
    {
        return Some(format!("its Docker is at {}, not at {}", socket.source, traefik.docker_socket));
    }
    let wanted = flags(traefik);
    if wanted.iter().any(|flag| flag.contains("${")) {
        // The server fills these in; they can't be compared here.
        return None;
    }
    let missing = wanted.iter().find(|flag| !container.args.contains(flag));
    let known =
        |flag: &&String| flag.starts_with("--") && **flag != "--providers.docker" && !wanted.contains(flag);
    match (missing, container.args.iter().find(known)) {
        (Some(flag), _) => Some(format!("it runs without `{flag}`")),
        (None, Some(flag)) => Some(format!("it runs with `{flag}`")),
        (None, None) => None,
    }
}

/// Whether two paths name one place: `/var/run` is a link to `/run`.
fn same_path(one: &str, other: &str) -> bool {
    let plain = |path: &str| {
        path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path).to_owned()
    };
    plain(one) == plain(other)
}

/// The catch-all route: requests that no app takes are answered by Traefik itself.
fn default_labels() -> Pairs {
    [
        ("traefik.enable", "true"),
        ("traefik.http.routers.catchall.entryPoints", "http"),
        ("traefik.http.routers.catchall.rule", "PathPrefix(`/`)"),
        ("traefik.http.routers.catchall.service", "unavailable"),
        ("traefik.http.routers.catchall.priority", "1"),
        ("traefik.http.services.unavailable.loadbalancer.server.port", "0"),
    ]
    .map(|(key, value)| (key.to_string(), value.to_string()))
    .into()
}

/// Arguments: the defaults with the configured ones over them. Ours beyond Kamal's: events are applied within
/// 100 ms instead of 2 s, and the API answers on the container's own entry point.
fn arguments(configured: &[(String, OptionValue)]) -> Vec<(String, OptionValue)> {
    let mut arguments: Vec<(String, OptionValue)> =
        [("log.level", "DEBUG"), ("providers.providersThrottleDuration", "100ms"), ("api.insecure", "true")]
            .map(|(key, value)| (key.to_string(), OptionValue::Value(value.into())))
            .into();
    for (key, value) in configured {
        match arguments.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(key)) {
            Some((_, old)) => old.clone_from(value),
            None => arguments.push((key.clone(), value.clone())),
        }
    }
    arguments
}

/// Whether a running Traefik's arguments say that its API answers on [`API_PORT`].
pub fn has_api(arguments: &[String]) -> bool {
    let on = |argument: &String| {
        let argument = argument.to_ascii_lowercase();
        argument == "--api.insecure" || argument == "--api.insecure=true"
    };
    let moved =
        |argument: &String| argument.to_ascii_lowercase().starts_with("--entrypoints.traefik.address=");
    arguments.iter().any(on) && !arguments.iter().any(moved)
}

/// Whether a Traefik booted with this configuration will answer there.
pub fn will_have_api(traefik: &Traefik) -> bool {
    has_api(&flags(traefik))
}

/// Its arguments as Traefik gets them.
fn flags(traefik: &Traefik) -> Vec<String> {
    let one = |(key, value): (String, OptionValue)| match value {
        OptionValue::Flag => vec![format!("--{key}")],
        OptionValue::Value(value) => vec![format!("--{key}={value}")],
        OptionValue::List(values) => values.iter().map(|value| format!("--{key}={value}")).collect(),
    };
    arguments(&traefik.args).into_iter().flat_map(one).collect()
}

/// What it means that a script which runs Traefik ended with this status, after what it said on standard output and
/// standard error.
pub fn explain(status: Status, stdout: &str, stderr: &str) -> Option<Explanation> {
    let explanation = match status {
        Status::PortTaken => Explanation::new(
            stdout.parse::<published::Taken>().ok()?.told(),
            "end that first; or see `traefik: host_port:`, and `publish` in its `options:`",
        ),
        Status::ProxyFailed => Explanation::new(
            "Traefik could not be run",
            "see `traefik:` in the configuration; is its port taken by something else?",
        ),
        _ => return None,
    };
    Some(explanation.saying(stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_proxy_says_whether_its_api_answers() {
        let arguments = |list: &[&str]| list.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        assert!(has_api(&arguments(&["--providers.docker", "--api.insecure=true"])));
        assert!(!has_api(&arguments(&["--providers.docker", "--log.level=DEBUG"])));
        assert!(!has_api(&arguments(&["--api.insecure=true", "--entryPoints.traefik.address=:9000"])));
    }
}
