//! The state of a server, as reported by [`crate::commands::observe`].
//!
//! Output of a server isn't trusted: a malformed line is an error that quotes it, and the last line must be there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::commands::answer::Unreadable;
use crate::commands::app::stop_limit;
use crate::commands::policy;
use crate::names::{NETWORK, Names};
use crate::proxy::kamal::{self, Listed, Service};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// The Docker Engine's version.
    pub docker: String,
    /// All containers of the service, with every role and destination, newest first.
    pub containers: Vec<Container>,
    /// The tags of the app's repository: `REPO:TAG` to image id.
    pub images: BTreeMap<String, String>,
    /// Running containers of other services that have Kamal's labels.
    pub others: Vec<Other>,
    pub proxies: Vec<Container>,
    /// kamal-proxy's services, if the query succeeded.
    pub services: Option<Listed>,
    /// The id of the kamal-proxy container that was upgraded in place, and the version that it was upgraded to.
    pub upgraded: Option<(String, String)>,
    pub network: bool,
    /// The versions that served here, oldest first. The last one serves now. A rollback removes the versions that
    /// followed the one it went back to.
    pub served: Vec<String>,
    /// Roles in maintenance.
    pub maintenance: Vec<String>,
    /// The details of the lock on this server, if there is one.
    pub lock: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Other {
    /// Without the leading `/`.
    #[serde(deserialize_with = "name")]
    pub name: String,
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Container {
    pub id: String,
    /// Without the leading `/`.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// When it was created (RFC 3339, so it sorts as text).
    pub created: String,
    /// The name of its image when it was created.
    pub image: String,
    pub image_id: String,
    /// `created`, `running`, `restarting`, `exited`, …
    pub status: String,
    /// `starting`, `healthy` or `unhealthy`. `None` without a health check.
    pub health: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub mounts: Vec<Mount>,
    pub healthcheck: Option<HealthConfig>,
    #[serde(deserialize_with = "or_default")]
    pub networks: BTreeMap<String, Endpoint>,
    /// `docker run --stop-timeout`, if given.
    #[serde(default)]
    pub stop_timeout: Option<i64>,
    /// The restart policy, as in `docker run --restart`.
    #[serde(default, deserialize_with = "or_default")]
    pub restart: String,
    #[serde(deserialize_with = "or_default")]
    pub args: Vec<String>,
    /// The server's ports that it was created to publish, by its own (`80/tcp`).
    #[serde(default, deserialize_with = "or_default")]
    pub ports: BTreeMap<String, Option<Vec<Binding>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Binding {
    pub host_port: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// The directory on the server.
    pub source: String,
    /// The directory in the container.
    pub destination: String,
}

/// A container's health check as Docker reports it. Times are in nanoseconds, and 0 means Docker's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthConfig {
    /// For example `["CMD-SHELL", "…"]`.
    #[serde(deserialize_with = "or_default")]
    pub test: Vec<String>,
    pub interval: u64,
    pub timeout: u64,
    /// How many failures in a row make it unhealthy.
    pub retries: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Endpoint {
    /// Empty while the container doesn't run.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

fn name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(name.strip_prefix('/').map(Into::into).unwrap_or(name))
}

/// How many versions to remember. The script prints no more than these.
const SERVED: usize = 100;
/// The longest time to wait for a container to become unhealthy, in seconds.
const LONGEST_CHECK: u64 = 3600;

impl Observed {
    /// Reads the answer of the script in [`crate::commands::observe`].
    pub fn parse(answer: &str) -> Result<Self, Unreadable> {
        let mut observed = Self::default();
        let mut ended = false;
        for line in answer.lines() {
            let (tag, rest) = line.split_once(' ').unwrap_or((line, ""));
            match tag {
                "@docker" => observed.docker = rest.into(),
                "@container" => observed.containers.push(object(line, rest)?),
                "@other" => observed.others.push(object(line, rest)?),
                "@proxy" => observed.proxies.push(object(line, rest)?),
                "@services" => observed.services = answer.parse().ok(),
                "@upgraded" => {
                    observed.upgraded = rest.split_once(' ').map(|(id, version)| (id.into(), version.into()));
                }
                "@maintenance" => observed.maintenance.push(rest.into()),
                "@network" => observed.network = true,
                "@image" => {
                    if let Some((id, image)) = rest.split_once(' ') {
                        observed.images.insert(image.into(), id.into());
                    }
                }
                "@served" => serve(&mut observed.served, rest),
                "@lock" => observed.lock = Some(base64_text(rest)),
                "@end" => ended = true,
                _ => {}
            }
        }
        observed.containers.sort_by(|a, b| b.created.cmp(&a.created));
        if ended { Ok(observed) } else { Err(Unreadable::CutShort) }
    }

    pub fn proxy(&self, name: &str) -> Option<&Container> {
        self.proxies.iter().find(|proxy| proxy.name == name)
    }

    /// Docker's major version, or 0 if unknown.
    pub fn docker_major(&self) -> u32 {
        self.docker.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }

    /// The containers of a role of this app, newest first.
    pub fn of_role<'a>(&'a self, names: &'a Names, role: &'a str) -> impl Iterator<Item = &'a Container> {
        let destination = names.destination().unwrap_or("");
        self.containers.iter().filter(move |container| {
            let label = |key: &str| container.labels.get(key).map_or("", String::as_str);
            label("service") == names.service()
                && label("role") == role
                && label("destination") == destination
        })
    }

    /// The container that serves a role: the one that gets kamal-proxy's requests, or else the newest running one with the
    /// latest image, or else the newest running one. A deploy tags an image as the latest only after it has switched.
    pub fn current<'a>(&'a self, names: &'a Names, role: &'a str, latest: &str) -> Option<&'a Container> {
        let (latest, service) = (self.images.get(latest), self.service(names, role));
        let running = || self.of_role(names, role).filter(|container| container.is_running());
        running()
            .find(|container| service.is_some_and(|service| service.is_served_by(&container.id)))
            .or_else(|| running().find(|container| Some(&container.image_id) == latest))
            .or_else(|| running().next())
    }

    /// The service of a role in a kamal-proxy that gets requests.
    pub(crate) fn service(&self, names: &Names, role: &str) -> Option<&Service> {
        let waits = self.proxy(kamal::NAME).is_some_and(Container::waits);
        self.services.as_ref().filter(|_| !waits)?.service(&names.prefix(role))
    }
}

