//! `remove`, `app remove` and its parts, and `prune`.

use std::collections::BTreeSet;

use super::app::Place;
use super::{After, Basis, Deed, Stage, Turns, Work};
use crate::commands::env::EnvFile;
use crate::commands::prune::{Parts, Prune};
use crate::commands::remove::{Remove, What};
use crate::plan::retire::orphans;
use crate::plan::step::Step;

/// What a command removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// The app, its accessories, and the proxy if nothing else uses it.
    Everything,
    /// The app. Running containers are stopped first.
    App,
    /// One stopped container of each role, selected by version.
    Container(String),
    /// The stopped containers.
    Containers,
    /// The images that no container uses.
    Images,
}

impl Removal {
    /// The name of the command.
    pub fn command(&self) -> &'static str {
        match self {
            Removal::Everything => "remove",
            Removal::App => "app remove",
            Removal::Container(_) => "app remove-container",
            Removal::Containers => "app remove-containers",
            Removal::Images => "app remove-images",
        }
    }
}

impl Basis<'_> {
    pub(super) fn remove(&self, removal: &Removal) -> Vec<Stage> {
        match removal {
            Removal::Everything => {
                let mut beside = self.accessories(Deed::Remove, Turns::Together);
                // The accessories go first, because the proxy stays while it may still have requests for one.
                beside.push(self.remove_proxies());
                self.remove_app(beside)
            }
            Removal::App => self.remove_app(Vec::new()),
            Removal::Container(version) => {
                vec![self.each_role(|place| Some(self.remove_container(place, version)))]
            }
            Removal::Containers => vec![self.remove_containers()],
            Removal::Images => vec![self.remove_images()],
        }
    }

    /// Stops the app, then removes its containers and secrets, what is `beside` it, its images and its directory. After a failure,
    /// no further part starts.
    fn remove_app(&self, beside: Vec<Stage>) -> Vec<Stage> {
        let mut parts = [
            vec![self.stop()],
            vec![self.stop_orphans()],
            vec![self.remove_containers(), self.remove_orphans()],
            vec![self.remove_secrets()],
            beside,
            vec![self.remove_images()],
            vec![self.remove_directory()],
        ];
        for first in parts.iter_mut().skip(1).filter_map(|part| part.first_mut()) {
            first.after = After::Success;
        }
        parts.into_iter().flatten().collect()
    }

    fn removes(&self, what: What) -> Step {
        Step::Remove(Remove { scope: self.scope.clone(), what })
    }

    fn remove_container(&self, place: Place<'_>, version: &str) -> Work {
        let (names, role) = (&self.scope.names, &place.role.name);
        let mut found = place.observed.of_role(names, role).filter(|c| c.version(names, role) == version);
        let Some(container) = found.next() else {
            return Work::Nothing(format!("no container of version {version}"));
        };
        let name = &container.name;
        if container.is_running() {
            return Work::Refused {
                doing: format!("remove {name}"),
                reason: "it is running".into(),
                hint: Some("`app stop` stops it, and a deploy of another version retires it".into()),
            };
        }
        let what = What::Container { role: role.clone(), name: name.clone() };
        Work::run(self.removes(what), format!("removed {name}"))
    }

    fn remove_containers(&self) -> Stage {
        self.each_role(|place| {
            let what = What::Containers(place.role.name.clone());
            Some(Work::run(self.removes(what), "removed the stopped containers"))
        })
    }

    /// Removes the containers of roles that the configuration no longer has on a server.
    fn remove_orphans(&self) -> Stage {
        self.each_server(|host, observed| {
            let all = orphans(self.config, &self.scope.names, host, observed).into_iter();
            let roles: BTreeSet<&str> = all.map(|(role, _)| role).collect();
            let steps: Vec<Step> =
                roles.into_iter().map(|role| self.removes(What::Containers(role.into()))).collect();
            let any = self.is_whole(host) && !steps.is_empty();
            any.then(|| Work::Run { steps, note: None, said: String::new() })
        })
    }

    /// Removes each role's file of secrets. Its directory may stay, for other roles or another app.
    fn remove_secrets(&self) -> Stage {
        self.each_role(|place| {
            let (role, path) = (&place.role.name, self.scope.names.env_file(&place.role.name));
            let file = EnvFile { scope: self.scope.clone(), role: Some(role.clone()), path, secret: None };
            Some(Work::run(Step::Env(file), ""))
        })
    }

    fn remove_images(&self) -> Stage {
        let config = self.config;
        self.each_server(|host, _| {
            if !config.hosts().contains(&host) {
                return None;
            }
            if !self.is_whole(host) {
                return Some(Work::Nothing("kept the images: other roles on this server use them".into()));
            }
            let what = What::Images { repository: config.repository(), latest: config.latest_tag() };
            Some(Work::run(self.removes(what), "removed the images"))
        })
    }

    fn remove_directory(&self) -> Stage {
        let remove = || Work::run(self.removes(What::Directory), "removed the app's directory");
        self.each_server(|host, _| self.is_whole(host).then(remove))
    }

    /// Removes old containers and images. The script checks on the server which ones no role needs.
    pub(super) fn prune(&self, parts: Parts, retain: Option<usize>) -> Stage {
        let Basis { config, scope, selection, .. } = *self;
        self.each_server(|host, _| {
            let step = Step::Prune(Prune {
                scope: scope.clone(),
                roles: selection.roles_of(host).map(|(role, _)| role.name.clone()).collect(),
                retain: retain.unwrap_or(config.retain_containers),
                repository: config.repository(),
                assets: Vec::new(),
                ended: Vec::new(),
                unread: Vec::new(),
                parts: Some(parts),
            });
            Some(Work::run(step, format!("pruned {}", parts.what())))
        })
    }
}
