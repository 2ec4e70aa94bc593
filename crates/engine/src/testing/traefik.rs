//! Traefik on a simulated server: it routes to healthy containers with labels for it, and lists them in its API.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bowline_core::commands::Action;
use bowline_core::proxy::Attach;
use bowline_core::proxy::cord::{self, Cut, End};
use bowline_core::proxy::takeover::WAITS;
use bowline_core::proxy::traefik::container::{Ensure, Verdict};
use bowline_core::proxy::traefik::labels::{Protocol, Route, Router};
use bowline_core::proxy::traefik::{Answer, NAME as TRAEFIK, Step, maintenance};
use bowline_core::request::Direction;
use serde_json::json;
use tokio::time::sleep;

use super::beside::{Before, mend, old, rename};
use super::machine::{Machine, Present};
use super::server::FakeServer;
use super::spontaneous::no_daemon;
use super::steps::{answer, refused, status};
use crate::ports::Output;

/// How long Docker takes to mark a container without its cord as unhealthy.
const UNHEALTHY: Duration = Duration::from_millis(2500);

/// The answer for containers at these addresses, by their last octet.
fn at(octets: &[u8]) -> Answer {
    let addresses = octets.iter().map(|octet| IpAddr::from([172, 18, 0, *octet])).collect();
    Answer { addresses, ..Answer::default() }
}

/// Routes by service, each with the last octet of the address that it leads to.
pub(crate) type Routes = BTreeMap<String, (Route, u8)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakePage {
    pub role: String,
    pub run: String,
    pub routed: bool,
    /// The last octet of its address.
    pub address: u8,
    pub route: Route,
}

fn proxies(machine: &mut Machine) -> &mut Present {
    &mut machine.proxies
}

impl FakeServer {
    pub(super) async fn traefik(&self, step: &Step) -> Output {
        if matches!(step, Step::Ensure(_) | Step::Replace(_)) {
            if matches!(step, Step::Ensure(_)) && self.machine().is_down() {
                return no_daemon(1_u32);
            }
            self.machine().changes.push(step.describe());
        }
        match step {
            Step::Ensure(ensure) => self.ensure_proxy(ensure).await,
            Step::Replace(_) => self.replace_proxy().await,
            Step::TakeOver(_) => {
                let gap_ms = self.take_ports(Direction::Downgrade).await.then_some(300);
                self.make_deaf();
                answer(Answer { gap_ms, ..at(&[1]) })
            }
            Step::Settle(settle) => self.settle_proxy(&settle.verdict).await,
            Step::Power(power) => self.switch_proxy(power.action).await,
            Step::Remove(_) => {
                let remove = |machine: &mut Machine| {
                    machine.proxies.clear();
                    machine.changes.push("remove".into());
                };
                self.effect(remove).await;
                answer("")
            }
            Step::Cut(cut) => self.cut(cut).await,
            Step::BeginPage(begin) => self.begin_page(begin).await,
            Step::EndPages(end) => self.end_pages(end).await,
            Step::RemovePages(end) => self.remove_pages(end).await,
            Step::Idle(_) => {
                self.machine().changes.push(step.describe());
                answer("")
            }
        }
    }

    /// Cuts a cord. A healthy container becomes unhealthy after a while.
    async fn cut(&self, cut: &Cut) -> Output {
        if let Err(output) = self.ask().await {
            return output;
        }
        let cut_off = |machine: &mut Machine| {
            if let Some(state) = machine.not_serving(cut.instead.as_ref()) {
                return Err(refused(&state));
            }
            machine.cords.insert(cut.directory.clone(), false);
            Ok(machine.find(&cut.id).cloned())
        };
        let container = match self.effect(cut_off).await {
            Ok(Some(container)) => container,
            Ok(None) => return answer(cord::Answer { end: End::Gone, ..cord::Answer::default() }),
            Err(output) => return output,
        };
        let addresses = vec![IpAddr::from([172, 18, 0, container.address])];
        if !(container.running && container.healthy == Some(true)) {
            return answer(cord::Answer { addresses, ..cord::Answer::default() });
        }
        sleep(UNHEALTHY).await;
        self.effect(|machine| {
            let before = machine.served();
            machine.check_health(std::slice::from_ref(&cut.id));
            // A container that ended in the meantime isn't the script's fault.
            if machine.not_serving(cut.instead.as_ref()).is_none() {
                machine.check_served(&before);
            }
        })
        .await;
        answer(cord::Answer { addresses, was_healthy: true, end: End::Unhealthy })
    }

