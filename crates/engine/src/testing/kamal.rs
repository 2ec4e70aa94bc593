//! kamal-proxy on a simulated server: it sends a service's requests to the container of its last command `deploy`, once
//! that is healthy.

use std::time::Duration;

use bowline_core::commands::ready::{Answer, Failed, Ready, State, Why};
use bowline_core::commands::status::Status;
use bowline_core::proxy::kamal::container::{Ensure, Image};
use bowline_core::proxy::kamal::service::{Pause, Pausing, Register, Unregister};
use bowline_core::proxy::kamal::upgrade::{Found, InPlace};
use bowline_core::proxy::kamal::{self, Listed, NAME, Service, Step};
use bowline_core::proxy::takeover::{Ports, WAITS};
use bowline_core::request::Direction;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::beside::{ACCESSORY, Before, mend, next, old};
use super::machine::{Behaviour, FakeContainer, Machine, Present};
use super::server::FakeServer;
use super::spontaneous::no_daemon;
use super::steps::{answer, failed, flapping, status};
use crate::ports::Output;

fn proxies(machine: &mut Machine) -> &mut Present {
    &mut machine.proxies
}

fn refused(said: &str) -> Output {
    let answer = Answer {
        failed: Some(Failed {
            said: format!("Error: {said}"),
            probe: r#"{"url":"http://id:80/up","error":"connection refused"}"#.into(),
            log: vec!["boom".into()],
            ..Failed::new(Why::Refused)
        }),
        ..Answer::default()
    };
    Output { stdout: answer.to_string(), ..status(Status::NotReady, "") }
}

impl FakeServer {
    pub(super) async fn kamal(&self, step: &Step) -> Output {
        match step {
            Step::Ensure(ensure) => self.ensure_kamal(ensure).await,
            Step::Load(load) => {
                self.effect(|machine| machine.images.insert(load.image.clone())).await;
                answer("")
            }
            Step::Replace(_) => {
                self.machine().changes.push(step.describe());
                self.replace(proxies, NAME, Before::Goes).await;
                answer(kamal::Answer { gap_ms: Some(200), ..kamal::Answer::default() })
            }
            Step::Look(look) => answer(self.machine().found(&look.ensure)),
            Step::InPlace(in_place) => self.upgrade(in_place).await,
            Step::TakeOver(_) => {
                let gap = self.take_ports(Direction::Upgrade).await.then_some(300);
                answer(kamal::Answer { gap_ms: gap, ..kamal::Answer::default() })
            }
            Step::Power(power) => {
                self.switch(proxies, NAME, power.action).await;
                answer("")
            }
            Step::Remove(remove) => {
                let kept = self.machine().services.keys().cloned().collect::<Vec<_>>().join(" ");
                if !kept.is_empty() && !remove.force {
                    return answer(kamal::Answer { kept: Some(kept), ..kamal::Answer::default() });
                }
                self.effect(|machine| machine.proxies.remove(NAME)).await;
                answer("")
            }
            Step::Files(_) => {
                self.effect(|machine| machine.changes.push(step.describe())).await;
                answer("")
            }
            Step::Register(register) => self.register(register).await,
            Step::Unregister(unregister) => self.unregister(unregister).await,
            Step::Forget(forget) => {
                self.effect(|machine| {
                    let runs = machine.containers.iter().any(|c| c.running && c.id.starts_with(&forget.id));
                    if !runs {
                        machine.services.remove(&forget.service);
                    }
                })
                .await;
                answer("")
            }
            Step::Pause(pause) => self.pause(pause).await,
            Step::List => answer(self.machine().listed()),
        }
    }

