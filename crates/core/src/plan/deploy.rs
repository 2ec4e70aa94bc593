//! Turns the configuration and the observed state into the plan of a deploy, redeploy, rollback or boot.

use std::collections::BTreeMap;

use super::assets;
use super::delivery::Delivery;
use super::resume;
use super::retire::{restart, retirement, stop_wait};
use super::{BarrierPlan, Plan, Retire, RolePlan, ServerPlan, neighbours, retire};
use crate::commands::network::Network;
use crate::commands::{Scope, app, prune, registry};
use crate::error::PlanError;
use crate::names::Names;
use crate::observed::{Container, Observed};
use crate::proxy::{self, Detach, OfRole, ProxyKind, Site, cord, kamal};
use crate::request::{DeployKind, DeployRequest};
use crate::secrets::{Secrets, environment, login};
use crate::selection::Selection;
use bowline_config::{Config, Pairs, Role, RoleHost, merge_pairs, unique};

/// The version to roll back to if the user names none: the one before the current one, on the first server that knows
/// it. After a run that succeeded on only some servers, one that some still serve and others served before.
pub fn previous_version(
    config: &Config,
    selection: &Selection<'_>,
    observed: &BTreeMap<String, Observed>,
) -> Result<String, PlanError> {
    let known: Vec<(String, Option<String>)> = selection
        .hosts
        .iter()
        .filter_map(|host| {
            let (role, _) = selection.roles_of(host).next()?;
            turn(config, observed.get(*host)?, role)
        })
        .collect();
    let previous = || known.iter().filter_map(|(_, previous)| previous.as_ref());
    let is_current = |version: &String| known.iter().any(|(current, _)| current == version);
    let found = previous().find(|version| is_current(version)).or_else(|| previous().next());
    found.cloned().ok_or_else(|| {
        let mut choices = versions(config, selection, observed);
        choices.retain(|version| !is_current(version));
        PlanError::NoneBefore { choices }
    })
}

/// The version that serves on a server, and the one that served before it and still has a container and an image.
///
/// If a deploy ended between its switch and its entry in the history, its version runs without an entry, and the last entry
/// is the previous version, which may still run too. Behind kamal-proxy, the route says which of the two serves. Kamal writes no history, so each container of Kamal counts as served.
fn turn(config: &Config, server: &Observed, role: &Role) -> Option<(String, Option<String>)> {
    let names = Names::of(config);
    let containers: Vec<(&str, &Container)> = server
        .of_role(&names, &role.name)
        .map(|container| (container.version(&names, &role.name), container))
        .collect();
    let has_entry = |version: &str| server.served.iter().any(|served| served == version);
    let unfinished = || {
        containers.iter().find(|(version, container)| {
            container.is_running() && container.is_of_bowline() && !has_entry(version)
        })
    };
    let is_routed = server.service(&names, &role.name).is_some();
    let current = match (!is_routed).then(unfinished).flatten() {
        Some((_, container)) => container,
        None => server.current(&names, &role.name, &config.latest_image())?,
    };
    let current_version = current.version(&names, &role.name);
    let entry = server.served.iter().rposition(|served| served == current_version);
    let older = || {
        let older = containers.iter().filter(|(_, container)| container.created < current.created);
        older.filter(|(version, _)| *version != current_version)
    };
    let of_kamal = || older().find(|(_, container)| !container.is_of_bowline());
    let previous = if entry.is_none() && !current.is_of_bowline() {
        // Kamal deployed after Bowline did.
        older().find(|(version, container)| !container.is_of_bowline() || has_entry(version))
    } else {
        let before = server.served.iter().take(entry.unwrap_or(server.served.len())).rev();
        let there = before.filter(|version| server.images.contains_key(&config.image_of(version)));
        let mut there = there.filter_map(|entry| containers.iter().find(|(version, _)| version == entry));
        there.next().or_else(of_kamal)
    };
    Some((current_version.to_owned(), previous.map(|(version, _)| (*version).to_owned())))
}

/// The versions that every server has, and that a rollback can choose, newest first.
pub fn versions(
    config: &Config,
    selection: &Selection<'_>,
    observed: &BTreeMap<String, Observed>,
) -> Vec<String> {
    let names = Names::of(config);
    let mut common: Option<Vec<&str>> = None;
    for (role, hosts) in &selection.roles {
        for server in hosts.iter().filter_map(|host| observed.get(&host.host)) {
            let all = server.of_role(&names, &role.name);
            let mut here = unique(all.map(|container| container.version(&names, &role.name)));
            if let Some(common) = common {
                here = common.into_iter().filter(|version| here.contains(version)).collect();
            }
            common = Some(here);
        }
    }
    common.unwrap_or_default().into_iter().map(Into::into).collect()
}

