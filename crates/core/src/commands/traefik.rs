//! Traefik on a server: the shared network, the container, and its API on an entry point that is not published.

use std::collections::BTreeMap;

use super::app::{logging_words, option_words};
use super::env::{self, SecretEnv, clear_words};
use super::{Scope, published};
use crate::config::{Logging, OptionValue, Pairs, Traefik};
use crate::names::{NETWORK, TRAEFIK};
use crate::observed::Container;
use crate::shell::{Line, Script, quote};

/// The port of Traefik's own entry point, in its container only.
pub const API_PORT: u16 = 8080;
/// What the script exits with when the proxy can't be run.
pub const PROXY_FAILED: u32 = 76;

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

/// Makes sure the network exists, on a server without proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The run.
    pub scope: Scope,
}

impl Network {
    /// The script.
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence();
        text.push_str(&create_network());
        Script::new(text)
    }
}

/// Shell lines that make the network, unless it is there.
pub(super) fn create_network() -> String {
    format!(
        "docker network inspect {NETWORK} >/dev/null 2>&1 || docker network create {NETWORK} >/dev/null || \
         docker network inspect {NETWORK} >/dev/null || exit {PROXY_FAILED}\n"
    )
}

/// The env file of the container that runs. It is written beside, and put here by whoever ran the container: several
/// apps share it and may deploy at the same moment.
pub(super) const ENV_FILE: &str = ".kamal/env/traefik/traefik.env";

/// Seconds within which a container that somebody else is making can be started.
const CREATED_WITHIN_S: u32 = 10;

impl Ensure {
    fn env_file(&self) -> String {
        format!("{ENV_FILE}.{}", self.scope.run)
    }

