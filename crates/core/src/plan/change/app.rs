//! Changes to the app's containers outside of a deploy: start, stop, maintenance.

use super::{Basis, Piece, Stage, Work};
use crate::commands::app;
use crate::error::Refusal;
use crate::observed::{Container, Observed};
use crate::plan::{Retire, retire, step::Step};
use crate::proxy::{Maintain, OfRole, ProxyKind};
use crate::request::Page;
use bowline_config::{Role, RoleHost};

#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub role: &'a Role,
    host: &'a RoleHost,
    pub observed: &'a Observed,
}

impl<'a> Basis<'a> {
    /// Plans work for every role on every observed server.
    pub(super) fn each_role(&self, work: impl Fn(Place<'a>) -> Option<Work>) -> Stage {
        let Basis { selection, observed, .. } = *self;
        let piece = |role: &'a Role, host: &'a RoleHost| {
            let place = Place { role, host, observed: observed.get(&host.host)? };
            let (host, role) = (place.host.host.clone(), Some(role.name.clone()));
            Some(Piece { host, role, work: work(place)? })
        };
        let of_role = |(role, hosts): &(&'a Role, Vec<&'a RoleHost>)| {
            hosts.iter().filter_map(|host| piece(role, host)).collect::<Vec<_>>()
        };
        selection.roles.iter().flat_map(of_role).collect::<Vec<_>>().into()
    }

    /// Every observed server.
    pub(super) fn each_server(&self, work: impl Fn(&'a str, &'a Observed) -> Option<Work>) -> Stage {
        let piece = |(host, observed): (&'a String, &'a Observed)| {
            Some(Piece { host: host.clone(), role: None, work: work(host, observed)? })
        };
        self.observed.iter().filter_map(piece).collect::<Vec<_>>().into()
    }

    fn of(&self, role: &'a Role) -> OfRole<'a> {
        OfRole { config: self.config, scope: self.scope, role }
    }

    fn containers(&self, place: Place<'a>) -> impl Iterator<Item = &'a Container> {
        place.observed.of_role(&self.scope.names, &place.role.name)
    }

    fn current(&self, place: Place<'a>) -> Option<&'a Container> {
        let latest = self.config.latest_image();
        place.observed.current(&self.scope.names, &place.role.name, &latest)
    }

    pub(super) fn start(&self, version: Option<&str>) -> Stage {
        self.each_role(|place| Some(self.start_one(place, version)))
    }

    fn start_one(&self, place: Place<'a>, version: Option<&str>) -> Work {
        let Basis { config, scope, .. } = *self;
        let found = match version {
            Some(version) => self
                .containers(place)
                .find(|container| container.version(&scope.names, &place.role.name) == version),
            None => self.current(place).or_else(|| {
                let latest = place.observed.images.get(&config.latest_image());
                let served = self.containers(place).find(|container| Some(&container.image_id) == latest);
                served.or_else(|| self.containers(place).next())
            }),
        };
        match found {
            None => {
                let what = version.map_or_else(String::new, |version| format!(" of version {version}"));
                let message = format!("there is no container{what} to start");
                let hint = "`app containers` lists the existing ones; `app boot` creates a new one".into();
                Work::refused("start the app", Refusal { message, hint })
            }
            Some(running) if running.is_running() && self.is_routed(place, running) => {
                Work::Nothing(format!("{} is already running", running.name))
            }
            Some(stopped) => Work::Start(Box::new(retire::restart(config, scope, place.role, stopped))),
        }
    }

    /// Whether requests can reach a running container. Only kamal-proxy may have lost its route.
    fn is_routed(&self, place: Place<'a>, container: &Container) -> bool {
        let Place { role, observed, .. } = place;
        let service = || observed.service(&self.scope.names, &role.name);
        ProxyKind::of(role) != ProxyKind::Kamal
            || observed.services.is_none()
            || service().is_some_and(|service| service.is_served_by(&container.id))
    }

    pub(super) fn stop(&self) -> Stage {
        self.each_role(|place| {
            let role = place.role.name.as_str();
            let record = Step::Run("write to the audit log", app::stopped(self.scope, role));
            Some(self.retire(place, |_| true, vec![record], "no container is running"))
        })
    }

    pub(super) fn stop_stale(&self) -> Stage {
        self.each_role(|place| {
            let current = self.current(place).map(|container| &container.id);
            let stale = |container: &Container| Some(&container.id) != current;
            Some(self.retire(place, stale, Vec::new(), "no stale containers"))
        })
    }

    fn retire(
        &self,
        place: Place<'a>,
        meant: impl Fn(&Container) -> bool,
        then: Vec<Step>,
        otherwise: &str,
    ) -> Work {
        let Basis { config, scope, .. } = *self;
        let running = self.containers(place).filter(|container| container.is_running() && meant(container));
        let retire: Vec<Retire> =
            running.map(|container| retire::retirement(config, scope, place.role, container)).collect();
        if retire.is_empty() { Work::Nothing(otherwise.into()) } else { Work::Retire { retire, then } }
    }

    /// Stops containers of roles that are no longer in the configuration, on servers whose roles are all selected.
    pub(super) fn stop_orphans(&self) -> Stage {
        let Basis { config, scope, .. } = *self;
        self.each_server(|host, observed| {
            let orphans = retire::orphans(config, &scope.names, host, observed).into_iter();
            let running = orphans.filter(|(_, container)| self.is_whole(host) && container.is_running());
            let retire: Vec<Retire> =
                running.map(|(role, container)| retire::orphan(config, scope, role, container)).collect();
            (!retire.is_empty()).then(|| Work::Retire { retire, then: Vec::new() })
        })
    }

    /// Whether all roles of a server are selected. If not, the other roles may need its images and files.
    pub(super) fn is_whole(&self, host: &str) -> bool {
        let roles = self.config.roles.iter();
        let all = roles.filter(|role| role.hosts.iter().any(|entry| entry.host == host)).count();
        self.selection.roles_of(host).count() == all
    }

    pub(super) fn pause(&self, page: &Page) -> Stage {
        let own = self.given.page.as_deref();
        self.each_role(|place| maintain(self.of(place.role).pause(place.observed, page, own)))
    }

    pub(super) fn resume(&self) -> Stage {
        self.each_role(|place| maintain(self.of(place.role).resume(place.observed)))
    }
}

fn maintain(decided: Result<Option<Maintain>, Refusal>) -> Option<Work> {
    match decided {
        Ok(maintain) => maintain.map(Work::Maintain),
        Err(refusal) => Some(Work::refused("change to or from maintenance", refusal)),
    }
}
