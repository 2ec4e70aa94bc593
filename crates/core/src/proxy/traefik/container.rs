//! Traefik's container, and its API on an entry point that isn't published.

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
use bowline_config::{Logging, OptionValue, Pairs, Traefik, merge_pairs};

/// The port of Traefik's default entry point, reachable only on its container's address.
pub const API_PORT: u16 = 8080;

/// Makes sure that the network exists and Traefik runs in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensure {
    pub scope: Scope,
    pub traefik: Traefik,
    pub secret: SecretEnv,
    /// The `logging` at the root of the configuration.
    pub logging: Logging,
}

/// The env file of the running container. Each run writes its own file next to it, and renames it once its container
/// runs, because several apps share this file and may deploy at the same time.
const ENV_FILE: &str = ".kamal/env/traefik/traefik.env";

/// A container's address on the network that all apps share.
pub(super) const ADDRESS: &str = "{{with index .NetworkSettings.Networks \"kamal\"}}{{.IPAddress}}{{end}}";

impl Ensure {
    fn env_file(&self) -> String {
        format!("{ENV_FILE}.{}", self.scope.run)
    }

    /// Shell lines that write this run's env file, and remove it at exit unless it was renamed.
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

    /// Starts the existing container or runs a new one, and connects it to the network. Prints [`super::Answer`].
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

    /// Shell lines that define the functions of both files called `container.sh`: the shared one and Traefik's.
    pub(super) fn functions(&self) -> String {
        format!(
            "{functions}bowline_address={address} bowline_written={written} bowline_env_file={ENV_FILE} bowline_beside='{NEXT} {OLD}'\n{own}",
            functions = container::functions(TRAEFIK),
            address = quote(ADDRESS),
            written = quote(&self.env_file()),
            own = answer::sent(include_str!("container.sh")),
        )
    }

    pub fn run_line(&self) -> Line {
        self.container(&["run", "--detach"], TRAEFIK)
    }

    pub fn restart(&self) -> Option<String> {
        policy::configured(&self.traefik.options)
    }

    /// The route in Traefik's own labels. When Traefik routes by it, Traefik receives Docker's events.
    pub fn route(&self) -> Route {
        let labels = merge_pairs(&default_labels(), &self.traefik.labels);
        own_route(labels.iter().map(|(key, value)| (key, value)), &flags(&self.traefik))
    }

    /// A shell command that creates the replacement.
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
        for (key, value) in merge_pairs(&default_labels(), &self.traefik.labels) {
            line = line.word("--label").expanding(&format!("{key}={value}"));
        }
        line = option_words(line, &self.traefik.options).expanding(&self.traefik.image);
        option_words(line.word("--providers.docker"), &arguments(&self.traefik.args))
    }
}

/// The route of a Traefik with these labels and arguments. Empty if its arguments restrict which containers it reads,
/// because then it may not read its own labels.
pub fn own_route<'l>(labels: impl IntoIterator<Item = (&'l String, &'l String)>, args: &[String]) -> Route {
    let chooses =
        |argument: &String| argument.to_ascii_lowercase().starts_with("--providers.docker.constraints");
    if args.iter().any(chooses) { Route::default() } else { Route::new(TRAEFIK, labels) }
}

/// Where Traefik expects Docker's socket in its container.
const SOCKET: &str = "/var/run/docker.sock";

/// Whether further flags of `docker run` mount a socket there. Docker rejects two mounts at one path.
fn mounts_socket(options: &[(String, OptionValue)]) -> bool {
    let mut volumes =
        options.iter().filter(|(key, _)| key == "volume" || key == "v").flat_map(|(_, value)| value.values());
    volumes.any(|volume| volume.split(':').nth(1) == Some(SOCKET))
}

/// Replaces the running Traefik. The new container, with the current configuration, is created before the old one
/// stops. If it doesn't come up, the old one starts again. Otherwise, the old one stays, stopped, until [`Settle`].
#[derive(Debug, Clone, PartialEq)]
pub struct Replace {
    pub ensure: Ensure,
}

/// How long open requests may take when Traefik stops, in seconds. Longer than Traefik's own `graceTimeOut`.
const STOP_WAIT_S: u32 = 30;