fn serve(served: &mut Vec<String>, entry: &str) {
    let (kind, version) = entry.split_once(' ').unwrap_or(("deploy", entry));
    if kind == "rollback"
        && let Some(at) = served.iter().rposition(|known| known == version)
    {
        served.truncate(at);
    }
    served.retain(|known| known != version);
    if served.len() == SERVED {
        served.remove(0);
    }
    served.push(version.into());
}

fn object<T: for<'de> Deserialize<'de>>(line: &str, json: &str) -> Result<T, Unreadable> {
    serde_json::from_str(json).map_err(|error| Unreadable::line(line, error))
}

/// Decodes base64 that a server printed. Returns text that isn't valid base64 unchanged.
pub fn base64_text(text: &str) -> String {
    match BASE64_STANDARD.decode(text.trim()) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => text.into(),
    }
}

/// Removes `_replaced_…` from the version in a container's name.
pub fn plain_version(version: &str) -> &str {
    version.split("_replaced_").next().unwrap_or(version)
}

impl Container {
    /// Whether its program runs, is restarting or is paused.
    pub fn is_running(&self) -> bool {
        matches!(self.status.as_str(), "running" | "restarting" | "paused")
    }

    pub fn published(&self) -> impl Iterator<Item = u16> {
        self.ports.values().flatten().flatten().filter_map(|binding| binding.host_port.parse().ok())
    }

    /// Whether Bowline booted it. Otherwise Kamal did.
    pub fn is_of_bowline(&self) -> bool {
        self.labels.contains_key(crate::commands::app::MADE_LABEL)
    }

    /// Whether it is a proxy that waits for the ports of another one.
    pub fn waits(&self) -> bool {
        self.labels.contains_key(crate::proxy::takeover::WAITS)
    }

