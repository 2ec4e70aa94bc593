//! Assets on a simulated server: the versions whose assets each volume has, and containers that lack some when it
//! matters.

use std::collections::BTreeSet;

use bowline_core::commands::{app, assets};

use super::machine::{FakeContainer, Machine};

fn volume(role: &str, version: &str) -> String {
    format!("/root/.kamal/apps/app/assets/volumes/{role}-{version}")
}

pub(super) fn mounted(boot: &app::Boot) -> Option<String> {
    boot.assets.as_ref().map(|_| volume(&boot.role, &boot.version))
}

impl FakeContainer {
    fn version(&self) -> &str {
        self.image.rsplit(':').next().unwrap_or_default()
    }
}

impl Machine {
    /// Adds the new version's assets to the volumes in use.
    pub(super) fn reach(&mut self, prepare: &assets::Prepare) {
        for volume in prepare.running.iter().filter_map(|running| running.volume.as_ref()) {
            self.volumes.entry(volume.directory.clone()).or_default().insert(prepare.version.clone());
        }
    }

    /// Creates the new version's volume, with the assets of the volumes in use.
    pub(super) fn put(&mut self, prepare: &assets::Prepare) {
        let volumes = prepare.running.iter().filter_map(|running| running.volume.as_ref());
        let mut all: BTreeSet<String> =
            volumes.filter_map(|volume| self.volumes.get(&volume.directory)).flatten().cloned().collect();
        all.insert(prepare.version.clone());
        self.changes.push(format!("prepare assets of {} {}", prepare.role, prepare.version));
        self.volumes.entry(volume(&prepare.role, &prepare.version)).or_default().extend(all);
    }

    pub(super) fn clean(&mut self, clean: &assets::Clean) {
        let stay: Vec<String> = clean.keep.iter().map(|version| volume(&clean.role, version)).collect();
        let role = volume(&clean.role, "");
        self.volumes.retain(|volume, _| !volume.starts_with(&role) || stay.contains(volume));
        let gone = |c: &&FakeContainer| {
            c.running && c.assets.as_ref().is_some_and(|assets| !self.volumes.contains_key(assets))
        };
        let lost: Vec<String> = self.containers.iter().filter(gone).map(|c| c.name.clone()).collect();
        self.losses.extend(lost.into_iter().map(|name| format!("{name} lost its assets")));
    }

    /// The containers of a role that serve without the assets of a version.
    pub(super) fn lacking(&self, role: &str, version: &str) -> Vec<String> {
        let lacks = |c: &&FakeContainer| {
            let volume = c.assets.as_ref().map(|assets| self.volumes.get(assets));
            let has = |of: Option<&BTreeSet<String>>| of.is_some_and(|versions| versions.contains(version));
            c.role == role && c.running && c.healthy == Some(true) && volume.is_some_and(|of| !has(of))
        };
        self.containers
            .iter()
            .filter(lacks)
            .map(|c| format!("{} lacks assets of {version}", c.name))
            .collect()
    }

    /// The versions that serve here and whose assets a version's volume lacks.
    pub(super) fn lacked_by(&self, role: &str, version: &str) -> Vec<String> {
        let has = self.volumes.get(&volume(role, version)).cloned().unwrap_or_default();
        self.containers
            .iter()
            .filter(|c| c.role == role && c.running && c.healthy == Some(true))
            .filter(|c| !has.contains(c.version()))
            .map(|c| format!("{version} lacks assets of {}", c.name))
            .collect()
    }
}
