//! Replaces one kind of proxy with the other on a simulated server, part by part, so that a kill can come between any
//! two.

use bowline_core::proxy::takeover::{Others, Settle, Survey, Verdict};
use bowline_core::proxy::{kamal, traefik};
use bowline_core::request::Direction;

use super::beside::{old, rename};
use super::machine::Machine;
use super::server::FakeServer;
use super::steps::answer;
use crate::ports::Output;

fn containers(direction: Direction) -> [&'static str; 2] {
    match direction {
        Direction::Upgrade => [traefik::NAME, kamal::NAME],
        Direction::Downgrade => [kamal::NAME, traefik::NAME],
    }
}

fn next(name: &str) -> String {
    format!("{name}_next")
}

impl Machine {
    pub(crate) fn has_ports(&self, name: &str) -> bool {
        self.proxies.get(name) == Some(&true) && !self.waits.contains(name)
    }

    /// Whether requests go through this proxy, if they go through any.
    pub(super) fn goes_through(&self, name: &str) -> bool {
        let other = if name == kamal::NAME { traefik::NAME } else { kamal::NAME };
        !self.waits.contains(name) && !self.has_ports(other)
    }

    pub(super) fn give_back_policy(&mut self, name: &str, restart: Option<&String>) {
        self.policies.extend(restart.map(|policy| (name.to_owned(), policy.clone())));
    }

    fn forget(&mut self, name: &str) {
        self.waits.remove(name);
        for name in [name.to_owned(), next(name), old(name)] {
            self.proxies.remove(&name);
        }
    }
}

impl FakeServer {
    pub(super) async fn survey(&self, survey: &Survey) -> Output {
        let [from, to] = containers(survey.direction);
        let starts = |machine: &mut Machine| {
            if machine.proxies.get(from) == Some(&false) && !machine.has_ports(to) {
                machine.proxies.insert(from.into(), true);
            }
        };
        self.effect(starts).await;
        let removes = |machine: &mut Machine| {
            let stopped = machine.proxies.get(to) == Some(&false) && !machine.waits.contains(to);
            if machine.proxies.get(from) == Some(&true) && stopped {
                machine.proxies.remove(to);
            }
        };
        self.effect(removes).await;
        let machine = self.machine();
        let others = machine.neighbours.iter().filter(|name| !survey.services.contains(name));
        answer(Others(others.cloned().collect()))
    }

    /// Gives the ports to the proxy that waits. Returns whether it didn't have them yet.
    pub(super) async fn take_ports(&self, direction: Direction) -> bool {
        let [from, to] = containers(direction);
        if self.machine().has_ports(to) {
            return false;
        }
        self.machine().changes.push(format!("{} takes the ports", direction.to().name()));
        self.effect(|machine| {
            let all = &mut machine.proxies;
            if !all.contains_key(to) {
                rename(all, &old(to), to);
            }
            all.remove(&next(to));
            all.remove(&old(to));
        })
        .await;
        self.effect(|machine| machine.proxies.insert(next(to), false)).await;
        self.effect(|machine| machine.proxies.insert(to.into(), false)).await;
        self.effect(|machine| {
            machine.waits.remove(to);
            rename(&mut machine.proxies, to, &old(to))
        })
        .await;
        self.effect(|machine| rename(&mut machine.proxies, &next(to), to)).await;
        self.effect(|machine| {
            machine.policies.remove(from);
            machine.proxies.get_mut(from).map(|runs| *runs = false)
        })
        .await;
        self.effect(|machine| machine.proxies.insert(to.into(), true)).await;
        true
    }

    pub(super) async fn settle_both(&self, settle: &Settle) -> Output {
        let [from, to] = containers(settle.direction);
        self.effect(|machine| match &settle.verdict {
            Verdict::Stays => {
                machine.proxies.remove(&old(to));
                machine.proxies.remove(&next(to));
                machine.forget(from);
            }
            Verdict::GivesBack { restart } => {
                machine.forget(to);
                machine.give_back_policy(from, restart.as_ref());
                machine.proxies.insert(from.into(), true);
            }
            Verdict::GivesUp if machine.waits.contains(to) => machine.forget(to),
            Verdict::GivesUp => {}
        })
        .await;
        answer("")
    }
}