/// The fewest characters that can abbreviate a version, as for commits in git.
const SHORTEST: usize = 4;

/// Resolves a version for a rollback: in full, or abbreviated if only one version on all servers begins like that.
pub fn named_version(
    config: &Config,
    selection: &Selection<'_>,
    observed: &BTreeMap<String, Observed>,
    name: &str,
) -> String {
    let choices = versions(config, selection, observed);
    let in_full = choices.iter().any(|version| version == name) || name.len() < SHORTEST;
    let mut longer = choices.into_iter().filter(|version| !in_full && version.starts_with(name));
    match (longer.next(), longer.next()) {
        (Some(version), None) => version,
        _ => name.to_owned(),
    }
}

/// Makes the plan for the observed servers. Servers without an observation are left out.
pub fn plan(
    config: &Config,
    selection: &Selection<'_>,
    secrets: &Secrets,
    request: &DeployRequest,
    observed: &BTreeMap<String, Observed>,
) -> Result<Plan, PlanError> {
    let planner = Planner { config, secrets, request };
    if request.kind == DeployKind::Rollback {
        planner.check_rollback(selection, observed)?;
    }
    let mut servers = Vec::new();
    for host in &selection.hosts {
        if let Some(server) = observed.get(*host) {
            servers.push(planner.server(selection, host, server)?);
        }
    }
    let all_seen = servers.len() == selection.hosts.len();
    resume::only_to_go_on(&mut servers, all_seen);
    let group = config.boot.limit.map_or(servers.len(), |limit| limit.of(config.all_hosts().len())).max(1);
    let indexes: Vec<usize> = (0..servers.len()).collect();
    let primary = selection.roles.iter().any(|(role, _)| role.name == config.primary_role);
    Ok(Plan {
        kind: request.kind,
        app: request.scope.names.app(),
        version: request.version.clone(),
        image: config.image_of(&request.version),
        groups: indexes.chunks(group).map(<[usize]>::to_vec).collect(),
        group_wait: config.boot.wait.map_or(0, |wait| wait.as_secs()),
        barrier: BarrierPlan {
            opened_by: primary.then(|| config.primary_role.clone()),
            order: config.boot.barrier,
        },
        parallel_roles: config.boot.parallel_roles,
        on_failure: config.boot.on_failure,
        servers,
    })
}

struct Planner<'a> {
    config: &'a Config,
    secrets: &'a Secrets,
    request: &'a DeployRequest,
}

