//! The other containers on a simulated server: accessories and proxies. Their scripts are carried out part by part, so
//! that a kill can come between any two.

use bowline_core::commands::accessory::Answer;
use bowline_core::commands::{Action, accessory, ready};
use bowline_core::proxy::kamal;

use super::kamal::FakeProgram;
use super::machine::{Machine, Present};
use super::server::FakeServer;
use super::steps::answer;
use crate::ports::Output;

pub(super) const ACCESSORY: &str = "accessory ";

/// The name of a new container before it replaces another one.
pub(super) fn next(name: &str) -> String {
    format!("{name}_next")
}

pub(super) fn old(name: &str) -> String {
    format!("{name}_replaced")
}

/// Renames a container. Returns whether it existed.
pub(super) fn rename(all: &mut Present, from: &str, to: &str) -> bool {
    all.remove(from).map(|runs| all.insert(to.to_owned(), runs)).is_some()
}

/// Cleans up after a killed reboot.
pub(super) fn mend(all: &mut Present, name: &str) {
    if !all.contains_key(name) {
        rename(all, &old(name), name);
    }
    all.remove(&next(name));
    all.remove(&old(name));
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Goes,
    Stays,
}

pub(super) type Kind = fn(&mut Machine) -> &mut Present;

fn accessories(machine: &mut Machine) -> &mut Present {
    &mut machine.accessories
}

impl FakeServer {
    pub(super) async fn present<T>(&self, kind: Kind, effect: impl FnOnce(&mut Present) -> T + Send) -> T {
        self.effect(|machine| effect(kind(machine))).await
    }

    pub(super) async fn replace(&self, kind: Kind, name: &str, before: Before) {
        self.present(kind, |all| mend(all, name)).await;
        self.present(kind, |all| all.insert(next(name), false)).await;
        if kind(&mut self.machine()).contains_key(name) {
            self.present(kind, |all| all.insert(name.to_owned(), false)).await;
            self.present(kind, |all| rename(all, name, &old(name))).await;
        }
        self.effect(|machine| {
            rename(kind(machine), &next(name), name);
            if name == kamal::NAME {
                machine.program = FakeProgram::default();
            }
        })
        .await;
        self.present(kind, |all| all.insert(name.to_owned(), true)).await;
        if before == Before::Goes {
            self.present(kind, |all| all.remove(&old(name))).await;
        }
    }

    pub(super) async fn switch(&self, kind: Kind, name: &str, action: Action) {
        if action != Action::Start {
            self.present(kind, |all| all.insert(name.to_owned(), false)).await;
        }
        if action != Action::Stop {
            self.present(kind, |all| all.insert(name.to_owned(), true)).await;
        }
    }

    /// Carries out a step for an accessory, and returns the script's answer.
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
        let none = Answer::default;
        let mut ready = None;
        let said = match &act.what {
            What::Upload(upload) => {
                let (path, content) = (format!("{name}{}", upload.path), upload.content.expose());
                let old = self.effect(|machine| machine.files.insert(path, content.to_vec())).await;
                Answer { changed: old.as_deref() != Some(content), ..none() }
            }
            What::Boot(_) if there == Some(true) => Answer { runs: true, ..none() },
            What::Boot(container) => {
                self.switch(accessories, name, Action::Start).await;
                ready = Some(self.machine().make_reachable(&container.attach(name)));
                Answer { started: there == Some(false), ..none() }
            }
            What::Replace(container) => {
                self.replace(accessories, name, Before::Goes).await;
                ready = Some(self.machine().make_reachable(&container.attach(name)));
                none()
            }
            What::Power { .. } if there.is_none() => Answer { none: true, ..none() },
            What::Power { action, .. } => {
                self.switch(accessories, name, *action).await;
                none()
            }
            What::Remove { .. } => {
                self.present(accessories, |all| all.remove(name)).await;
                let directory = format!("{name}/");
                self.effect(|machine| machine.files.retain(|path, _| !path.starts_with(&directory))).await;
                none()
            }
            What::Directories(_) | What::Pull { .. } => {
                self.effect(|_| ()).await;
                none()
            }
        };
        let runs = self.machine().accessories.get(name) == Some(&true);
        let id = runs.then(|| format!("{ACCESSORY}{name}"));
        let came_up = ready::Answer { id, ready, ..ready::Answer::default() };
        answer(Answer { came_up, ..said })
    }
}