    /// Shell lines that write this run's env file, and remove at the end what is still beside the other.
    fn write_env_file(&self) -> String {
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
    /// `@address` with its address there.
    ///
    /// Another app's deploy may do the same meanwhile. Of two that run it the second is refused the name, from the
    /// moment the first one's container begins to be made; then it waits until it can start that one.
    pub fn script(&self) -> Script {
        let env_file = self.env_file();
        let mut text = self.scope.fence();
        text.push_str(&self.write_env_file());
        text.push_str(&format!(
            "{network}\
             start() {{ docker container start {TRAEFIK} >/dev/null 2>&1; }}\n\
             run() {{ {run}; }}\n\
             failed() {{ printf '%s\\n' \"$said\" >&2; exit {PROXY_FAILED}; }}\n\
             address='{{{{with index .NetworkSettings.Networks \"{NETWORK}\"}}}}{{{{.IPAddress}}}}{{{{end}}}}'\n\
             connected() {{ [ -n \"$(docker container inspect --format \"$address\" {TRAEFIK} 2>/dev/null)\" ]; }}\n\
             connect() {{ connected || said=$(docker network connect {NETWORK} {TRAEFIK} 2>&1) || {{ sleep 0.5; connected; }} || failed; }}\n\
             if start; then connect\n\
             elif said=$(run 2>&1); then\n\
             mv {written} {ENV_FILE}\n\
             {leave}\n\
             else\n\
             case $said in *'already in use'*) tries={CREATED_WITHIN_S}0 ;; *) failed ;; esac\n\
             until start; do [ $((tries -= 1)) -gt 0 ] || failed; sleep 0.1; done\n\
             connect\n\
             fi\n\
             sleep 0.2\n\
             found=$(docker container inspect --format \"{{{{.State.Running}}}} {{{{.RestartCount}}}} $address\" {TRAEFIK})\n\
             case $found in 'true 0 '*) ;; *) docker container logs --tail 20 {TRAEFIK} >&2; exit {PROXY_FAILED} ;; esac\n\
             echo \"@address ${{found#true 0 }}\"\n",
            network = create_network(),
            run = self.secret.run(&self.run_line(), &env_file),
            written = quote(&env_file),
            leave = remove_left(),
        ));
        Script::new(text).with_input(self.secret.input())
    }

    /// The `docker run` line.
    pub fn run_line(&self) -> Line {
        self.container(&["run", "--detach"], TRAEFIK)
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
        line = line.words(["--volume", "/var/run/docker.sock:/var/run/docker.sock"]);
        line = self.secret.words(line, &self.env_file());
        line = clear_words(line, &self.traefik.env.clear_pairs());
        line = logging_words(line, &self.logging);
        for (key, value) in overlay(&default_labels(), &self.traefik.labels) {
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

/// Puts a new Traefik with the configuration as it is now in the place of the one that runs. It is made before the
/// old one stops, and if it doesn't come up, the old one is put back.
#[derive(Debug, Clone, PartialEq)]
pub struct Replace {
    /// The new one.
    pub ensure: Ensure,
}

/// How long requests that are under way get when Traefik stops, in seconds: longer than its own `graceTimeOut`.
const STOP_WAIT_S: u32 = 30;

impl Replace {
    /// Prints `@address` of the new one.
    pub fn script(&self) -> Script {
        let ensure = &self.ensure;
        let env_file = ensure.env_file();
        let create = ensure.secret.run(&ensure.container(&["create"], NEXT), &env_file);
        let mut text = ensure.scope.fence();
        text.push_str(&ensure.write_env_file());
        text.push_str(&create_network());
        text.push_str(&ensure.scope.audit(None, "Rebooted traefik"));
        text.push_str(&format!(
            "docker container inspect {TRAEFIK} >/dev/null 2>&1 || docker container rename {OLD} {TRAEFIK} 2>/dev/null\n\
             docker container rm --force {NEXT} {OLD} >/dev/null 2>&1\n\
             {create} >/dev/null || exit {PROXY_FAILED}\n\
             {free}mv {written} {ENV_FILE} || exit {PROXY_FAILED}\n\
             if docker container inspect {TRAEFIK} >/dev/null 2>&1; then\n\
             docker container stop --time {STOP_WAIT_S} {TRAEFIK} >/dev/null && docker container rename {TRAEFIK} {OLD} || exit {PROXY_FAILED}\n\
             fi\n\
             back() {{\n\
             docker container logs --tail 20 {TRAEFIK} >&2\n\
             if docker container inspect {OLD} >/dev/null 2>&1; then\n\
             docker container rm --force {TRAEFIK} {NEXT} >/dev/null 2>&1\n\
             docker container rename {OLD} {TRAEFIK} && docker container start {TRAEFIK} >/dev/null && echo 'the old one was started again' >&2\n\
             fi\n\
             exit {PROXY_FAILED}\n\
             }}\n\
             docker container rename {NEXT} {TRAEFIK} && docker container start {TRAEFIK} >/dev/null || back\n\
             sleep 0.5\n\
             found=$(docker container inspect --format '{{{{.State.Running}}}} {{{{.RestartCount}}}} {{{{with index .NetworkSettings.Networks \"{NETWORK}\"}}}}{{{{.IPAddress}}}}{{{{end}}}}' {TRAEFIK})\n\
             case $found in 'true 0 '*) ;; *) back ;; esac\n\
             docker container rm {OLD} >/dev/null 2>&1\n\
             echo \"@address ${{found#true 0 }}\"\n",
            written = quote(&env_file),
            free = published::free_or(NEXT, TRAEFIK, &format!("docker container rm {NEXT} >/dev/null")),
        ));
        Script::new(text).with_input(ensure.secret.input())
    }
}

/// Starts or stops the Traefik that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Power {
    /// The run.
    pub scope: Scope,
    /// What is done to it.
    pub action: Action,
}

/// What is done to a Traefik that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start it.
    Start,
    /// Stop it; requests under way are answered first.
    Stop,
    /// The one, then the other.
    Restart,
}

impl Power {
    /// The script.
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence();
        let start = format!("docker container start {TRAEFIK} >/dev/null || exit {PROXY_FAILED}\n");
        let stop = format!(
            "docker container stop --time {STOP_WAIT_S} {TRAEFIK} >/dev/null || exit {PROXY_FAILED}\n"
        );
        match self.action {
            Action::Start => text.push_str(&start),
            Action::Stop => text.push_str(&stop),
            Action::Restart => text.push_str(&format!("{stop}{start}")),
        }
        let done = match self.action {
            Action::Start => "Started traefik",
            Action::Stop => "Stopped traefik",
            Action::Restart => "Restarted traefik",
        };
        text.push_str(&self.scope.audit(None, done));
        Script::new(text)
    }

    /// In a word.
    pub fn verb(&self) -> &'static str {
        match self.action {
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Restart => "restart",
        }
    }
}

/// The new Traefik until the old one has stopped, and the old one until the new one runs.
const NEXT: &str = "traefik_next";
const OLD: &str = "traefik_replaced";

/// A shell line that removes what a reboot that was killed left beside Traefik. What runs isn't that.
pub(super) fn remove_left() -> String {
    format!("docker container rm {NEXT} {OLD} >/dev/null 2>&1")
}

