//! The model of one server.

use std::collections::{BTreeMap, BTreeSet};

use bowline_core::commands::{Scope, app, doctor::Checkup, observe::Observe, remove::What};
use bowline_core::names::Names;
use bowline_core::proxy::{kamal, traefik};
use serde_json::json;
use tokio::time::Instant;

use super::traefik::FakePage;

/// Containers beside the app by name, and whether they run.
pub(crate) type Present = BTreeMap<String, bool>;

/// What a version's container does when it is booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Becomes healthy after so many milliseconds.
    Healthy(u64),
    /// Ends with this code at once, again and again.
    Exits(i64),
    /// Never gets healthy.
    NeverHealthy,
    /// Docker takes so many seconds to make it, whoever waits for that; then it is healthy at once.
    Late(u64),
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakeContainer {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The run that made it.
    pub run: String,
    /// Its role.
    pub role: String,
    /// Its destination label.
    pub destination: String,
    /// The image it was made from.
    pub image: String,
    /// That image's id.
    pub image_id: String,
    /// Whether it runs.
    pub running: bool,
    /// How often Docker started it again after it had ended.
    pub restarts: u32,
    /// Its restart policy.
    pub policy: String,
    /// Whether it was stopped by hand.
    pub stopped: bool,
    /// Whether it runs again once it was started again: not if it can't.
    pub returns: bool,
    /// Its health, if it has a check.
    pub healthy: Option<bool>,
    /// Whether the proxy may route to it.
    pub routed: bool,
    /// Its cord's directory.
    pub cord: Option<String>,
    /// Its asset volume's directory.
    pub assets: Option<String>,
    /// The last octet of its address.
    pub address: u8,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The name by which kamal-proxy would know its role.
    pub service: String,
}

/// The lock's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakeLock {
    /// The owner file; none in a lock that a person or Kamal made.
    pub owner: Option<String>,
    /// Whether the keeper marked it.
    pub orphaned: bool,
    /// The details.
    pub details: String,
}

/// A server.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// Its containers, oldest first.
    pub containers: Vec<FakeContainer>,
    /// Images that were pulled.
    pub images: BTreeSet<String>,
    /// How often the registry got what is pulled under a name anew.
    pub builds: BTreeMap<String, usize>,
    /// Which of these is here.
    pub pulled: BTreeMap<String, usize>,
    /// What `REPO:latest` is.
    pub latest: BTreeMap<String, String>,
    /// What it says when it is examined, but for what Docker has.
    pub checkup: Checkup,
    /// The registry mirror that its Docker asks.
    pub mirror: String,
    /// The run it belongs to.
    pub mark: Option<String>,
    /// Cord directories that exist; whether the file is in them.
    pub cords: BTreeMap<String, bool>,
    /// Asset volumes that exist; the versions whose assets are in them.
    pub volumes: BTreeMap<String, BTreeSet<String>>,
    /// The lock.
    pub lock: Option<FakeLock>,
    /// When its lease was renewed, if it has one.
    pub lease: Option<Instant>,
    /// How often its connections were cut.
    pub cuts: usize,
    /// Its Docker.
    pub docker: super::docker::FakeDocker,
    /// The proxies' containers.
    pub proxies: Present,
    /// Those of them that have no ports.
    pub waits: BTreeSet<String>,
    /// What other apps have behind the proxy.
    pub neighbours: Vec<String>,
    /// The services of kamal-proxy: the container that gets the requests of each.
    pub services: BTreeMap<String, String>,
    /// Services that answer with a page.
    pub paused: BTreeSet<String>,
    /// The program of kamal-proxy's container.
    pub program: super::kamal::FakeProgram,
    /// What becomes of its upgrade.
    pub takes: super::kamal::Upgrades,
    /// Whether Traefik hears nothing from Docker.
    pub deaf: bool,
    /// Whether the next Traefik that is made won't.
    pub next_is_deaf: bool,
    /// Whether Traefik was booted without its API.
    pub no_api: bool,
    /// Routers that Traefik refuses, and why.
    pub refused: BTreeMap<String, String>,
    /// Accessories' containers.
    pub accessories: Present,
    /// The routes of accessories that run, by service.
    pub accessory_routes: super::traefik::Routes,
    /// Maintenance pages.
    pub pages: Vec<FakePage>,
    /// Accessories' files by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The history file.
    pub history: Vec<String>,
    /// Moments in which a client could have lost a request, in words.
    pub losses: Vec<String>,
    /// Everything that changed something, in order.
    pub changes: Vec<String>,
    /// What happened to commands whose bytes pass, in order.
    pub attached: Vec<String>,
    /// Boots that nobody waits for any more: container and hostname.
    pub given_up: BTreeSet<(String, String)>,
    /// Until when its Docker doesn't answer.
    pub down_until: Option<Instant>,
    /// How often such a command was asked for a piece.
    pub pieces: usize,
    pub(super) next: u8,
}

impl Machine {
    /// The containers that run, by name.
    pub(crate) fn running(&self) -> Vec<&str> {
        self.containers.iter().filter(|c| c.running).map(|c| c.name.as_str()).collect()
    }

    /// The versions that requests go to, for a role.
    pub(crate) fn serving(&self, role: &str) -> Vec<&str> {
        let serves = |c: &&FakeContainer| {
            c.role == role && c.running && c.healthy != Some(false) && self.is_reached(c)
        };
        self.containers.iter().filter(serves).map(|c| c.image.as_str()).collect()
    }

    pub(super) fn find(&mut self, id: &str) -> Option<&mut FakeContainer> {
        self.containers.iter_mut().find(|container| container.id == id)
    }

    /// Renames a container of this name.
    pub(super) fn rename_clashing(&mut self, boot: &app::Boot) {
        let name = boot.container();
        if let Some(old) = self.containers.iter_mut().find(|container| container.name == name) {
            old.name = boot.scope.names.replaced(&boot.role, &boot.version, boot.scope.token());
            self.changes.push(format!("rename {name}"));
        }
    }

    /// Makes a container; gives its id.
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

    /// Stops a container. One that requests still go to loses them.
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

    /// The roles that are served.
    pub(super) fn served(&self) -> BTreeSet<String> {
        let roles = self.containers.iter().map(|c| c.role.clone());
        roles.filter(|role| !self.serving(role).is_empty()).collect()
    }

    /// A role that served once, and did just before, must be served by somebody.
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

    /// The id of an image: another one after each build of the same version.
    pub(super) fn image_id(&self, image: &str) -> String {
        format!("id{}:{image}", self.pulled.get(image).copied().unwrap_or_default())
    }

    /// The answer of the observing script.
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
        text.push_str("@end\n");
        text
    }
}

impl FakeContainer {
    /// As Docker names it.
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
        "status": container.status(), "exit_code": 0, "health": health,
        "finished": "", "labels": labels, "mounts": mounts, "stop_timeout": null,
        "healthcheck": {"Test": ["CMD-SHELL", "(true) && (stat /tmp/kamal-cord/cord > /dev/null || exit 1)"], "Interval": 1_000_000_000},
        "networks": {"kamal": {"IPAddress": format!("172.18.0.{}", container.address)}}, "args": [],
    })
}
