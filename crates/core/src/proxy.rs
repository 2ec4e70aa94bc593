//! The kinds of proxy, and what a plan asks of them.
//!
//! Each kind's module has everything in which it differs. The rest of the plan passes on values that it doesn't look into: what
//! a proxy needs on a server ([`OnServer`]), how requests get to a container ([`Attach`]) and how they stop ([`Detach`]).

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
use crate::names::Names;
use crate::observed::{Container, Observed};
use crate::plan::change::Page;
use crate::plan::deploy::{DeployRequest, PlanError};
use crate::plan::secrets::Secrets;
use crate::plan::step;
use crate::shell::Script;

pub use traefik::cord;
/// The label of a container that no proxy is to find.
pub(crate) use traefik::labels::HIDDEN;
pub use traefik::labels::hidden;
/// Names in labels that must differ from those of other running containers.
pub(crate) use traefik::labels::{by_labels, network, unlike};
pub(crate) use traefik::neighbours::{apps_agree, roles_agree, shared_requests};
pub(crate) use traefik::{maintenance, shared_network};

/// The containers of all kinds.
pub(crate) const CONTAINERS: [&str; 2] = [traefik::NAME, kamal::NAME];

/// The kinds of proxy that serve roles or accessories of a server, and none that is no proxy.
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

/// The ports that the proxies of a server take requests on.
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

/// Containers that a proxy has beside its own for a while: only a run that did not finish leaves them.
pub(crate) fn spares() -> Vec<&'static str> {
    [kamal::container::BESIDE, traefik::container::BESIDE].concat()
}

/// What sends requests to a role's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProxyKind {
    /// No proxy.
    None,
    /// Traefik.
    Traefik,
    /// kamal-proxy.
    Kamal,
}

/// When a container of the primary role opens the barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// Once Docker sees that it is ready.
    Ready,
    /// Once requests go to it: the proxy is what sees that it is ready.
    Attached,
}

/// What a kind of proxy has to say about a plan. The answers given here are those of no proxy.
pub(crate) trait Rules: Sync {
    /// How people call it.
    fn name(&self) -> &'static str;

    /// When a container of the primary role opens the barrier.
    fn opens(&self) -> Opens;

    /// Whether it sends a role's requests to one container alone: attaching one takes them from the one before.
    fn switches(&self) -> bool {
        false
    }

    /// What makes a container ready to be attached.
    fn ready(&self) -> Ready {
        Ready::Healthy
    }

    /// The secrets that it needs, by name.
    fn secrets(&self, _: &Config) -> Vec<String> {
        Vec::new()
    }

    /// Checks that these can reach it.
    fn check_secrets(&self, _: &Config, _: &Secrets) -> Result<(), PlanError> {
        Ok(())
    }

    /// What a server with a role behind it needs.
    fn on_server(&self, _: &Site<'_>) -> Result<Option<OnServer>, PlanError> {
        Ok(None)
    }

    /// What of a server contradicts the configuration, for a person.
    fn notes(&self, _: &Site<'_>) -> Vec<String> {
        Vec::new()
    }

    /// The labels that it adds to those of a role's containers.
    fn labels(&self, _: &Names, role: &Role) -> Pairs {
        hidden(&role.labels, &role.options)
    }

    /// Where the cord appears in a role's containers, if it goes by one.
    fn cord(&self, _: &Role) -> Option<String> {
        None
    }

    /// How requests stop going to a container that was just booted, and is healthy.
    fn detach_new(&self, _boot: &Boot, _id: &str) -> Detach {
        Detach::None
    }

    /// Whether the open requests of a container are waited for when it is stopped: the proxy doesn't do so itself.
    fn leaves_open_requests(&self) -> bool {
        false
    }

    /// Its container on a server, with what lists it.
    fn details(&self) -> Option<(&'static str, Script)> {
        None
    }

    /// How requests get to a container of this name, with these labels.
    fn attach(&self, _: &OfRole<'_>, _container: &str, _labels: &[(&String, &String)]) -> Attach {
        Attach::None
    }

    /// How a container stops getting requests. By its cord, if it was made with one, whatever serves the role now.
    fn detach(&self, of: &OfRole<'_>, container: &Container) -> Detach {
        Detach::by(cord::Cut::of(of.scope, container))
    }

    /// How a page takes a role's place: the project's own page, if it has one.
    fn pause(
        &self,
        _: &OfRole<'_>,
        _: &Observed,
        _: &Page,
        _own: Option<&str>,
    ) -> Result<Option<Maintain>, Refusal> {
        Ok(None)
    }

    /// How a role takes the page's place.
    fn resume(&self, _: &OfRole<'_>, _: &Observed) -> Result<Option<Maintain>, Refusal> {
        Ok(None)
    }
}

/// A role of a run.
#[derive(Clone, Copy)]
pub struct OfRole<'a> {
    pub config: &'a Config,
    pub scope: &'a Scope,
    pub role: &'a Role,
}