    /// Replaces the program in the proxy's container: first the running one, then the one for restarts.
    async fn upgrade(&self, in_place: &InPlace) -> Output {
        if !self.machine().images.contains(&in_place.ensure.own) {
            return status(Status::NoImage, "");
        }
        self.machine().changes.push(format!("upgrade {NAME}"));
        self.present(proxies, |all| all.insert(next(NAME), false)).await;
        let takes = self.machine().takes;
        match takes {
            Upgrades::Work => {}
            Upgrades::NoFiles => {
                self.present(proxies, |all| all.remove(&next(NAME))).await;
                return status(Status::NotInPlace, "container rootfs is marked read-only");
            }
            Upgrades::Fail => {
                self.present(proxies, |all| all.remove(&next(NAME))).await;
                return status(1_u32, "Error: it ended before it was ready");
            }
        }
        self.present(proxies, |all| all.remove(&next(NAME))).await;
        let version = in_place.version.clone();
        self.effect(|machine| machine.program.runs.clone_from(&version)).await;
        self.effect(|machine| machine.program.keeps = version).await;
        answer("")
    }

    async fn ensure_kamal(&self, ensure: &Ensure) -> Output {
        if self.machine().is_down() {
            return no_daemon(1_u32);
        }
        let lacks_image = {
            let machine = self.machine();
            let made = machine.proxies.contains_key(NAME);
            !made && ensure.image == Image::Own && !machine.images.contains(&ensure.own)
        };
        if lacks_image {
            return status(Status::NoImage, "");
        }
        self.machine().changes.push(format!("make sure {NAME} runs"));
        let made = self
            .effect(|machine| {
                if ensure.ports == Ports::Published {
                    mend(&mut machine.proxies, NAME);
                }
                let made = machine.proxies.insert(NAME.to_owned(), true).is_none();
                if made && ensure.ports == Ports::Unpublished {
                    machine.waits.insert(NAME.to_owned());
                }
                made
            })
            .await;
        answer(kamal::Answer { made, ..kamal::Answer::default() })
    }

    /// Waits until the container is healthy, and gives it the requests of its service.
    async fn register(&self, register: &Register) -> Output {
        let until = Instant::now() + Duration::from_secs(register.route.timeout);
        while self.machine().is_down() || self.machine().proxies.get(NAME) != Some(&true) {
            if Instant::now() >= until {
                return refused("Error response from daemon: container kamal-proxy is not running");
            }
            sleep(Duration::from_millis(500)).await;
        }
        if register.id.starts_with(ACCESSORY) {
            let (service, id) = (register.route.service.clone(), register.id.clone());
            self.effect(|machine| machine.services.insert(service, id)).await;
            return answer(Answer { ready: Some(Vec::new()), ..Answer::default() });
        }
        let Some(container) = self.machine().find(&register.id).cloned() else {
            return failed(Vec::new(), Why::Gone);
        };
        let version = container.image.rsplit(':').next().unwrap_or_default().to_owned();
        let key = (self.host.clone(), container.role.clone(), version);
        let behaviour = self.network.faults().behaviour.get(&key).copied().unwrap_or(Behaviour::Healthy(300));
        let after = match behaviour {
            Behaviour::Exits(code) => {
                sleep(Duration::from_millis(400)).await;
                return flapping(code);
            }
            Behaviour::NeverHealthy => {
                sleep(Duration::from_secs(register.route.timeout)).await;
                return refused("target failed to become healthy within configured timeout");
            }
            Behaviour::Healthy(after) => Duration::from_millis(after),
            Behaviour::Late(_) => Duration::ZERO,
        };
        let healthy_at = Instant::now() + after;
        loop {
            if let Err(output) = self.ask().await {
                return output;
            }
            let Some(container) = self.machine().find(&register.id).cloned() else {
                return failed(Vec::new(), Why::Gone);
            };
            match container.status() {
                "exited" => return failed(vec![state(&container)], Why::Exited),
                _ if container.restarts >= 3 => return failed(vec![state(&container)], Why::Restarting),
                "running" if Instant::now() >= healthy_at => break,
                _ if Instant::now() >= until => {
                    return refused("target failed to become healthy within configured timeout");
                }
                _ => sleep(Duration::from_millis(100)).await,
            }
        }
        let (service, id) = (register.route.service.clone(), register.id.clone());
        self.effect(|machine| {
            machine.changes.push(format!("route {service} to {}", register.route.container));
            machine.services.insert(service, id);
        })
        .await;
        // It may have exited since.
        self.until_ready(&register.id, Ready::Started, register.route.timeout, 0, None).await
    }

