//! The plan: everything that a run will do, decided before it does anything.
//!
//! [`deploy::plan`] makes the plan from the configuration and the observed state, [`show`] prints it, and the engine executes
//! the same value. The only later decisions are those that depend on the result of a step.

pub mod accessory;
mod assets;
pub mod change;
pub mod delivery;
pub mod deploy;
mod neighbours;
pub mod resume;
pub mod retire;
pub mod secrets;
pub mod show;
pub mod step;

use crate::commands::app::{self, IfHealthy};
use crate::commands::serving::{Check, Serving};
use crate::commands::{assets::Prepare, network::Network, prune};
use crate::proxy::{self, Attach, Detach, OnServer, ProxyKind};
use crate::request::DeployKind;
use bowline_config::{BarrierOrder, OnFailure};
use delivery::Delivery;
use step::Step;

#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub kind: DeployKind,
    /// Service and destination, for display.
    pub app: String,
    pub version: String,
    /// `REPO:VER`.
    pub image: String,
    /// The servers of the primary role come first.
    pub servers: Vec<ServerPlan>,
    /// Indexes into `servers`. The servers of a group boot together, one group after the other.
    pub groups: Vec<Vec<usize>>,
    /// Seconds between two groups.
    pub group_wait: u64,
    pub barrier: BarrierPlan,
    /// Whether the roles of a server boot in parallel, or one after the other.
    pub parallel_roles: bool,
    /// What to do with servers that have already switched when another one fails.
    pub on_failure: OnFailure,
}

/// Which role opens the barrier, and when the others wait at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarrierPlan {
    /// The role that opens it. `None`: this run has no primary role, so no role waits.
    pub opened_by: Option<String>,
    /// Whether waiting roles boot before or after it opens.
    pub order: BarrierOrder,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ServerPlan {
    pub host: String,
    /// How the image gets to the server. `None` if it need not be sent or pulled.
    pub delivery: Option<Delivery>,
    /// The network to create, if it is missing and no proxy's step creates it.
    pub network: Option<Network>,
    /// The proxies that serve roles here, at most one of each kind.
    pub proxies: Vec<OnServer>,
    /// The assets to prepare, one entry per role.
    pub assets: Vec<Prepare>,
    pub roles: Vec<RolePlan>,
    pub tag: app::Tag,
    /// Whether the server already records this version as the latest.
    pub tagged: bool,
    /// Restores the previous latest tag, if the server has to go back.
    pub tag_back: Option<app::Tag>,
    pub prune: Option<prune::Prune>,
    /// Remarks about the server, for display.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RolePlan {
    pub role: String,
    pub boot: app::Boot,
    /// The running container that already matches the plan, so that this role needs no step. If pulling brings
    /// another image for the same version, the container is replaced after all.
    pub kept: Option<resume::Kept>,
    pub attach: Attach,
    /// The running containers that the new one replaces.
    pub retire: Vec<Retire>,
    /// Seconds for `docker stop -t`.
    pub stop_wait: Option<u64>,
    /// Restarts the container that served before, if the role has to go back to it.
    pub back: Option<app::Start>,
}

/// Retires a container, gracefully if it gets requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Retire {
    pub version: String,
    /// How to take requests away from it first.
    pub detach: Detach,
    pub stop: app::Stop,
    /// Restarts it, if its replacement fails while this is in progress.
    pub again: Option<app::Start>,
}

impl Retire {
    /// Retires the container only as long as `other` serves.
    #[must_use]
    pub fn instead(mut self, other: &Serving) -> Self {
        self.detach.instead(other);
        self.stop.instead = Some(other.clone());
        self
    }

    pub fn steps(&self) -> Vec<Step> {
        let detach = self.detach.step().map(Step::Proxy);
        detach.into_iter().chain([Step::Stop(self.stop.clone())]).collect()
    }
}

impl RolePlan {
    /// How to retire the new container if the role has to go back.
    pub fn undo(&self, id: &str, healthy: bool) -> Retire {
        let boot = &self.boot;
        let kind = self.attach.kind();
        let detach = if healthy { kind.rules().detach_new(boot, id) } else { Detach::None };
        let stop = app::Stop {
            scope: boot.scope.clone(),
            role: self.role.clone(),
            name: boot.container(),
            id: id.into(),
            drain: (kind.rules().leaves_open_requests() && healthy).then_some(DRAIN_UNDONE_S),
            stop_wait: self.stop_wait,
            cord: boot.cord.as_ref().map(|_| boot.cord_directory()),
            if_healthy: if detach.is_some() { IfHealthy::Leave } else { IfHealthy::Stop },
            instead: None,
            undoes: Some(boot.version.clone()),
        };
        Retire { version: boot.version.clone(), detach, stop, again: None }
    }

    pub fn serving(&self, id: &str) -> Serving {
        Serving { id: id.into(), restarts: None, ready: self.boot.ready }
    }

    pub fn check(&self, serving: Serving) -> Check {
        let boot = &self.boot;
        Check {
            scope: boot.scope.clone(),
            name: boot.container(),
            serving,
            network: boot.network(),
            timeout: boot.timeout,
            readiness_delay: boot.readiness_delay,
        }
    }
}

/// How long a new container that is undone may take to answer its open requests, in seconds.
const DRAIN_UNDONE_S: u64 = 30;

impl ServerPlan {
    pub fn proxy(&self, kind: ProxyKind) -> Option<&OnServer> {
        self.proxies.iter().find(|proxy| proxy.kind() == kind)
    }

    /// All steps in the order in which they begin, each with its role. Kept containers need none.
    pub fn steps(&self) -> Vec<(Option<&str>, Step)> {
        let mut steps: Vec<(Option<&str>, Step)> = Vec::new();
        steps.extend(self.delivery.clone().map(|delivery| (None, delivery.step())));
        steps.extend(self.network.clone().map(|network| (None, Step::Network(network))));
        let missing = self.proxies.iter().flat_map(OnServer::steps);
        steps.extend(missing.map(|step| (None, Step::Proxy(step))));
        if self.is_done() {
            return steps;
        }
        let begins = |role: &&RolePlan| role.kept.is_none();
        for assets in &self.assets {
            if self.roles.iter().filter(begins).any(|role| role.role == assets.role) {
                steps.push((Some(&assets.role), Step::Assets(assets.clone())));
            }
        }
        for role in self.roles.iter().filter(begins) {
            let name = Some(role.role.as_str());
            steps.push((name, Step::Boot(Box::new(role.boot.clone()))));
            steps.extend(role.attach.step("ID").map(|step| (name, Step::Proxy(step))));
            if self.take_over().is_none() {
                steps.extend(retirement(role));
            }
        }
        steps.push((None, Step::Tag(self.tag.clone())));
        steps.extend(self.prune.clone().map(|prune| (None, Step::Prune(prune))));
        if let Some(take_over) = self.take_over() {
            steps.push((None, Step::Proxy(take_over)));
            steps.extend(self.roles.iter().flat_map(retirement));
        }
        steps
    }

    /// The step in which one of the proxies takes over the ports of another, if any.
    pub fn take_over(&self) -> Option<proxy::Step> {
        self.proxies.iter().find_map(OnServer::take_over)
    }
}

fn retirement(role: &RolePlan) -> Vec<(Option<&str>, Step)> {
    let of = |retire: &Retire| retire.steps().into_iter().map(|step| (Some(role.role.as_str()), step));
    role.retire.iter().flat_map(of).collect()
}