    async fn ensure_proxy(&self, ensure: &Ensure) -> Output {
        let made = self
            .effect(|machine| {
                let made = machine.proxies.insert(TRAEFIK.to_owned(), true).is_none();
                if made {
                    mend(&mut machine.proxies, TRAEFIK);
                }
                if made && ensure.traefik.labels.iter().any(|(name, _)| name == WAITS) {
                    machine.waits.insert(TRAEFIK.to_owned());
                }
                made
            })
            .await;
        if made {
            self.make_deaf();
        }
        answer(Answer { made, ..at(&[1]) })
    }

    fn make_deaf(&self) {
        let mut machine = self.machine();
        machine.deaf = machine.next_is_deaf;
    }

    /// Creates a new Traefik. The previous one stays next to it, stopped, until the run settles which of them stays.
    async fn replace_proxy(&self) -> Output {
        self.replace(proxies, TRAEFIK, Before::Stays).await;
        self.machine().policies.remove(TRAEFIK);
        self.make_deaf();
        answer(at(&[1]))
    }

    async fn settle_proxy(&self, verdict: &Verdict) -> Output {
        let back = self
            .effect(|machine| {
                let all = &mut machine.proxies;
                let Verdict::GivesWay { restart } = verdict else {
                    all.remove(&old(TRAEFIK));
                    return false;
                };
                all.remove(TRAEFIK);
                let back = rename(all, &old(TRAEFIK), TRAEFIK);
                if back {
                    all.insert(TRAEFIK.to_owned(), true);
                    machine.give_back_policy(TRAEFIK, restart.as_ref());
                }
                machine.deaf = false;
                back
            })
            .await;
        answer(Answer { back, ..Answer::default() })
    }

    async fn switch_proxy(&self, action: Action) -> Output {
        self.switch(proxies, TRAEFIK, action).await;
        answer(if action == Action::Stop { Answer::default() } else { at(&[1]) })
    }

    async fn begin_page(&self, begin: &maintenance::Begin) -> Output {
        if !self.machine().routes() {
            return status(maintenance::NO_PAGE, "there is no Traefik");
        }
        let made = self.effect(|machine| machine.make_page(begin)).await;
        self.effect(|machine| machine.pages.iter_mut().for_each(|page| page.routed |= page.address == made))
            .await;
        answer(at(&[made]))
    }

    /// Ends pages: Traefik no longer routes to them.
    async fn end_pages(&self, end: &maintenance::End) -> Output {
        let addresses = self
            .effect(|machine| {
                let ended = machine.pages.iter_mut().filter(|page| page.is_ended_by(end));
                ended.map(|page| (page.routed = false, page.address).1).collect::<Vec<u8>>()
            })
            .await;
        answer(at(&addresses))
    }

    async fn remove_pages(&self, end: &maintenance::End) -> Output {
        self.effect(|machine| machine.pages.retain(|page| !page.is_ended_by(end))).await;
        answer("")
    }
}

impl FakePage {
    fn is_ended_by(&self, end: &maintenance::End) -> bool {
        self.role == end.role && !(end.others && self.run == end.scope.run)
    }
}

impl Machine {
    pub(crate) fn routes(&self) -> bool {
        self.proxies.get(TRAEFIK) == Some(&true)
    }

    /// Creates a maintenance page without a route, and returns the last octet of its address.
    fn make_page(&mut self, begin: &maintenance::Begin) -> u8 {
        self.next += 1;
        self.changes.push(format!("page for {}", begin.role));
        let address = self.next + 1;
        let route = Route::new("page", begin.labels.iter().map(|(key, value)| (key, value)));
        let (role, run) = (begin.role.clone(), begin.scope.run.clone());
        self.pages.push(FakePage { role, run, routed: false, address, route });
        address
    }