/// How a Traefik that is there differs from the configuration, in words; `None` if it doesn't.
pub fn difference(traefik: &Traefik, container: &Container) -> Option<String> {
    if container.image != traefik.image {
        return Some(format!("it runs {}, not {}", container.image, traefik.image));
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

/// The catch-all route: requests that no app takes are answered by Traefik itself.
fn default_labels() -> Pairs {
    [
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

/// Pairs with others over them: a known name keeps its place and gets the other value.
pub fn overlay(base: &Pairs, over: &Pairs) -> Pairs {
    let mut pairs = base.clone();
    for (key, value) in over {
        match pairs.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => old.clone_from(value),
            None => pairs.push((key.clone(), value.clone())),
        }
    }
    pairs
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

/// The labels that route requests to a role's containers; `name` names router, service and middleware.
pub fn route_labels(name: &str) -> Pairs {
    [
        (format!("traefik.http.services.{name}.loadbalancer.server.scheme"), "http".to_string()),
        (format!("traefik.http.routers.{name}.rule"), "PathPrefix(`/`)".to_string()),
        (format!("traefik.http.routers.{name}.priority"), "2".to_string()),
        (format!("traefik.http.middlewares.{name}-retry.retry.attempts"), "5".to_string()),
        (format!("traefik.http.middlewares.{name}-retry.retry.initialinterval"), "500ms".to_string()),
        (format!("traefik.http.routers.{name}.middlewares"), format!("{name}-retry@docker")),
    ]
    .into()
}

/// Gives every router, service and middleware that these labels name another name, and keeps their references
/// to each other. See [`conflict`].
pub fn rename(labels: &Pairs, suffix: &str) -> Pairs {
    let named: Vec<&str> = labels.iter().filter_map(|(key, _)| element(key).map(|(_, name)| name)).collect();
    let reference = |word: &str| {
        let (name, provider) = word.split_once('@').map_or((word, ""), |(name, _)| (name, "@docker"));
        if named.contains(&name) { format!("{name}{suffix}{provider}") } else { word.to_string() }
    };
    labels
        .iter()
        .map(|(key, value)| {
            let Some((kind, name)) = element(key) else { return (key.clone(), value.clone()) };
            let rest = &key[kind.len() + name.len() + 1..];
            let value = if rest == ".middlewares" || rest == ".service" {
                value.split(',').map(|word| reference(word.trim())).collect::<Vec<_>>().join(",")
            } else {
                value.clone()
            };
            (format!("{kind}.{name}{suffix}{rest}"), value)
        })
        .collect()
}

/// The kind (`traefik.http.routers`) and name of what a label configures.
fn element(key: &str) -> Option<(&str, &str)> {
    let kind = ["traefik.http.routers", "traefik.http.services", "traefik.http.middlewares"]
        .into_iter()
        .find(|kind| {
            key.len() > kind.len()
                && key.as_bytes()[kind.len()] == b'.'
                && key[..kind.len()].eq_ignore_ascii_case(kind)
        })?;
    let name = key[kind.len() + 1..].split('.').next()?;
    Some((&key[..kind.len()], name))
}

/// What a running container's labels configure too, and differently: its kind and name. Traefik then drops both, and
/// nothing answers while the old and the new container overlap.
pub fn conflict<'n>(new: &'n Pairs, running: &BTreeMap<String, String>) -> Option<(&'n str, &'n str)> {
    let of = |found: (&str, &str)| -> (BTreeMap<&str, &str>, BTreeMap<&str, &str>) {
        let pairs = new.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let theirs = running.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let about = |(key, _): &(&str, &str)| element(key) == Some(found);
        (pairs.filter(about).collect(), theirs.filter(about).collect())
    };
    new.iter().filter_map(|(key, _)| element(key)).find(|found| {
        let (ours, theirs) = of(*found);
        !theirs.is_empty() && ours != theirs
    })
}

/// The routers that labels configure: name, and rule with priority.
pub fn routes(labels: &Pairs) -> Vec<(String, (String, String))> {
    let value = |wanted: &str| labels.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
    let rules = labels.iter().filter_map(|(key, rule)| {
        let (kind, name) = element(key)?;
        let is_rule =
            kind.ends_with("routers") && key[kind.len() + name.len() + 1..].eq_ignore_ascii_case(".rule");
        let priority = value(&format!("{kind}.{name}.priority")).map_or("", |(_, priority)| priority);
        is_rule.then(|| (name.to_string(), (rule.clone(), priority.to_string())))
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_conflict_only_where_they_share_a_name() {
        let labels = route_labels("app-web");
        let running: BTreeMap<String, String> = labels.iter().cloned().collect();
        assert_eq!(conflict(&labels, &running), None);
        let mut changed = labels.clone();
        changed[1].1 = "Host(`a.example`)".into();
        assert_eq!(conflict(&changed, &running), Some(("traefik.http.routers", "app-web")));
        assert_eq!(conflict(&rename(&changed, "-b"), &running), None);
        let mut added = labels.clone();
        added.push(("traefik.http.routers.app-web.tls".into(), "true".into()));
        assert!(conflict(&added, &running).is_some());
    }

    #[test]
    fn renamed_labels_still_refer_to_each_other() {
        let mut labels = route_labels("app-web");
        labels.push(("other".into(), "app-web".into()));
        let renamed = rename(&labels, "-b");
        assert_eq!(renamed[0].0, "traefik.http.services.app-web-b.loadbalancer.server.scheme");
        assert_eq!(
            renamed[5],
            ("traefik.http.routers.app-web-b.middlewares".into(), "app-web-retry-b@docker".into())
        );
        assert_eq!(renamed[6], ("other".into(), "app-web".into()));
    }

    #[test]
    fn a_running_proxy_says_whether_its_api_answers() {
        let arguments = |list: &[&str]| list.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        assert!(has_api(&arguments(&["--providers.docker", "--api.insecure=true"])));
        assert!(!has_api(&arguments(&["--providers.docker", "--log.level=DEBUG"])));
        assert!(!has_api(&arguments(&["--api.insecure=true", "--entryPoints.traefik.address=:9000"])));
    }
}
