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
use crate::proxy::takeover::Direction;
use crate::proxy::{self, Attach, Detach, OnServer, ProxyKind};
use bowline_config::{BarrierOrder, OnFailure};
use delivery::Delivery;
use step::Step;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeployKind {
    /// Everything.
    Deploy,
    /// Without pruning.
    Redeploy,
    /// Back to a version that is still on the servers: no pull, no pruning.
    Rollback,
    /// Only the boot: `app boot`.
    Boot,
    /// The boot of what serves, for another kind of proxy, which then takes the ports of the one before.
    TakeOver(Direction),
}

impl DeployKind {
    /// From which kind of proxy to which, if that is what it is about.
    pub fn direction(self) -> Option<Direction> {
        match self {
            DeployKind::TakeOver(direction) => Some(direction),
            DeployKind::Deploy | DeployKind::Redeploy | DeployKind::Rollback | DeployKind::Boot => None,
        }
    }

    /// What people call it.
    pub fn verb(self) -> &'static str {
        match self {
            DeployKind::Deploy => "deploy",
            DeployKind::Redeploy => "redeploy",
            DeployKind::Rollback => "roll back",
            DeployKind::Boot => "boot",
            DeployKind::TakeOver(direction) => direction.command(),
        }
    }
}

/// A run, decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub kind: DeployKind,
    /// The service and its destination, as people write it.
    pub app: String,
    pub version: String,
    /// `REPO:VER`.
    pub image: String,
    /// The servers, those of the primary role first.
    pub servers: Vec<ServerPlan>,
    /// The servers that boot together, one group after the other; indexes into `servers`.
    pub groups: Vec<Vec<usize>>,
    /// Seconds between two groups.
    pub group_wait: u64,
    pub barrier: BarrierPlan,
    /// Whether the roles of a server boot in parallel, or one after the other.
    pub parallel_roles: bool,
    /// What becomes of servers that were switched already when another one fails.
    pub on_failure: OnFailure,
}

/// Who opens the barrier and who waits at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarrierPlan {
    /// The role that opens it. `None`: this run has no primary role, so no role waits.
    pub opened_by: Option<String>,
    /// Whether waiting roles boot before or after it opens.
    pub order: BarrierOrder,
}

/// What happens on one server.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerPlan {
    pub host: String,
    /// How the image gets there, if it has to.
    pub delivery: Option<Delivery>,
    /// The network, if it is missing and no proxy comes with it.
    pub network: Option<Network>,
    /// The proxies that serve roles here, one of a kind.
    pub proxies: Vec<OnServer>,
    /// Assets to prepare, a role each.
    pub assets: Vec<Prepare>,
    pub roles: Vec<RolePlan>,
    /// The latest tag.
    pub tag: app::Tag,
    /// Whether it is there already.
    pub tagged: bool,
    /// The latest tag as it was, should the server have to go back.
    pub tag_back: Option<app::Tag>,
    /// What is removed in the end.
    pub prune: Option<prune::Prune>,
    /// What a person should know about it.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RolePlan {
    pub role: String,
    /// The new container.
    pub boot: app::Boot,
    /// The container that is just that already: then nothing is done. An image that turns out to be another one when
    /// it is pulled undoes this.
    pub kept: Option<resume::Kept>,
    /// How requests get to it.
    pub attach: Attach,
    /// The containers that serve now and won't afterwards.
    pub retire: Vec<Retire>,
    /// `docker stop -t`.
    pub stop_wait: Option<u64>,
    /// The container that served before, should the role have to go back to it.
    pub back: Option<app::Start>,
}

/// A container to retire: gracefully, if requests go to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Retire {
    pub version: String,
    /// How requests stop going to it.
    pub detach: Detach,
    pub stop: app::Stop,
    /// How it is given its requests back, should what comes in its place fail in the middle of this.
    pub again: Option<app::Start>,
}

impl Retire {
    /// The same, as long as another container serves.
    #[must_use]
    pub fn instead(mut self, other: &Serving) -> Self {
        self.detach.instead(other);
        self.stop.instead = Some(other.clone());
        self
    }

    /// What it takes, in order.
    pub fn steps(&self) -> Vec<Step> {
        let detach = self.detach.step().map(Step::Proxy);
        detach.into_iter().chain([Step::Stop(self.stop.clone())]).collect()
    }
}

impl RolePlan {
    /// The retirement of the new container itself, should it have to go.
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
        };
        Retire { version: boot.version.clone(), detach, stop, again: None }
    }

    /// The new container, as it has to be.
    pub fn serving(&self, id: &str) -> Serving {
        Serving { id: id.into(), restarts: None, ready: self.boot.ready }
    }

    /// The look whether the new container still serves.
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

/// How long a new container that has to go again may answer its open requests, in seconds.
const DRAIN_UNDONE_S: u64 = 30;

impl ServerPlan {
    /// The proxy of this kind, if it serves a role here.
    pub fn proxy(&self, kind: ProxyKind) -> Option<&OnServer> {
        self.proxies.iter().find(|proxy| proxy.kind() == kind)
    }

    /// All its steps in the order they begin, with the role they are for, as long as what is kept stays so.
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

    /// The step in which one of its proxies takes the ports of another, if any.
    pub fn take_over(&self) -> Option<proxy::Step> {
        self.proxies.iter().find_map(OnServer::take_over)
    }
}

/// The steps that retire the containers of a role that serve now.
fn retirement(role: &RolePlan) -> Vec<(Option<&str>, Step)> {
    let of = |retire: &Retire| retire.steps().into_iter().map(|step| (Some(role.role.as_str()), step));
    role.retire.iter().flat_map(of).collect()
}