    /// The part of the observation about Traefik.
    pub(super) fn observed_traefik(&self) -> String {
        let Some(runs) = self.proxies.get(TRAEFIK) else { return String::new() };
        let traefik = json!({
            "id": "traefik", "name": "/traefik", "created": "", "image": "traefik", "image_id": "",
            "status": if *runs { "running" } else { "exited" },
            "health": null, "labels": self.waiting(TRAEFIK), "mounts": [], "healthcheck": null,
            "networks": {"kamal": {"IPAddress": "172.18.0.1"}},
            "args": if self.no_api { json!([]) } else { json!(["--api.insecure=true"]) },
            "restart": self.policies.get(TRAEFIK),
        });
        format!("@proxy {traefik}\n@network kamal\n")
    }

    /// The routes in use, each with the last octet of the address that it leads to.
    fn routes_of_all(&self) -> Vec<(Route, u8)> {
        if self.deaf {
            return Vec::new();
        }
        let serving = self.containers.iter().filter(|c| c.running && c.routed && c.healthy != Some(false));
        let apps = serving.map(|c| (Route::new(&c.name, &c.labels), c.address));
        let pages =
            self.pages.iter().filter(|page| page.routed).map(|page| (page.route.clone(), page.address));
        let accessories =
            self.accessory_routes.iter().filter(|(name, _)| self.accessories.get(*name) == Some(&true));
        apps.chain(pages).chain(accessories.map(|(_, route)| route.clone())).collect()
    }

    pub(crate) fn services(&self, protocol: Protocol) -> String {
        let mut services: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
        for (route, address) in self.routes_of_all() {
            for (_, service) in route.services.into_iter().filter(|(of, _)| *of == protocol) {
                let server = match protocol {
                    Protocol::Http => json!({"url": format!("http://172.18.0.{address}:3000")}),
                    Protocol::Tcp | Protocol::Udp => json!({"address": format!("172.18.0.{address}:3000")}),
                };
                services.entry(format!("{service}@docker")).or_default().push(server);
            }
        }
        let listed = services.into_iter().map(|(name, servers)| {
            json!({"name": name, "status": "enabled", "usedBy": ["app@docker"], "loadBalancer": {"servers": servers}})
        });
        serde_json::Value::Array(listed.collect()).to_string()
    }

    pub(crate) fn routers(&self, protocol: Protocol) -> String {
        let catchall =
            Router { name: "catchall".into(), service: Some("unavailable".into()), ..Router::default() };
        let own = Route { routers: vec![catchall], ..Route::default() };
        let all = self.routes_of_all().into_iter().map(|(route, _)| route);
        let own = (!self.deaf).then_some(own);
        let listed = own.into_iter().chain(all).flat_map(|route| {
            let (_, service) =
                route.services.iter().find(|(of, _)| *of == protocol).cloned().unwrap_or_default();
            route.routers.into_iter().filter(move |router| router.protocol == protocol).map(move |Router { name, service: own, .. }| {
                let error: Vec<&String> = self.refused.get(&name).into_iter().collect();
                let status = if error.is_empty() { "enabled" } else { "disabled" };
                let service = own.unwrap_or_else(|| service.clone());
                json!({"name": format!("{name}@docker"), "status": status, "error": error, "service": service})
            })
        });
        serde_json::Value::Array(listed.collect()).to_string()
    }

    /// Traefik's log messages about Docker, and the names of the containers at its addresses.
    pub(super) fn complaint(&self) -> String {
        let names = self.containers.iter().filter(|c| c.running);
        let names = names.map(|c| format!("@at 172.18.0.{} /{}\n", c.address, c.name)).collect::<String>();
        let said = "@said level=error msg=\"Provider error, Cannot connect to the Docker daemon\" providerName=docker\n";
        if self.deaf { names + said } else { names }
    }

    /// Registers an accessory that came up, and returns its addresses.
    pub(super) fn make_reachable(&mut self, container: &Attach) -> Vec<IpAddr> {
        self.next += 1;
        let address = self.next + 1;
        if let Attach::Traefik(route) = container {
            self.accessory_routes.insert(route.container.clone(), (route.clone(), address));
        }
        vec![[172, 18, 0, address].into()]
    }
}