impl Planner<'_> {
    fn scope(&self) -> &Scope {
        &self.request.scope
    }

    fn check_rollback(
        &self,
        selection: &Selection<'_>,
        observed: &BTreeMap<String, Observed>,
    ) -> Result<(), PlanError> {
        let names = &self.scope().names;
        let image = self.config.image_of(&self.request.version);
        let mut missing = Vec::new();
        for (role, hosts) in &selection.roles {
            for host in hosts {
                let Some(server) = observed.get(&host.host) else { continue };
                let container = server
                    .of_role(names, &role.name)
                    .any(|container| container.version(names, &role.name) == self.request.version);
                if !container || !server.images.contains_key(&image) {
                    missing.push(format!("{} ({})", host.host, role.name));
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(PlanError::NoSuchVersion {
            version: self.request.version.clone(),
            missing,
            choices: versions(self.config, selection, observed),
        })
    }

    fn server(
        &self,
        selection: &Selection<'_>,
        host: &str,
        observed: &Observed,
    ) -> Result<ServerPlan, PlanError> {
        let kind = self.request.kind;
        let image = self.config.image_of(&self.request.version);
        let entries: Vec<(&Role, &RoleHost)> = selection.roles_of(host).collect();
        let (config, secrets, scope) = (self.config, self.secrets, self.scope());
        let site = Site { config, secrets, scope, host, observed, request: self.request };
        let (mut proxies, mut notes) = (Vec::new(), Vec::new());
        for kind in ProxyKind::of_all(entries.iter().map(|(role, _)| *role)) {
            proxies.extend(kind.rules().on_server(&site)?);
            notes.extend(kind.rules().notes(&site));
        }
        proxy::share_no_port(host, &proxies)?;
        for role in entries.iter().filter(|(role, _)| observed.maintenance.contains(&role.name)) {
            notes.push(format!("{} is in maintenance here: the page stays until `app live`", role.0.name));
        }
        for (role, container) in retire::orphans(config, &scope.names, host, observed) {
            if container.is_running() {
                notes.push(format!(
                    "{} is still running, but the configuration has no role {role} here: `bowline app stale-containers --stop` stops it",
                    container.name
                ));
            }
        }
        let mut roles: Vec<RolePlan> = Vec::new();
        for (role, entry) in &entries {
            let role = self.role(role, entry, observed)?;
            for note in neighbours::notes(&self.scope().names, &role.boot.labels, observed) {
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
            agree(host, &roles, &role)?;
            roles.push(role);
        }
        Ok(ServerPlan {
            host: host.into(),
            delivery: self.delivery(&image, observed)?,
            network: (!observed.network && proxies.is_empty()).then(|| Network { scope: scope.clone() }),
            proxies,
            assets: roles
                .iter()
                .filter_map(|role| assets::prepare(self.scope(), role, observed, &self.config.latest_image()))
                .collect(),
            tag: app::Tag {
                scope: self.scope().clone(),
                image: image.clone(),
                latest: self.config.latest_image(),
                version: self.request.version.clone(),
                kind: match kind {
                    DeployKind::Rollback => Some("rollback"),
                    DeployKind::Boot | DeployKind::TakeOver(_)
                        if self.request.version == self.config.latest_tag() =>
                    {
                        None
                    }
                    _ => Some("deploy"),
                },
                serving: Vec::new(),
            },
            tagged: resume::is_tagged(self.config, &self.request.version, observed),
            tag_back: roles
                .iter()
                .find_map(|role| role.back.as_ref())
                .map(|back| self.tag_back(back, observed)),
            prune: self.prune(&entries, &roles, observed),
            roles,
            notes,
        })
    }

    /// A deploy removes old containers, images and assets, including assets of roles that no longer have an asset path.
    /// Other runs only remove assets, if any of the roles has an asset path.
    fn prune(
        &self,
        entries: &[(&Role, &RoleHost)],
        plans: &[RolePlan],
        observed: &Observed,
    ) -> Option<prune::Prune> {
        let parts = match self.request.kind {
            DeployKind::Deploy => Some(prune::Parts::All),
            _ if entries.iter().any(|(role, _)| role.asset_path.is_some()) => None,
            _ => return None,
        };
        let clean = |role| assets::clean(self.config, role, &self.request.version, observed);
        Some(prune::Prune {
            scope: self.scope().clone(),
            roles: entries.iter().map(|(role, _)| role.name.clone()).collect(),
            retain: self.config.retain_containers,
            repository: self.config.repository(),
            assets: entries.iter().map(|(role, _)| clean(role)).collect(),
            ended: plans.iter().flat_map(|role| &role.retire).map(|retire| retire.stop.id.clone()).collect(),
            unread: match parts {
                Some(_) => kamal::files::unread(&self.scope().names, entries.iter().map(|(role, _)| *role)),
                None => Vec::new(),
            },
            parts,
        })
    }

    fn tag_back(&self, back: &app::Start, observed: &Observed) -> app::Tag {
        let image = self.config.image_of(&back.version);
        let id = observed.containers.iter().find(|container| container.id == back.id);
        app::Tag {
            scope: self.scope().clone(),
            // The version's own tag may be gone, but the container's image can't be.
            image: match id {
                Some(container) if !observed.images.contains_key(&image) => container.image_id.clone(),
                _ => image,
            },
            latest: self.config.latest_image(),
            version: back.version.clone(),
            kind: Some("rollback"),
            serving: Vec::new(),
        }
    }

    /// How the image gets to the server. Without a registry, a missing image is sent, or Docker would try to pull it.
    fn delivery(&self, image: &str, observed: &Observed) -> Result<Option<Delivery>, PlanError> {
        let kind = self.request.kind;
        let delivers = matches!(kind, DeployKind::Deploy | DeployKind::Redeploy);
        if !self.config.registry.is_absent() {
            return if delivers { self.pull(image).map(|pull| Some(Delivery::Pull(pull))) } else { Ok(None) };
        }
        let missing = matches!(kind, DeployKind::Boot | DeployKind::TakeOver(_))
            && !observed.images.contains_key(image);
        Ok((delivers || missing).then(|| {
            Delivery::Send(registry::Receive {
                scope: self.scope().clone(),
                locked: true,
                image: image.into(),
                version: self.request.version.clone(),
                way: registry::Way::Load,
            })
        }))
    }

    fn pull(&self, image: &str) -> Result<registry::Pull, PlanError> {
        Ok(registry::Pull {
            scope: self.scope().clone(),
            locked: true,
            login: login(&self.config.registry, self.secrets)?,
            image: image.into(),
            version: self.request.version.clone(),
        })
    }

    fn role(&self, role: &Role, entry: &RoleHost, observed: &Observed) -> Result<RolePlan, PlanError> {
        let (config, names) = (self.config, &self.scope().names);
        let version = &self.request.version;
        let kind = ProxyKind::of(role);
        let (cord, labels) = (kind.rules().cord(role), self.labels(role));
        let mut boot = app::Boot {
            scope: self.scope().clone(),
            role: role.name.clone(),
            version: version.clone(),
            image: config.image_of(version),
            environment: environment(config, self.secrets, role, entry)?,
            labels,
            made: bowline_config::secret::Secret::default(),
            cmd: role.cmd.clone(),
            health: role.healthcheck.as_ref().map(|health| app::HealthFlags {
                cmd: match &cord {
                    Some(cord) => cord::health_command(&health.cmd, cord),
                    None => health.cmd.clone(),
                },
                interval_ms: health.interval.as_millis(),
                quick_start_s: (observed.docker_major() >= 25).then_some(config.deploy_timeout.as_secs()),
            }),
            cord,
            assets: role.asset_path.clone(),
            ready: kind.rules().ready(),
            timeout: config.deploy_timeout.as_secs(),
            readiness_delay: config.readiness_delay.as_secs(),
        };
        let of = OfRole { config, scope: self.scope(), role };
        let attach = of.attach(&boot.container(), boot.labels.iter().map(|(key, value)| (key, value)));
        let fingerprint = resume::fingerprint(&boot, &attach);
        let running: Vec<&Container> =
            observed.of_role(names, &role.name).filter(|container| container.is_running()).collect();
        boot.labels = proxy::unlike(boot.labels, &running);
        neighbours::check(&entry.host, names, &boot.labels, observed)?;
        boot.made = fingerprint;
        let back = observed
            .current(names, &role.name, &config.latest_image())
            .map(|container| restart(config, self.scope(), role, container));
        let retire = |container: &Container| {
            // kamal-proxy still sends requests to this one, but no longer serves the role.
            let service = names.prefix(&role.name);
            let known = observed.services.as_ref().and_then(|listed| listed.service(&service));
            let stays = self.request.kind.direction().is_none();
            if stays
                && kind != ProxyKind::Kamal
                && known.is_some_and(|known| known.is_served_by(&container.id))
            {
                let detach = kamal::service::unregister(&of, container);
                return Retire { detach, ..retirement(config, self.scope(), role, container) };
            }
            let all = retirement(config, self.scope(), role, container);
            // Attaching the new container has already taken the requests from this one.
            if kind.switches() { Retire { detach: Detach::None, ..all } } else { all }
        };
        let retire = running.into_iter().map(retire).collect();
        let mut plan = RolePlan {
            role: role.name.clone(),
            attach: of.attach(&boot.container(), boot.labels.iter().map(|(key, value)| (key, value))),
            boot,
            kept: None,
            retire,
            stop_wait: stop_wait(role),
            back,
        };
        plan.kept = resume::kept(config, self.request, &plan, observed);
        if self.request.kind.direction().is_some() {
            // The old container still serves, through the previous proxy.
            plan.back = None;
        }
        Ok(plan)
    }

    fn labels(&self, role: &Role) -> Pairs {
        let names = &self.scope().names;
        let own: Pairs = [
            ("service", names.service()),
            ("role", role.name.as_str()),
            ("destination", names.destination().unwrap_or("")),
        ]
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .into();
        let route = ProxyKind::of(role).rules().labels(names, role);
        merge_pairs(&merge_pairs(&own, &route), &role.labels)
    }
}

/// Rejects labels that contradict those of another role on the same server.
fn agree(host: &str, others: &[RolePlan], role: &RolePlan) -> Result<(), PlanError> {
    for other in others {
        let theirs = (other.role.as_str(), &other.boot.labels);
        proxy::roles_agree(host, (role.role.as_str(), &role.boot.labels), theirs)?;
    }
    Ok(())
}