impl Replace {
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

/// Keeps or removes a new Traefik, once it is known whether it routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    pub scope: Scope,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Keep it, and remove the previous one.
    Stays,
    /// Remove it, and start the previous one again, if there was one. `restart` is the restart policy that this one had
    /// before it was stopped, unless it still has it.
    GivesWay { restart: Option<String> },
}

impl Settle {
    pub fn describe(&self) -> &'static str {
        match self.verdict {
            Verdict::Stays => "remove the previous Traefik",
            Verdict::GivesWay { .. } => "restore the previous Traefik",
        }
    }

    pub fn script(&self) -> Script {
        let mut text = self.scope.fence();
        match &self.verdict {
            Verdict::Stays => text.push_str(&format!("docker container rm {OLD} >/dev/null 2>&1\nexit 0\n")),
            Verdict::GivesWay { restart } => {
                text.push_str(&format!(
                    "docker container rm --force {TRAEFIK} >/dev/null || exit {PROXY_FAILED}\n\
                     {}ask_name {OLD} '{{{{.ID}}}}' || exit 0\n\
                     docker container rename {OLD} {TRAEFIK} || exit {PROXY_FAILED}\n\
                     {}docker container start {TRAEFIK} >/dev/null || exit {PROXY_FAILED}\n\
                     echo @back\n",
                    ask::functions(),
                    policy::give_back(restart.as_ref(), TRAEFIK, PROXY_FAILED),
                ));
                text.push_str(&self.scope.audit(None, "Restored the previous Traefik"));
            }
        }
        Script::new(text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Power {
    pub scope: Scope,
    pub action: Action,
    /// The restart policy to give it, if one is configured.
    pub restart: Option<String>,
}

impl Power {
    /// Prints [`super::Answer`], and [`policy::Returns`] if Docker's restart will start a stopped Traefik again.
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

/// Removes Traefik's container, unless it still serves other apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    pub scope: Scope,
}

impl Remove {
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

pub fn details() -> Script {
    Script::new(format!(
        "exec {}\n",
        Line::new("docker").words(["ps", "--all", "--filter", "name=^traefik$"])
    ))
}

/// Names of the new container until the old one has stopped, and of the old one until the new one is settled.
const NEXT: &str = "traefik_next";
const OLD: &str = "traefik_replaced";
pub(crate) const BESIDE: [&str; 2] = [NEXT, OLD];

pub(crate) fn forget_env() -> String {
    format!("rm -f {ENV_FILE}\n")
}

/// How an existing Traefik differs from the configuration, for display. `None` if it doesn't.
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
        // The server's shell expands these, so they can't be compared here.
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

/// Whether two paths are the same place, given that `/var/run` is a link to `/run`.
fn same_path(one: &str, other: &str) -> bool {
    let plain = |path: &str| {
        path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path).to_owned()
    };
    plain(one) == plain(other)
}

/// The catch-all route: Traefik itself responds to requests that no app takes.
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

/// The default arguments, overridden by the configured ones. Unlike Kamal, Bowline has Traefik apply Docker's events
/// within 100 ms instead of 2 s, and enables the API on the container's own entry point.
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

/// Whether a running Traefik with these arguments serves its API on [`API_PORT`].
pub fn has_api(arguments: &[String]) -> bool {
    let on = |argument: &String| {
        let argument = argument.to_ascii_lowercase();
        argument == "--api.insecure" || argument == "--api.insecure=true"
    };
    let moved =
        |argument: &String| argument.to_ascii_lowercase().starts_with("--entrypoints.traefik.address=");
    arguments.iter().any(on) && !arguments.iter().any(moved)
}

/// Whether a Traefik booted with this configuration will serve its API there.
pub fn will_have_api(traefik: &Traefik) -> bool {
    has_api(&flags(traefik))
}

fn flags(traefik: &Traefik) -> Vec<String> {
    let one = |(key, value): (String, OptionValue)| match value {
        OptionValue::Flag => vec![format!("--{key}")],
        value => value.values().iter().map(|value| format!("--{key}={value}")).collect(),
    };
    arguments(&traefik.args).into_iter().flat_map(one).collect()
}

/// What an exit status of a script that runs Traefik means, given the script's output.
pub fn explain(status: Status, stdout: &str, stderr: &str) -> Option<Explanation> {
    let explanation = match status {
        Status::PortTaken => Explanation::new(
            stdout.parse::<published::Taken>().ok()?.describe(),
            "stop that first; or see `traefik: host_port:`, and `publish` in its `options:`",
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
