//! What runs beside the app on the model of a server: Traefik, accessories, maintenance pages. Their scripts are
//! carried out part by part, so that a kill can come between any two.

use bowline_core::commands::traefik::{Action, Route, Verdict};
use bowline_core::commands::{accessory, maintenance};
use bowline_core::names::TRAEFIK;

use super::machine::{Machine, Present};
use super::server::FakeServer;
use super::steps::{answer, status};
use crate::ports::Output;

/// A maintenance page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakePage {
    /// The role that it stands in for.
    pub role: String,
    /// The run that made it.
    pub run: String,
    /// Whether requests go to it.
    pub routed: bool,
    /// The last octet of its address.
    pub address: u8,
    /// Its routers.
    pub route: Route,
}

fn next(name: &str) -> String {
    format!("{name}_next")
}

fn old(name: &str) -> String {
    format!("{name}_replaced")
}

/// Moves a container to another name; whether it was there.
fn rename(all: &mut Present, from: &str, to: &str) -> bool {
    all.remove(from).map(|runs| all.insert(to.to_owned(), runs)).is_some()
}

/// Puts right what a killed reboot left.
fn mend(all: &mut Present, name: &str) {
    if !all.contains_key(name) {
        rename(all, &old(name), name);
    }
    all.remove(&next(name));
    all.remove(&old(name));
}

/// What becomes of the container before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Goes,
    Stays,
}

type Kind = fn(&mut Machine) -> &mut Present;

fn proxies(machine: &mut Machine) -> &mut Present {
    &mut machine.proxies
}

fn accessories(machine: &mut Machine) -> &mut Present {
    &mut machine.accessories
}

impl FakeServer {
    async fn present<T>(&self, kind: Kind, effect: impl FnOnce(&mut Present) -> T + Send) -> T {
        self.effect(|machine| effect(kind(machine))).await
    }

    /// A new container in the place of the one that is there.
    async fn replace(&self, kind: Kind, name: &str, before: Before) {
        self.present(kind, |all| mend(all, name)).await;
        self.present(kind, |all| all.insert(next(name), false)).await;
        if kind(&mut self.machine()).contains_key(name) {
            self.present(kind, |all| all.insert(name.to_owned(), false)).await;
            self.present(kind, |all| rename(all, name, &old(name))).await;
        }
        self.present(kind, |all| rename(all, &next(name), name)).await;
        self.present(kind, |all| all.insert(name.to_owned(), true)).await;
        if before == Before::Goes {
            self.present(kind, |all| all.remove(&old(name))).await;
        }
    }

    /// Stops a container, starts it, or both.
    async fn switch(&self, kind: Kind, name: &str, action: Action) {
        if action != Action::Start {
            self.present(kind, |all| all.insert(name.to_owned(), false)).await;
        }
        if action != Action::Stop {
            self.present(kind, |all| all.insert(name.to_owned(), true)).await;
        }
    }

    pub(super) async fn ensure_proxy(&self) -> Output {
        let made = self
            .present(proxies, |all| {
                let made = all.insert(TRAEFIK.to_owned(), true).is_none();
                if made {
                    mend(all, TRAEFIK);
                }
                made
            })
            .await;
        if made {
            self.make_deaf();
        }
        answer(if made { "@made\n@address 172.18.0.1\n" } else { "@address 172.18.0.1\n" })
    }

    fn make_deaf(&self) {
        let mut machine = self.machine();
        machine.deaf = machine.next_is_deaf;
    }

    /// A new Traefik; the one before stays beside it, stopped, until it is settled which of them stays.
    pub(super) async fn replace_proxy(&self) -> Output {
        self.replace(proxies, TRAEFIK, Before::Stays).await;
        self.make_deaf();
        answer("@address 172.18.0.1\n")
    }

    pub(super) async fn settle_proxy(&self, verdict: Verdict) -> Output {
        let back = self
            .effect(|machine| {
                let all = &mut machine.proxies;
                if verdict == Verdict::Stays {
                    all.remove(&old(TRAEFIK));
                    return false;
                }
                all.remove(TRAEFIK);
                let back = rename(all, &old(TRAEFIK), TRAEFIK);
                if back {
                    all.insert(TRAEFIK.to_owned(), true);
                }
                machine.deaf = false;
                back
            })
            .await;
        answer(if back { "@back\n" } else { "" })
    }

