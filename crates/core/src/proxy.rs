//! The kinds of proxy, and what a plan asks of them.
//!
//! Each kind's module contains everything specific to it. The rest of the plan passes on opaque values: what a proxy
//! needs on a server ([`OnServer`]), how requests get to a container ([`Attach`]) and how they stop ([`Detach`]).

mod answer;
mod container;
pub mod kamal;
pub mod life;
mod none;
pub mod takeover;
pub mod traefik;

use std::collections::BTreeMap;

use bowline_config::{Config, Pairs, Role, ServedBy};

use crate::commands::Scope;
use crate::commands::app::Boot;
use crate::commands::ready::Ready;
use crate::commands::serving::Serving;
use crate::error::{PlanError, Refusal};
use crate::names::Names;
use crate::observed::{Container, Observed};
use crate::request::{DeployRequest, Page};
use crate::secrets::Secrets;
use crate::shell::Script;

pub use traefik::cord;
pub(crate) use traefik::labels::HIDDEN;
pub use traefik::labels::hidden;
pub(crate) use traefik::labels::{by_labels, network, unlike};
pub(crate) use traefik::neighbours::{apps_agree, roles_agree, shared_requests};
pub(crate) use traefik::{maintenance, shared_network};

pub(crate) fn containers() -> impl Iterator<Item = &'static str> {
    ProxyKind::ALL.into_iter().filter_map(ProxyKind::container)
}

/// The kinds of proxy that serve roles or accessories of a server, sorted, without [`ProxyKind::None`].
pub(crate) fn kinds(config: &Config, host: &str) -> Vec<ProxyKind> {
    let here = config.roles.iter().filter(|role| role.hosts.iter().any(|at| at.host == host));
    let mut kinds = ProxyKind::of_all(here);
    let accessories = config.accessories.iter().filter(|accessory| accessory.proxy.is_some());
    if accessories.flat_map(|accessory| &accessory.hosts).any(|at| at == host) {
        kinds.push(ProxyKind::Kamal);
    }
    kinds.retain(|kind| *kind != ProxyKind::None);
    kinds.sort();
    kinds.dedup();
    kinds
}

pub fn ports(config: &Config, host: &str) -> Vec<u16> {
    let of = |kind| match kind {
        ProxyKind::None => Vec::new(),
        ProxyKind::Traefik => {
            config.traefik.publish.then_some(config.traefik.host_port).into_iter().collect()
        }
        ProxyKind::Kamal => kamal::container::ports(kamal::run_of(config, host)),
    };
    kinds(config, host).into_iter().flat_map(of).collect()
}

/// Containers next to a proxy's own while it is replaced. Only a run that didn't finish leaves any.
pub(crate) fn spares() -> Vec<&'static str> {
    [kamal::container::BESIDE, traefik::container::BESIDE].concat()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProxyKind {
    None,
    Traefik,
    Kamal,
}

/// When a container of the primary role opens the barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// As soon as Docker considers it ready.
    Ready,
    /// Once requests go to it: the proxy checks whether it is ready.
    Attached,
}

/// How a kind of proxy affects a plan. The default methods describe a role without a proxy.
pub(crate) trait Rules: Sync {
    fn name(&self) -> &'static str;

    fn opens(&self) -> Opens;

    /// Whether only one container of a role gets requests, so that attaching one detaches the previous one.
    fn switches(&self) -> bool {
        false
    }

    fn ready(&self) -> Ready {
        Ready::Healthy
    }

    fn secrets(&self, _: &Config) -> Vec<String> {
        Vec::new()
    }

    fn check_secrets(&self, _: &Config, _: &Secrets) -> Result<(), PlanError> {
        Ok(())
    }

    /// What this proxy needs on a server with a role behind it.
    fn on_server(&self, _: &Site<'_>) -> Result<Option<OnServer>, PlanError> {
        Ok(None)
    }