    /// The version it was booted with, from its name, without `_replaced_…`.
    pub fn version<'a>(&'a self, names: &Names, role: &str) -> &'a str {
        plain_version(names.version_of(role, &self.name).unwrap_or(&self.name))
    }

    /// Its address on the network of all apps, otherwise on any network.
    pub fn address(&self) -> Option<IpAddr> {
        let of = |endpoint: &Endpoint| endpoint.ip_address.parse().ok();
        self.networks.get(NETWORK).and_then(of).or_else(|| self.networks.values().find_map(of))
    }

    /// Its address on the network where its proxy reaches it. If it isn't in that network, all its addresses.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let of = |endpoint: &Endpoint| endpoint.ip_address.parse().ok();
        let network = crate::proxy::network(&self.labels);
        match self.networks.get(&network).and_then(of) {
            Some(address) => vec![address],
            None => self.networks.values().filter_map(of).collect(),
        }
    }

    /// The directory of its cord on the server, at any path: the mount that its health check uses.
    pub fn cord(&self) -> Option<&str> {
        let command = self.healthcheck.as_ref()?.test.last()?;
        self.mounts
            .iter()
            .find(|mount| {
                crate::proxy::cord::is_cord(&mount.source)
                    && crate::proxy::cord::asks_for(command, &mount.destination)
            })
            .map(|mount| mount.source.as_str())
    }

    /// How long Docker waits for it to stop, in seconds, if it was created with its own limit.
    pub fn stop_timeout(&self) -> Option<u64> {
        self.stop_timeout.map(stop_limit)
    }

    /// The restart policy that stopping this container takes from it, if any. Once it is stopped, this is unknown.
    pub fn policy_before_stop(&self) -> Option<&String> {
        Some(&self.restart).filter(|policy| self.is_running() && policy::is_changed_by_stop(policy))
    }

    /// The mount of its asset volume, whether Bowline or Kamal created it.
    pub fn asset_volume(&self) -> Option<&Mount> {
        self.mounts.iter().find(|mount| crate::commands::assets::is_volume(&mount.source))
    }

    /// Seconds within which a container becomes unhealthy if all checks fail from now on: one check may be in progress,
    /// then each retry waits for its interval and takes up to its timeout. At most an hour.
    pub fn unhealthy_within(&self) -> u64 {
        let seconds = |nanoseconds: u64, default: u64| match nanoseconds {
            0 => default,
            nanoseconds => nanoseconds.div_ceil(1_000_000_000),
        };
        let check = self.healthcheck.clone().unwrap_or_default();
        let retries = if check.retries == 0 { 3 } else { u64::from(check.retries) };
        let once = seconds(check.interval, 30).saturating_add(seconds(check.timeout, 30));
        once.saturating_mul(retries + 1).saturating_add(5).min(LONGEST_CHECK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"@docker 26.1.5
@container {"id":"aaa","name":"/app-web-1","created":"2026-01-01T00:00:00Z","image":"r/app:1","image_id":"sha256:1","status":"running","health":"healthy","labels":{"service":"app","role":"web","destination":""},"mounts":[{"Type":"bind","Source":"/root/.kamal/cords/app-web-f0","Destination":"/tmp/kamal-cord"}],"healthcheck":{"Test":["CMD-SHELL","(true) && (stat /tmp/kamal-cord/cord > /dev/null || exit 1)"],"Interval":1000000000},"networks":{"kamal":{"IPAddress":"172.18.0.3"}},"args":[]}
@container {"id":"bbb","name":"/app-web-2_replaced_00","created":"2026-01-02T00:00:00Z","image":"r/app:2","image_id":"sha256:2","status":"running","health":null,"labels":{"service":"app","role":"web","destination":""},"mounts":null,"healthcheck":null,"networks":null,"args":null}
@container {"id":"ccc","name":"/app-web-staging-2","created":"2026-01-03T00:00:00Z","image":"r/app:2","image_id":"sha256:2","status":"running","health":null,"labels":{"service":"app","role":"web","destination":"staging"},"mounts":null,"healthcheck":null,"networks":null,"args":null}
@other {"name":"/shop-web-1","labels":{"service":"shop","role":"web"}}
@network kamal
@image sha256:1 r/app:latest
@lock TG9ja2VkIGJ5OiBhCg==
@end
"#;

    #[test]
    fn an_answer_is_read() {
        let observed = Observed::parse(ANSWER).unwrap();
        let names = Names::new("app", None);
        assert_eq!(observed.docker_major(), 26);
        assert!(observed.network && observed.proxies.is_empty());
        assert_eq!(
            (observed.others[0].name.as_str(), &*observed.others[0].labels["service"]),
            ("shop-web-1", "shop")
        );
        assert_eq!(observed.lock.as_deref(), Some("Locked by: a\n"));
        let of_role: Vec<&str> = observed.of_role(&names, "web").map(|c| c.name.as_str()).collect();
        assert_eq!(of_role, ["app-web-2_replaced_00", "app-web-1"]);
        assert_eq!(observed.containers[1].version(&names, "web"), "2");
    }

    #[test]
    fn the_container_of_the_latest_image_is_current_before_the_newest() {
        let mut observed = Observed::parse(ANSWER).unwrap();
        let names = Names::new("app", None);
        assert_eq!(observed.current(&names, "web", "r/app:latest").unwrap().id, "aaa");
        observed.images.clear();
        assert_eq!(observed.current(&names, "web", "r/app:latest").unwrap().id, "bbb");
    }

    #[test]
    fn the_container_that_gets_the_proxys_requests_is_current_before_the_one_of_the_latest_image() {
        let routed = |proxy: &str| {
            let route = "@service app-web  *  /  bbb:3000  running  no\n@end";
            Observed::parse(&ANSWER.replace("@end", &format!("{proxy}{route}"))).unwrap()
        };
        let names = Names::new("app", None);
        let current = |observed: &Observed| {
            observed.current(&names, "web", "r/app:latest").map(|container| container.id.clone())
        };
        assert_eq!(current(&routed("@services\n")).as_deref(), Some("bbb"));
        let mut waits = routed("@services\n");
        let labels = BTreeMap::from([(crate::proxy::takeover::WAITS.into(), "1".into())]);
        waits.proxies.push(Container { name: kamal::NAME.into(), labels, ..Container::default() });
        assert_eq!(current(&waits).as_deref(), Some("aaa"), "another proxy still has the ports");
    }

    #[test]
    fn a_cord_is_found_by_its_mount() {
        let observed = Observed::parse(ANSWER).unwrap();
        assert_eq!(observed.containers[2].cord(), Some("/root/.kamal/cords/app-web-f0"));
        assert_eq!(observed.containers[2].unhealthy_within(), 31 * 4 + 5);
        assert_eq!(observed.containers[0].cord(), None);
        let largest = HealthConfig {
            interval: u64::MAX,
            timeout: u64::MAX,
            retries: u32::MAX,
            ..HealthConfig::default()
        };
        let container = Container { healthcheck: Some(largest), ..Container::default() };
        assert_eq!(container.unhealthy_within(), 3600);
    }

    #[test]
    fn a_rollback_takes_away_what_came_after() {
        let answer = "@served deploy 1\n@served deploy 2\n@served deploy 3\n@served rollback 2\n@end\n";
        assert_eq!(Observed::parse(answer).unwrap().served, ["1", "2"]);
        let answer = "@served deploy 1\n@served deploy 2\n@served deploy 1\n@end\n";
        assert_eq!(Observed::parse(answer).unwrap().served, ["2", "1"]);
        let many: String = (0..10_000).map(|version| format!("@served deploy {version}\n")).collect();
        let served = Observed::parse(&(many + "@end\n")).unwrap().served;
        assert_eq!((served.len(), served.last().map(String::as_str)), (100, Some("9999")));
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        assert_eq!(Observed::parse("@docker 26\n"), Err(Unreadable::CutShort));
        assert!(matches!(Observed::parse("@container {\n@end"), Err(Unreadable::Line { .. })));
    }
}