    pub(super) async fn switch_proxy(&self, action: Action) -> Output {
        self.switch(proxies, TRAEFIK, action).await;
        answer(if action == Action::Stop { "" } else { "@address 172.18.0.1\n" })
    }

    /// Does something to an accessory; the answer is the script's.
    pub(super) async fn act(&self, act: &accessory::Act) -> Output {
        use accessory::What;
        let name = act.service.as_str();
        self.machine().changes.push(act.describe());
        let there = match &act.what {
            What::Boot(_) | What::Replace(_) | What::Power { .. } | What::Remove { .. } => {
                self.present(accessories, |all| {
                    mend(all, name);
                    all.get(name).copied()
                })
                .await
            }
            What::Upload(_) | What::Directories(_) | What::Pull { .. } => None,
        };
        let mut ready = String::new();
        let said = match &act.what {
            What::Upload(upload) => {
                let (path, content) = (format!("{name}{}", upload.path), upload.content.expose());
                let old = self.effect(|machine| machine.files.insert(path, content.to_vec())).await;
                if old.as_deref() == Some(content) { "" } else { "@changed" }
            }
            What::Boot(_) if there == Some(true) => accessory::RUNS,
            What::Boot(container) => {
                self.switch(accessories, name, Action::Start).await;
                ready = self.machine().make_reachable(container.route(name));
                if there == Some(false) { accessory::STARTED } else { "" }
            }
            What::Replace(container) => {
                self.replace(accessories, name, Before::Goes).await;
                ready = self.machine().make_reachable(container.route(name));
                ""
            }
            What::Power { .. } if there.is_none() => accessory::NONE,
            What::Power { action, .. } => {
                self.switch(accessories, name, *action).await;
                ""
            }
            What::Remove { .. } => {
                self.present(accessories, |all| all.remove(name)).await;
                let directory = format!("{name}/");
                self.effect(|machine| machine.files.retain(|path, _| !path.starts_with(&directory))).await;
                ""
            }
            What::Directories(_) | What::Pull { .. } => {
                self.effect(|_| ()).await;
                ""
            }
        };
        answer(format!("{said}\n{ready}"))
    }

    pub(super) async fn begin_page(&self, begin: &maintenance::Begin) -> Output {
        if !self.machine().routes() {
            return status(maintenance::NO_PAGE, "there is no Traefik");
        }
        let made = self.effect(|machine| machine.make_page(begin)).await;
        self.effect(|machine| machine.pages.iter_mut().for_each(|page| page.routed |= page.address == made))
            .await;
        answer(format!("@address 172.18.0.{made}\n"))
    }

    /// Tells pages to end: Traefik lets them go.
    pub(super) async fn end_pages(&self, end: &maintenance::End) -> Output {
        let told = self
            .effect(|machine| {
                let ended = machine.pages.iter_mut().filter(|page| page.is_ended_by(end));
                ended.map(|page| (page.routed = false, page.address).1).collect::<Vec<u8>>()
            })
            .await;
        answer(told.iter().map(|address| format!("@address 172.18.0.{address}\n")).collect::<String>())
    }

    pub(super) async fn remove_pages(&self, end: &maintenance::End) -> Output {
        self.effect(|machine| machine.pages.retain(|page| !page.is_ended_by(end))).await;
        answer("")
    }
}

impl Machine {
    /// Traefik hears of an accessory that came up.
    fn make_reachable(&mut self, route: Route) -> String {
        self.next += 1;
        let address = self.next + 1;
        self.accessory_routes.insert(route.container.clone(), (route, address));
        format!("@ready 172.18.0.{address}\n")
    }
}

impl FakePage {
    fn is_ended_by(&self, end: &maintenance::End) -> bool {
        self.role == end.role && !(end.others && self.run == end.scope.run)
    }
}
