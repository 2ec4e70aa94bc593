//! What servers do by themselves: containers exit, flap and become healthy again, Docker's daemon restarts, Traefik's
//! API fails once. One such event happens at a boundary that a test chooses. Its consequences take time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bowline_config::OptionValue;
use bowline_core::commands::app;
use bowline_core::commands::ask::PATIENCE_S;
use bowline_core::commands::ready::{Answer, Ready, State, Why};
use bowline_core::commands::serving::Serving;
use bowline_core::commands::status::Status;
use tokio::time::{Instant, sleep};

use super::locked;
use super::machine::{FakeContainer, Machine};
use super::network::FakeNetwork;
use super::server::FakeServer;
use super::steps::{answer, failed, status};
use crate::ports::Output;

/// An event that a server causes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happens {
    pub host: String,
    /// The number of the server's boundaries before it.
    pub after: usize,
    pub what: What,
}

/// A kind of event. The text is how the name of the affected container ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// It exits, and Docker doesn't restart it.
    Ends(&'static str),
    /// It exits, and Docker restarts it with another address.
    Restarts(&'static str),
    /// It exits again and again, and Docker restarts it each time.
    Flaps(&'static str),
    Sickens(&'static str),
    /// Docker's daemon restarts, and with it all containers.
    DockerRestarts(Addresses),
    /// Traefik's API times out once.
    ApiFails,
}

/// The addresses that containers get when Docker's daemon starts them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addresses {
    Same,
    Other,
}

/// How long Docker takes to check the health of a container.
const CHECK: Duration = Duration::from_secs(1);
const SICK: Duration = Duration::from_secs(4);
const DOWN: Duration = Duration::from_secs(6);
const FLAPS: usize = 20;

pub(super) fn policy(boot: &app::Boot) -> String {
    let configured = boot.environment.options.iter().find(|(name, _)| name == "restart");
    match configured {
        Some((_, OptionValue::Value(policy))) => policy.clone(),
        _ => "unless-stopped".into(),
    }
}

/// The entry in a server's changes when an event happens.
const HAPPENED: &str = "something happened";

impl FakeNetwork {
    /// Whether an event happened on a server after this change there.
    pub(crate) fn happened_after(&self, change: &str) -> bool {
        self.hosts().iter().any(|host| {
            let machine = self.machine(host);
            let at = |wanted: &str| machine.changes.iter().rposition(|change| change == wanted);
            at(HAPPENED).is_some_and(|happened| at(change).is_some_and(|changed| changed < happened))
        })
    }

    pub(crate) fn let_happen(&self, host: &str) {
        let what = {
            let mut faults = self.faults();
            match faults.happens.as_mut().filter(|happens| happens.host == host) {
                Some(happens) if happens.after > 0 => {
                    happens.after -= 1;
                    return;
                }
                Some(_) => faults.happens.take().map(|happens| happens.what),
                None => return,
            }
        };
        let Some(machine) = self.machines().get(host).cloned() else { return };
        locked(&machine).changes.push(HAPPENED.into());
        match what {
            Some(What::Ends(name)) => locked(&machine).named(name).for_each(|container| {
                container.running = false;
                container.returns = false;
            }),
            Some(What::Restarts(name)) => start_again(&machine, name, 1),
            Some(What::Flaps(name)) => start_again(&machine, name, FLAPS),
            Some(What::Sickens(name)) => sicken(&machine, name),
            Some(What::DockerRestarts(addresses)) => restart_docker(&machine, addresses),
            Some(What::ApiFails) => {
                self.faults().api_fails.insert(host.into(), 1);
            }
            None => {}
        }
    }
}

impl What {
    /// Whether this ends the container of this name for good, or it never runs for long again.
    pub(crate) fn ends_for_good(self, name: &str) -> bool {
        matches!(self, What::Ends(ending) | What::Flaps(ending) | What::Restarts(ending) if ending == name)
    }
}

fn start_again(machine: &Arc<Mutex<Machine>>, name: &'static str, times: usize) {
    let ids: Vec<String> = locked(machine).named(name).map(|container| container.id.clone()).collect();
    let ends = |machine: &Mutex<Machine>, ids: &[String]| {
        let mut machine = locked(machine);
        ids.iter()
            .for_each(|id| machine.find(id).into_iter().for_each(|container| container.running = false));
    };
    ends(machine, &ids);
    let machine = machine.clone();
    tokio::spawn(async move {
        for time in 1..=times {
            sleep(Duration::from_millis(200)).await;
            locked(&machine).start_those(&ids, 1, Addresses::Other);
            sleep(CHECK).await;
            locked(&machine).check_health(&ids);
            if time < times {
                sleep(CHECK).await;
                ends(&machine, &ids);
            }
        }
    });
}

fn sicken(machine: &Arc<Mutex<Machine>>, name: &'static str) {
    let mut ids = Vec::new();
    for container in locked(machine).named(name).filter(|container| container.running) {
        container.healthy = container.healthy.map(|_| false);
        ids.push(container.id.clone());
    }
    let machine = machine.clone();
    tokio::spawn(async move {
        sleep(SICK).await;
        locked(&machine).check_health(&ids);
    });
}

fn restart_docker(machine: &Arc<Mutex<Machine>>, addresses: Addresses) {
    {
        let mut machine = locked(machine);
        machine.down_until = Some(Instant::now() + DOWN);
        machine.proxies.values_mut().for_each(|runs| *runs = false);
    }
    let comes_back = |container: &&mut FakeContainer| container.running || container.comes_back();
    let ids: Vec<String> = locked(machine)
        .containers
        .iter_mut()
        .filter(comes_back)
        .map(|container| (container.running = false, container.id.clone()).1)
        .collect();
    let machine = machine.clone();
    tokio::spawn(async move {
        sleep(DOWN).await;
        {
            let mut machine = locked(&machine);
            machine.proxies.values_mut().for_each(|runs| *runs = true);
            machine.start_those(&ids, 0, addresses);
        }
        sleep(CHECK).await;
        locked(&machine).check_health(&ids);
    });
}

impl FakeContainer {
    /// Whether a restart of Docker starts the container although it was stopped.
    fn comes_back(&self) -> bool {
        matches!(self.policy.as_str(), "always" | "on-failure")
    }
}

impl Machine {
    fn named<'a>(&'a mut self, ending: &'a str) -> impl Iterator<Item = &'a mut FakeContainer> {
        self.containers.iter_mut().filter(move |container| container.name.ends_with(ending))
    }

    fn start_those(&mut self, ids: &[String], restarts: u32, addresses: Addresses) {
        for id in ids {
            self.next += 1;
            let address = self.next + 1;
            // It was stopped or removed in the meantime.
            let Some(container) = self.find(id).filter(|c| !c.stopped || c.comes_back()) else { continue };
            container.running = true;
            container.restarts += restarts;
            if addresses == Addresses::Other {
                container.address = address;
            }
            container.healthy = container.healthy.map(|_| false);
        }
    }

    /// Checks the health of containers: they are healthy if their cords are uncut.
    pub(super) fn check_health(&mut self, ids: &[String]) {
        for id in ids {
            let cord = self.find(id).and_then(|container| container.cord.clone());
            let tied = cord.is_none_or(|cord| self.cords.get(&cord) == Some(&true));
            if let Some(container) = self.find(id).filter(|container| container.running) {
                container.healthy = container.healthy.map(|_| tied);
            }
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down_until.is_some_and(|until| Instant::now() < until)
    }

    /// The state of a container that should serve and doesn't, as the scripts' guard sees it.
    pub(super) fn not_serving(&self, serving: Option<&Serving>) -> Option<String> {
        let serving = serving?;
        let Some(container) = self.containers.iter().find(|container| container.id == serving.id) else {
            return Some("gone".into());
        };
        let same = serving.restarts.is_none_or(|restarts| restarts == container.restarts);
        let serves = container.running && container.healthy != Some(false) && same;
        (!serves).then(|| format!("{} {:?} {}", container.running, container.healthy, container.restarts))
    }
}

/// Docker's error if its daemon doesn't respond.
pub(super) fn no_daemon(code: impl Into<u32>) -> Output {
    status(
        code,
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    )
}

impl FakeServer {
    /// Waits for Docker, as the scripts do that tolerate a restart of it.
    pub(super) async fn ask(&self) -> Result<(), Output> {
        let until = Instant::now() + Duration::from_secs(PATIENCE_S);
        while self.machine().is_down() {
            if Instant::now() >= until {
                return Err(no_daemon(Status::NoAnswer));
            }
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Waits until a container is ready. `seen`: how often Docker had restarted it when it was last ready.
    pub(super) async fn until_ready(
        &self,
        id: &str,
        is: Ready,
        timeout: u64,
        delay: u64,
        seen: Option<u32>,
    ) -> Output {
        let until = Instant::now() + Duration::from_secs(timeout);
        let (mut states, mut running_at) = (Vec::new(), seen);
        loop {
            if let Err(output) = self.ask().await {
                return output;
            }
            let found = self.machine().find(id).cloned();
            let Some(container) = found else { return failed(states, Why::Gone) };
            let (restarts, status) = (container.restarts, container.status());
            let health = match container.healthy {
                None => "none",
                Some(true) => "healthy",
                Some(false) => "unhealthy",
            };
            states.push(State { status: status.into(), code: 1, ..State::running(health, restarts) });
            if restarts >= seen.map_or(3, |seen| seen + 1) {
                return failed(states, Why::Restarting);
            }
            match (container.running, container.healthy) {
                (true, _) if is == Ready::Started => return ready(states, &container),
                (true, Some(true)) => return ready(states, &container),
                (true, None) if running_at == Some(restarts) => return ready(states, &container),
                (true, None) => {
                    running_at = Some(restarts);
                    sleep(Duration::from_secs(delay)).await;
                    continue;
                }
                (false, _) if status == "exited" => return failed(states, Why::Exited),
                _ => {}
            }
            if Instant::now() >= until {
                return failed(states, Why::Timeout);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn ready(states: Vec<State>, container: &FakeContainer) -> Output {
    let ready = Some(vec![[172, 18, 0, container.address].into()]);
    answer(Answer { states, ready, ..Answer::default() })
}