impl ProxyKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Traefik, Self::Kamal];

    /// The kind that serves a role.
    pub fn of(role: &Role) -> Self {
        match role.served_by {
            ServedBy::Traefik => Self::Traefik,
            ServedBy::KamalProxy(_) => Self::Kamal,
            ServedBy::Nothing => Self::None,
        }
    }

    /// The kinds that serve any of these roles, each once.
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

    /// How people call it.
    pub fn name(self) -> &'static str {
        self.rules().name()
    }

    /// The command that has to do with it.
    pub fn command(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Traefik => Some("traefik"),
            Self::Kamal => Some("proxy"),
        }
    }

    /// Its container on a server.
    pub fn container(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Traefik => Some(traefik::NAME),
            Self::Kamal => Some(kamal::NAME),
        }
    }

    /// Its container on a server, with what lists it.
    pub fn details(self) -> Option<(&'static str, Script)> {
        self.rules().details()
    }

    /// When a container of the primary role opens the barrier.
    pub fn opens(self) -> Opens {
        self.rules().opens()
    }

    /// Whether it sends a role's requests to one container alone.
    pub fn switches(self) -> bool {
        self.rules().switches()
    }
}

impl OfRole<'_> {
    fn rules(&self) -> &'static dyn Rules {
        ProxyKind::of(self.role).rules()
    }

    /// How requests get to a container of this name, with these labels.
    pub fn attach<'l>(
        &self,
        container: &str,
        labels: impl IntoIterator<Item = (&'l String, &'l String)>,
    ) -> Attach {
        self.rules().attach(self, container, &labels.into_iter().collect::<Vec<_>>())
    }

    /// How a container stops getting requests.
    pub(crate) fn detach(&self, container: &Container) -> Detach {
        self.rules().detach(self, container)
    }

    /// How a page takes its place on a server; `None` without a proxy.
    pub(crate) fn pause(
        &self,
        observed: &Observed,
        page: &Page,
        own: Option<&str>,
    ) -> Result<Option<Maintain>, Refusal> {
        self.rules().pause(self, observed, page, own)
    }

    /// How it takes the page's place.
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

/// A proxy on a server: what it needs there.
#[derive(Debug, Clone, PartialEq)]
pub enum OnServer {
    /// Traefik.
    Traefik(traefik::OnServer),
    /// kamal-proxy.
    Kamal(kamal::OnServer),
}

impl OnServer {
    /// Which kind it is.
    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::Traefik(_) => ProxyKind::Traefik,
            Self::Kamal(_) => ProxyKind::Kamal,
        }
    }

    /// The steps that make sure of it, if there have to be some.
    pub fn steps(&self) -> Vec<Step> {
        match self {
            Self::Traefik(traefik) => traefik.step().into_iter().collect(),
            Self::Kamal(proxy) => proxy.steps(),
        }
    }

    /// The step in which it takes the ports of another proxy, if any.
    pub fn take_over(&self) -> Option<Step> {
        match self {
            Self::Traefik(traefik) => {
                traefik.take_over.clone().map(traefik::Step::TakeOver).map(Step::Traefik)
            }
            Self::Kamal(proxy) => proxy.take_over.clone().map(kamal::Step::TakeOver).map(Step::Kamal),
        }
    }

    /// How a new container is seen to be served, in a few words.
    pub(crate) fn attaches(&self) -> &'static str {
        match self {
            Self::Traefik(traefik) => traefik.attaches(),
            Self::Kamal(_) => kamal::ATTACHES,
        }
    }

    /// The ports of the server that it takes requests on.
    fn ports(&self) -> Vec<u16> {
        match self {
            Self::Traefik(traefik) => traefik.ports.clone(),
            Self::Kamal(proxy) => proxy.ports.clone(),
        }
    }
}

/// Refuses two proxies on one server that want the same port.
pub(crate) fn share_no_port(host: &str, proxies: &[OnServer]) -> Result<(), PlanError> {
    ports_differ(host, proxies.iter().map(|proxy| (proxy.kind().name(), proxy.ports())))
}

fn ports_differ(host: &str, wanted: impl Iterator<Item = (&'static str, Vec<u16>)>) -> Result<(), PlanError> {
    let mut taken: BTreeMap<u16, &str> = BTreeMap::new();
    for (name, port) in wanted.flat_map(|(name, ports)| ports.into_iter().map(move |port| (name, port))) {
        if let Some(other) = taken.insert(port, name) {
            return Err(Refusal {
                message: format!("{other} and {name} both take requests on port {port} of {host}"),
                hint: "give one of them another port, or serve all roles of this server by one proxy".into(),
            }
            .into());
        }
    }
    Ok(())
}

/// Why a plan can't be made: the proxy would not do what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What contradicts what.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// How requests get to a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Attach {
    /// Without a proxy.
    #[default]
    None,
    /// By Traefik.
    Traefik(traefik::labels::Route),
    /// By kamal-proxy.
    Kamal(Box<kamal::Route>),
}

