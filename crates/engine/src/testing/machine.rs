//! The model of one server.

use std::collections::{BTreeMap, BTreeSet};

use bowline_core::commands::{Scope, app, doctor::Checkup, observe::Observe, remove::What};
use bowline_core::names::Names;
use bowline_core::proxy::{kamal, traefik};
use serde_json::json;
use tokio::time::Instant;

use super::traefik::FakePage;

/// Containers other than the app's, by name, and whether they run.
pub(crate) type Present = BTreeMap<String, bool>;

/// The behaviour of a version's container when it is booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// It becomes healthy after this many milliseconds.
    Healthy(u64),
    /// It exits with this code at once, again and again.
    Exits(i64),
    NeverHealthy,
    /// Docker takes this many seconds to create it, even if no step waits for it. Then it is healthy at once.
    Late(u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakeContainer {
    pub id: String,
    pub name: String,
    pub run: String,
    pub role: String,
    pub destination: String,
    pub image: String,
    pub image_id: String,
    pub running: bool,
    /// How often Docker restarted it after it had ended.
    pub restarts: u32,
    pub policy: String,
    /// Whether it was stopped by a command.
    pub stopped: bool,
    /// Whether Docker can restart it.
    pub returns: bool,
    /// Its health, if it has a health check.
    pub healthy: Option<bool>,
    pub routed: bool,
    pub cord: Option<String>,
    pub assets: Option<String>,
    /// The last octet of its address.
    pub address: u8,
    pub labels: BTreeMap<String, String>,
    /// The name of its role's service in kamal-proxy.
    pub service: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakeLock {
    /// The owner file; `None` if a person or Kamal created the lock.
    pub owner: Option<String>,
    pub orphaned: bool,
    pub details: String,
}

#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// The app's containers, oldest first.
    pub containers: Vec<FakeContainer>,
    pub images: BTreeSet<String>,
    /// How often each image name was built again in the registry.
    pub builds: BTreeMap<String, usize>,
    /// The build of each image that was pulled.
    pub pulled: BTreeMap<String, usize>,
    /// The image that `REPO:latest` points to, by repository.
    pub latest: BTreeMap<String, String>,
    /// The answer to an examination, without Docker's part.
    pub checkup: Checkup,
    pub mirror: String,
    pub mark: Option<String>,
    /// The family of the run whose lock was released by hand, and who did it.
    pub released: Option<(String, String)>,
    /// The cord directories, and whether each contains the file.
    pub cords: BTreeMap<String, bool>,
    /// The asset volumes, and the versions whose assets each contains.
    pub volumes: BTreeMap<String, BTreeSet<String>>,
    pub lock: Option<FakeLock>,
    /// When the lock's lease was last renewed.
    pub lease: Option<Instant>,
    pub cuts: usize,
    pub docker: super::docker::FakeDocker,
    pub proxies: Present,
    /// The restart policies of proxies that stopping takes from them.
    pub policies: BTreeMap<String, String>,
    /// The proxies that have no ports.
    pub waits: BTreeSet<String>,
    /// Services of other apps behind the proxy.
    pub neighbours: Vec<String>,
    /// The services of kamal-proxy, and the id of the container that gets each one's requests.
    pub services: BTreeMap<String, String>,
    /// Services in maintenance mode.
    pub paused: BTreeSet<String>,
    pub program: super::kamal::FakeProgram,
    /// The result of upgrading kamal-proxy in its container.
    pub takes: super::kamal::Upgrades,
    /// Whether Traefik gets nothing from Docker.
    pub deaf: bool,
    /// Whether the next Traefik that is created will get nothing from Docker.
    pub next_is_deaf: bool,
    pub no_api: bool,
    /// The paths that Traefik's API was asked for, in order.
    pub asked: Vec<String>,
    /// Routers that Traefik rejects, and why.
    pub refused: BTreeMap<String, String>,
    pub accessories: Present,
    /// The routes of running accessories, by service.
    pub accessory_routes: super::traefik::Routes,
    pub pages: Vec<FakePage>,
    pub files: BTreeMap<String, Vec<u8>>,
    pub history: Vec<String>,
    /// Descriptions of the moments in which a client could have lost a request.
    pub losses: Vec<String>,
    /// All changes, in order.
    pub changes: Vec<String>,
    /// Events of attached commands, in order.
    pub attached: Vec<String>,
    /// Abandoned boots: container name and hostname.
    pub given_up: BTreeSet<(String, String)>,
    pub down_until: Option<Instant>,
    /// How many pieces of output were requested from attached commands.
    pub pieces: usize,
    pub(super) next: u8,
}

impl Machine {
    pub(crate) fn running(&self) -> Vec<&str> {
        self.containers.iter().filter(|c| c.running).map(|c| c.name.as_str()).collect()
    }

    /// The images of a role's containers that requests go to.
    pub(crate) fn serving(&self, role: &str) -> Vec<&str> {
        let serves = |c: &&FakeContainer| {
            c.role == role && c.running && c.healthy != Some(false) && self.is_reached(c)
        };
        self.containers.iter().filter(serves).map(|c| c.image.as_str()).collect()
    }

    pub(super) fn find(&mut self, id: &str) -> Option<&mut FakeContainer> {
        self.containers.iter_mut().find(|container| container.id == id)
    }

    /// Renames an existing container that has the new one's name.
    pub(super) fn rename_clashing(&mut self, boot: &app::Boot) {
        let name = boot.container();
        if let Some(old) = self.containers.iter_mut().find(|container| container.name == name) {
            old.name = boot.scope.names.replaced(&boot.role, &boot.version, boot.scope.token());
            self.changes.push(format!("rename {name}"));
        }
    }

    pub(super) fn create(&mut self, boot: &app::Boot) -> String {
        self.next += 1;
        let id = format!("id{:02}", self.next);
        let cord = boot.cord.as_ref().map(|_| boot.cord_directory());
        if let Some(cord) = &cord {
            self.cords.insert(cord.clone(), true);
        }
        self.changes.push(format!("run {}", boot.container()));
        let made = boot.made.expose().split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        self.containers.push(FakeContainer {
            id: id.clone(),
            name: boot.container(),
            run: boot.scope.run.clone(),
            role: boot.role.clone(),
            destination: boot.scope.names.destination().unwrap_or("").into(),
            image: boot.image.clone(),
            image_id: self.image_id(&boot.image),
            running: true,
            restarts: 0,
            stopped: false,
            returns: true,
            policy: super::spontaneous::policy(boot),
            healthy: boot.health.as_ref().map(|_| false),
            routed: boot.labels.iter().any(|(key, _)| key.starts_with("traefik.http.")),
            cord,
            assets: super::assets::mounted(boot),
            address: self.next + 1,
            labels: boot.labels.iter().cloned().chain(made).collect(),
            service: boot.scope.names.prefix(&boot.role),
        });
        id
    }

    /// Stops a container. Records a loss if requests still go to it.
    pub(super) fn stop(&mut self, id: &str) {
        let mut loss = None;
        let before = self.served();
        let targeted = self.goes_through(kamal::NAME) && self.services.values().any(|target| target == id);
        let by_labels = self.goes_through(traefik::NAME);
        if let Some(container) = self.find(id) {
            if container.running
                && (targeted || by_labels && container.routed && container.healthy == Some(true))
            {
                loss = Some(format!("{} was stopped while requests went to it", container.name));
            }
            container.running = false;
            container.stopped = true;
            let change = format!("stop {}", container.name);
            self.changes.push(change);
        }
        self.losses.extend(loss);
        self.check_served(&before);
    }

    pub(super) fn served(&self) -> BTreeSet<String> {
        let roles = self.containers.iter().map(|c| c.role.clone());
        roles.filter(|role| !self.serving(role).is_empty()).collect()
    }

    /// Records a loss if a role that was served before this change is no longer served.
    pub(super) fn check_served(&mut self, before: &BTreeSet<String>) {
        let ever = self.history.iter().any(|line| !line.is_empty());
        let now = self.served();
        let lost = before.difference(&now).filter(|_| ever);
        self.losses.extend(lost.map(|role| format!("nothing served {role} any more")));
    }

    pub(super) fn remove(&mut self, what: &What) {
        match what {
            What::Container { name, .. } => self.containers.retain(|c| c.name != *name || c.running),
            What::Containers(role) => self.containers.retain(|c| c.role != *role || c.running),
            What::Images { .. } => {
                self.images.clear();
                self.latest.clear();
            }
            What::Directory => {
                self.mark = None;
                self.history.clear();
            }
        }
        self.changes.push("remove".into());
    }

    pub(super) fn prune(&mut self, names: &Names, roles: &[String], retain: usize) {
        for role in roles {
            let stopped: Vec<String> = self
                .containers
                .iter()
                .rev()
                .filter(|c| {
                    c.role == *role && !c.running && c.destination == names.destination().unwrap_or("")
                })
                .map(|c| c.id.clone())
                .skip(retain)
                .collect();
            self.containers.retain(|container| !stopped.contains(&container.id));
        }
        let mounted: Vec<String> = self.containers.iter().filter_map(|c| c.cord.clone()).collect();
        self.cords.retain(|cord, _| mounted.contains(cord));
        self.changes.push("prune".into());
    }

    /// The id of an image, which differs after each build of the same version.
    pub(super) fn image_id(&self, image: &str) -> String {
        format!("id{}:{image}", self.pulled.get(image).copied().unwrap_or_default())
    }

    pub(super) fn observe(&mut self, step: &Observe) -> String {
        if step.claim {
            self.mark = Some(step.scope.run.clone());
        }
        let mut text = String::from("@docker 26.1.5\n");
        for (age, container) in self.containers.iter().enumerate() {
            text.push_str(&format!("@container {}\n", described(container, age, &step.scope)));
        }
        for page in &self.pages {
            text.push_str(&format!("@maintenance {}\n", page.role));
        }
        text.push_str(&self.observed_traefik());
        text.push_str(&self.observed_kamal());
        for image in &self.images {
            text.push_str(&format!("@image {} {image}\n", self.image_id(image)));
        }
        for (latest, image) in &self.latest {
            text.push_str(&format!("@image {} {latest}\n", self.image_id(image)));
        }
        for entry in &self.history {
            text.push_str(&format!("@served {entry}\n"));
        }
        // Text of one line that isn't base64 is read as it is.
        if let Some(lock) = &self.lock {
            text.push_str(&format!("@lock {}\n", lock.details.replace('\n', " ")));
        }
        text.push_str("@end\n");
        text
    }
}

impl FakeContainer {
    pub(super) fn status(&self) -> &'static str {
        match (self.running, self.stopped || !self.returns) {
            (true, _) => "running",
            (false, true) => "exited",
            (false, false) => "restarting",
        }
    }
}

fn described(container: &FakeContainer, age: usize, scope: &Scope) -> serde_json::Value {
    let mut labels = container.labels.clone();
    labels.insert("service".into(), scope.names.service().into());
    let health = container.healthy.map(|healthy| if healthy { "healthy" } else { "unhealthy" });
    let mount = |source: &String, at: &str| json!({"Source": source, "Destination": at});
    let cord = container.cord.iter().map(|cord| mount(cord, "/tmp/kamal-cord"));
    let mounts: Vec<_> = cord.chain(container.assets.iter().map(|assets| mount(assets, "/assets"))).collect();
    json!({
        "id": container.id, "name": format!("/{}", container.name), "created": format!("2026-01-01T00:00:{age:02}Z"),
        "image": container.image, "image_id": container.image_id,
        "status": container.status(), "health": health,
        "labels": labels, "mounts": mounts, "stop_timeout": null, "restart": container.policy,
        "healthcheck": {"Test": ["CMD-SHELL", "(true) && (stat /tmp/kamal-cord/cord > /dev/null || exit 1)"], "Interval": 1_000_000_000},
        "networks": {"kamal": {"IPAddress": format!("172.18.0.{}", container.address)}}, "args": [],
    })
}