    async fn unregister(&self, unregister: &Unregister) -> Output {
        self.effect(|machine| {
            let target = machine.services.get(&unregister.service);
            if unregister.id.is_none() || target == unregister.id.as_ref() {
                machine.services.remove(&unregister.service);
            }
        })
        .await;
        answer("")
    }

    async fn pause(&self, pause: &Pause) -> Output {
        if !self.machine().services.contains_key(&pause.service) {
            return status(1_u32, "Error: service not found");
        }
        self.effect(|machine| match pause.to {
            Pausing::Stop { .. } => machine.paused.insert(pause.service.clone()),
            Pausing::Resume => machine.paused.remove(&pause.service),
        })
        .await;
        answer("")
    }
}

fn state(container: &FakeContainer) -> State {
    State { status: container.status().into(), code: 1, ..State::running("none", container.restarts) }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakeProgram {
    pub runs: String,
    /// The version that a restart would run.
    pub keeps: String,
    pub image: String,
}

impl FakeProgram {
    pub(crate) fn of(version: &str) -> Self {
        Self { runs: version.into(), keeps: version.into(), image: format!("bowline-proxy:v10.{version}") }
    }
}

impl Default for FakeProgram {
    fn default() -> Self {
        Self::of("0.1.0")
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Upgrades {
    #[default]
    Work,
    NoFiles,
    Fail,
}

impl Machine {
    /// The answer of the script that checks which proxy runs.
    fn found(&self, ensure: &Ensure) -> Found {
        let wanted = match &ensure.image {
            Image::Own => ensure.own.clone(),
            Image::Named(image) => image.clone(),
        };
        let Some(runs) = self.proxies.get(NAME) else { return Found { wanted, ..Found::default() } };
        let FakeProgram { runs: version, keeps, image } = self.program.clone();
        let is_own = image.starts_with("bowline-proxy:");
        let of_own = |version| Some(version).filter(|_| is_own);
        Found {
            wanted,
            image: Some(image),
            is_running: *runs,
            is_half_done: self.proxies.contains_key(&old(NAME)),
            runs: of_own(version),
            keeps: of_own(keeps),
        }
    }

    /// Whether requests reach a container, if it is healthy.
    pub(super) fn is_reached(&self, container: &FakeContainer) -> bool {
        match self.services.get(&container.service) {
            Some(target) if self.goes_through(NAME) => *target == container.id,
            Some(_) => container.routed,
            None => true,
        }
    }

    /// The part of the observation about kamal-proxy.
    pub(super) fn observed_kamal(&self) -> String {
        let Some(runs) = self.proxies.get(NAME) else { return String::new() };
        let proxy = json!({
            "id": NAME, "name": format!("/{NAME}"), "created": "", "image": self.program.image, "image_id": "",
            "status": if *runs { "running" } else { "exited" }, "health": null,
            "labels": self.waiting(NAME), "mounts": [], "healthcheck": null, "networks": {"kamal": {"IPAddress": "172.18.0.1"}}, "args": [],
            "restart": self.policies.get(NAME),
        });
        let services = if *runs { format!("@services\n{}", self.listed()) } else { String::new() };
        format!("@proxy {proxy}\n@network kamal\n{services}")
    }

    pub(super) fn waiting(&self, name: &str) -> serde_json::Value {
        if self.waits.contains(name) { json!({ WAITS: "yes" }) } else { json!({}) }
    }

    fn listed(&self) -> Listed {
        let service = |(name, target): (&String, &String)| Service {
            name: name.clone(),
            hosts: vec!["*".into()],
            paths: vec!["/".into()],
            targets: vec![format!("{target}:80")],
            state: if self.paused.contains(name) { "stopped".into() } else { "running".into() },
        };
        Listed(self.services.iter().map(service).collect())
    }
}