    /// Where the server contradicts the configuration, for display.
    fn notes(&self, _: &Site<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Labels that the proxy adds to those of a role's containers.
    fn labels(&self, _: &Names, role: &Role) -> Pairs {
        hidden(&role.labels, &role.options)
    }

    /// Where the cord is mounted in a role's containers, if the proxy uses one.
    fn cord(&self, _: &Role) -> Option<String> {
        None
    }

    /// How to detach a container that was just booted and is healthy.
    fn detach_new(&self, _boot: &Boot, _id: &str) -> Detach {
        Detach::None
    }

    /// Whether stopping a container must wait for its open requests, because the proxy doesn't.
    fn leaves_open_requests(&self) -> bool {
        false
    }

    /// How requests get to the container with this name and these labels.
    fn attach(&self, _: &OfRole<'_>, _container: &str, _labels: &[(&String, &String)]) -> Attach {
        Attach::None
    }

    /// How to detach a container. If it was created with a cord, by cutting it, whichever proxy serves the role now.
    fn detach(&self, of: &OfRole<'_>, container: &Container) -> Detach {
        Detach::by(cord::Cut::of(of.scope, container))
    }

    /// How to show a maintenance page in place of a role. `_own` is the project's own page.
    fn pause(
        &self,
        _: &OfRole<'_>,
        _: &Observed,
        _: &Page,
        _own: Option<&str>,
    ) -> Result<Option<Maintain>, Refusal> {
        Ok(None)
    }

    /// How to put a role back in place of its maintenance page.
    fn resume(&self, _: &OfRole<'_>, _: &Observed) -> Result<Option<Maintain>, Refusal> {
        Ok(None)
    }
}

#[derive(Clone, Copy)]
pub struct OfRole<'a> {
    pub config: &'a Config,
    pub scope: &'a Scope,
    pub role: &'a Role,
}

impl ProxyKind {
    pub const ALL: [Self; 3] = [Self::None, Self::Traefik, Self::Kamal];

    pub fn of(role: &Role) -> Self {
        match role.served_by {
            ServedBy::Traefik => Self::Traefik,
            ServedBy::KamalProxy(_) => Self::Kamal,
            ServedBy::Nothing => Self::None,
        }
    }

    /// The kinds that serve any of these roles, sorted.
    pub fn of_all<'r>(roles: impl Iterator<Item = &'r Role>) -> Vec<Self> {
        let mut kinds: Vec<Self> = roles.map(Self::of).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    pub(crate) fn rules(self) -> &'static dyn Rules {
        match self {
            Self::None => &none::NoProxy,
            Self::Traefik => &traefik::Traefik,
            Self::Kamal => &kamal::KamalProxy,
        }
    }

    pub fn name(self) -> &'static str {
        self.rules().name()
    }

    /// The `bowline` command that manages this kind.
    pub fn command(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Traefik => Some("traefik"),
            Self::Kamal => Some("proxy"),
        }
    }

    pub fn container(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Traefik => Some(traefik::NAME),
            Self::Kamal => Some(kamal::NAME),
        }
    }

    /// A script that lists its container.
    pub fn details(self) -> Script {
        match self {
            Self::None => Script::default(),
            Self::Traefik => traefik::container::details(),
            Self::Kamal => kamal::container::details(),
        }
    }

    pub fn opens(self) -> Opens {
        self.rules().opens()
    }

    pub fn switches(self) -> bool {
        self.rules().switches()
    }
}

impl OfRole<'_> {
    fn rules(&self) -> &'static dyn Rules {
        ProxyKind::of(self.role).rules()
    }

    /// How requests get to the container with this name and these labels.
    pub fn attach<'l>(
        &self,
        container: &str,
        labels: impl IntoIterator<Item = (&'l String, &'l String)>,
    ) -> Attach {
        self.rules().attach(self, container, &labels.into_iter().collect::<Vec<_>>())
    }

    pub(crate) fn detach(&self, container: &Container) -> Detach {
        self.rules().detach(self, container)
    }

    /// How to show a maintenance page in place of this role. `None` without a proxy.
    pub(crate) fn pause(
        &self,
        observed: &Observed,
        page: &Page,
        own: Option<&str>,
    ) -> Result<Option<Maintain>, Refusal> {
        self.rules().pause(self, observed, page, own)
    }

    pub(crate) fn resume(&self, observed: &Observed) -> Result<Option<Maintain>, Refusal> {
        self.rules().resume(self, observed)
    }
}