impl Attach {
    /// Which kind of proxy they go through.
    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::None => ProxyKind::None,
            Self::Traefik(_) => ProxyKind::Traefik,
            Self::Kamal(_) => ProxyKind::Kamal,
        }
    }

    /// The step that does it for a container with this id, if it takes one.
    pub fn step(&self, id: &str) -> Option<Step> {
        match self {
            Self::None | Self::Traefik(_) => None,
            Self::Kamal(route) => Some(Step::Kamal(kamal::Step::Register(Box::new(route.register(id))))),
        }
    }

    /// What is done, in a few words.
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

/// What is done before a container is stopped, so that no request goes to it any more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Detach {
    /// Nothing.
    #[default]
    None,
    /// Its cord is cut, and Traefik stops sending it requests.
    Traefik(Box<cord::Cut>),
    /// kamal-proxy forgets it.
    Kamal(Box<kamal::service::Unregister>),
}

impl Detach {
    /// By the cord that a container was made with.
    pub(crate) fn by(cut: Option<cord::Cut>) -> Self {
        cut.map_or(Self::None, |cut| Self::Traefik(Box::new(cut)))
    }

    /// Whether there is something to do.
    pub fn is_some(&self) -> bool {
        *self != Self::None
    }

    /// Which kind of proxy does it.
    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::None => ProxyKind::None,
            Self::Traefik(_) => ProxyKind::Traefik,
            Self::Kamal(_) => ProxyKind::Kamal,
        }
    }

    /// Only as long as another container serves.
    pub(crate) fn instead(&mut self, other: &Serving) {
        match self {
            Self::None | Self::Kamal(_) => {}
            Self::Traefik(cut) => cut.instead = Some(other.clone()),
        }
    }

    /// The step that begins it.
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::None => None,
            Self::Traefik(cut) => Some(Step::Traefik(traefik::Step::Cut(cut.as_ref().clone()))),
            Self::Kamal(service) => Some(Step::Kamal(kamal::Step::Unregister(service.as_ref().clone()))),
        }
    }

    /// What is done, in a few words.
    pub(crate) fn describe(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Traefik(cut) => Some(format!("cut the cord of {}, until Traefik has let it go", cut.name)),
            Self::Kamal(service) => Some(format!("stop routing {}", service.service)),
        }
    }
}

/// How a page takes the place of a role on a server, or the role that of the page.
#[derive(Debug, Clone, PartialEq)]
pub enum Maintain {
    /// Traefik routes to a container next to the app.
    Traefik(Box<traefik::maintenance::Turn>),
    /// kamal-proxy answers itself.
    Kamal(Box<kamal::service::Pause>),
}

impl Maintain {
    /// Which kind of proxy does it.
    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::Traefik(_) => ProxyKind::Traefik,
            Self::Kamal(_) => ProxyKind::Kamal,
        }
    }

    /// Its steps, in order.
    pub(crate) fn steps(&self) -> Vec<step::Step> {
        match self {
            Self::Traefik(turn) => turn.steps(),
            Self::Kamal(pause) => {
                vec![step::Step::Proxy(Step::Kamal(kamal::Step::Pause(pause.as_ref().clone())))]
            }
        }
    }
}

/// One round trip to one server that a proxy is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Traefik.
    Traefik(traefik::Step),
    /// kamal-proxy.
    Kamal(kamal::Step),
    /// See who is behind a proxy that goes.
    Survey(takeover::Survey),
    /// Decide which of two proxies goes.
    Settle(takeover::Settle),
}

/// How many seconds a step may wait on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// As long as pulling an image may.
    Pull,
    /// So many seconds at most.
    Seconds(u64),
}

impl Step {
    /// What is sent.
    pub fn script(&self) -> Script {
        match self {
            Step::Traefik(step) => step.script(),
            Step::Kamal(step) => step.script(),
            Step::Survey(step) => step.script(),
            Step::Settle(step) => step.script(),
        }
    }

    /// What it does, in a few words for a person.
    pub fn describe(&self) -> String {
        match self {
            Step::Traefik(step) => step.describe(),
            Step::Kamal(step) => step.describe(),
            Step::Survey(step) => format!("see who is behind {}", step.direction.from().name()),
            Step::Settle(step) => step.describe(),
        }
    }

    /// The run that it belongs to, if it changes anything.
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Step::Traefik(step) => Some(step.scope()),
            Step::Kamal(step) => step.scope(),
            Step::Survey(step) => Some(&step.scope),
            Step::Settle(step) => Some(&step.scope),
        }
    }

    /// How many seconds it may wait on purpose.
    pub fn takes(&self) -> Takes {
        match self {
            Step::Traefik(step) => step.takes(),
            Step::Kamal(step) => step.takes(),
            Step::Survey(_) => Takes::Seconds(60),
            Step::Settle(step) => step.takes(),
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
            "Traefik and other both take requests on port 80 of a"
        );
    }
}