/// A server that a plan is made for.
pub(crate) struct Site<'a> {
    pub config: &'a Config,
    pub secrets: &'a Secrets,
    pub scope: &'a Scope,
    pub host: &'a str,
    pub observed: &'a Observed,
    pub request: &'a DeployRequest,
}

#[derive(Debug, Clone, PartialEq)]
pub enum OnServer {
    Traefik(traefik::OnServer),
    Kamal(kamal::OnServer),
}

impl OnServer {
    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::Traefik(_) => ProxyKind::Traefik,
            Self::Kamal(_) => ProxyKind::Kamal,
        }
    }

    /// The steps that make sure that the proxy runs as configured, if any are needed.
    pub fn steps(&self) -> Vec<Step> {
        match self {
            Self::Traefik(traefik) => traefik.step().into_iter().collect(),
            Self::Kamal(proxy) => proxy.steps(),
        }
    }

    /// The step in which it takes over the ports of another proxy, if any.
    pub fn take_over(&self) -> Option<Step> {
        match self {
            Self::Traefik(traefik) => {
                traefik.take_over.clone().map(traefik::Step::TakeOver).map(Step::Traefik)
            }
            Self::Kamal(proxy) => proxy.take_over.clone().map(kamal::Step::TakeOver).map(Step::Kamal),
        }
    }

    /// How a new container is attached, for display.
    pub(crate) fn attaches(&self) -> &'static str {
        match self {
            Self::Traefik(traefik) => traefik.attaches(),
            Self::Kamal(_) => kamal::ATTACHES,
        }
    }

    fn ports(&self) -> Vec<u16> {
        match self {
            Self::Traefik(traefik) => traefik.ports.clone(),
            Self::Kamal(proxy) => proxy.ports.clone(),
        }
    }
}

pub(crate) fn share_no_port(host: &str, proxies: &[OnServer]) -> Result<(), PlanError> {
    ports_differ(host, proxies.iter().map(|proxy| (proxy.kind().name(), proxy.ports())))
}

fn ports_differ(host: &str, wanted: impl Iterator<Item = (&'static str, Vec<u16>)>) -> Result<(), PlanError> {
    let mut taken: BTreeMap<u16, &str> = BTreeMap::new();
    for (name, port) in wanted.flat_map(|(name, ports)| ports.into_iter().map(move |port| (name, port))) {
        if let Some(other) = taken.insert(port, name) {
            return Err(Refusal {
                message: format!("{other} and {name} both use port {port} of {host}"),
                hint: "give one of them another port, or serve all roles of this server by one proxy".into(),
            }
            .into());
        }
    }
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Attach {
    #[default]
    None,
    Traefik(traefik::labels::Route),
    Kamal(Box<kamal::Route>),
}

impl Attach {
    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::None => ProxyKind::None,
            Self::Traefik(_) => ProxyKind::Traefik,
            Self::Kamal(_) => ProxyKind::Kamal,
        }
    }

    /// The step that attaches the container with this id, if one is needed.
    pub fn step(&self, id: &str) -> Option<Step> {
        match self {
            Self::None | Self::Traefik(_) => None,
            Self::Kamal(route) => Some(Step::Kamal(kamal::Step::Register(Box::new(route.register(id))))),
        }
    }

    pub(crate) fn describe(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Traefik(_) => Some(traefik::ATTACHES),
            Self::Kamal(_) => Some(kamal::ATTACHES),
        }
    }

    /// Arguments for the proxy other than the container.
    pub(crate) fn settings(&self) -> &[String] {
        match self {
            Self::None | Self::Traefik(_) => &[],
            Self::Kamal(route) => &route.flags,
        }
    }
}

/// What to do before a container is stopped, so that it gets no more requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Detach {
    #[default]
    None,
    /// Cut its cord, so that Traefik stops sending it requests.
    Traefik(Box<cord::Cut>),
    /// Remove it from kamal-proxy.
    Kamal(Box<kamal::service::Unregister>),
}

impl Detach {
    /// Detaches by the cord that a container was created with.
    pub(crate) fn by(cut: Option<cord::Cut>) -> Self {
        cut.map_or(Self::None, |cut| Self::Traefik(Box::new(cut)))
    }

    pub fn is_some(&self) -> bool {
        *self != Self::None
    }

    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::None => ProxyKind::None,
            Self::Traefik(_) => ProxyKind::Traefik,
            Self::Kamal(_) => ProxyKind::Kamal,
        }
    }

    /// Detaches only as long as `other` serves.
    pub(crate) fn instead(&mut self, other: &Serving) {
        match self {
            Self::None | Self::Kamal(_) => {}
            Self::Traefik(cut) => cut.instead = Some(other.clone()),
        }
    }

    /// The step that begins the detaching.
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::None => None,
            Self::Traefik(cut) => Some(Step::Traefik(traefik::Step::Cut(cut.as_ref().clone()))),
            Self::Kamal(service) => Some(Step::Kamal(kamal::Step::Unregister(service.as_ref().clone()))),
        }
    }

    pub(crate) fn describe(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Traefik(cut) => {
                Some(format!("cut the cord of {}, and wait until Traefik stops routing to it", cut.name))
            }
            Self::Kamal(service) => Some(format!("stop routing {}", service.service)),
        }
    }
}

/// How to replace a role on a server with a maintenance page, or the page with the role.
#[derive(Debug, Clone, PartialEq)]
pub enum Maintain {
    /// Traefik routes to a container next to the app.
    Traefik(Box<traefik::maintenance::Turn>),
    /// kamal-proxy answers the requests itself.
    Kamal(Box<kamal::service::Pause>),
}

impl Maintain {
    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::Traefik(_) => ProxyKind::Traefik,
            Self::Kamal(_) => ProxyKind::Kamal,
        }
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        match self {
            Self::Traefik(turn) => turn.steps().into_iter().map(Step::Traefik).collect(),
            Self::Kamal(pause) => vec![Step::Kamal(kamal::Step::Pause(pause.as_ref().clone()))],
        }
    }
}

/// One round trip to one server that manages a proxy.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Traefik(traefik::Step),
    Kamal(kamal::Step),
    /// Find out which apps are behind a proxy that is going to be removed.
    Survey(takeover::Survey),
    /// Decide which of two proxies remains.
    Settle(takeover::Settle),
}

/// How long a step may wait deliberately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// As long as pulling an image.
    Pull,
    Seconds(u64),
}

impl Step {
    pub fn script(&self) -> Script {
        match self {
            Step::Traefik(step) => step.script(),
            Step::Kamal(step) => step.script(),
            Step::Survey(step) => step.script(),
            Step::Settle(step) => step.script(),
        }
    }

    pub fn describe(&self) -> String {
        match self {
            Step::Traefik(step) => step.describe(),
            Step::Kamal(step) => step.describe(),
            Step::Survey(step) => format!("list the apps behind {}", step.direction.from().name()),
            Step::Settle(step) => step.describe(),
        }
    }

    /// `None` if it changes nothing.
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Step::Traefik(step) => step.scope(),
            Step::Kamal(step) => step.scope(),
            Step::Survey(step) => Some(&step.scope),
            Step::Settle(step) => Some(&step.scope),
        }
    }

    pub fn takes(&self) -> Takes {
        match self {
            Step::Traefik(step) => step.takes(),
            Step::Kamal(step) => step.takes(),
            Step::Survey(_) | Step::Settle(_) => Takes::Seconds(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_proxies_of_a_server_take_requests_on_different_ports() {
        let both = |ports: [Vec<u16>; 2]| ports_differ("a", ["Traefik", "other"].into_iter().zip(ports));
        assert_eq!(both([vec![80], vec![8080, 443]]), Ok(()));
        assert_eq!(
            both([vec![80], vec![443, 80]]).unwrap_err().to_string(),
            "Traefik and other both use port 80 of a"
        );
    }
}
