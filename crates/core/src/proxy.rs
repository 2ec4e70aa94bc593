//! The kinds of proxy, and what a plan asks them.
//!
//! What differs between them is in the room of each kind, and only there. The rest of the plan passes on values that it
//! doesn't look into: what a proxy needs on a server ([`OnServer`]), how requests get to a container ([`Attach`]) and how
//! they stop going to one ([`Detach`]).

mod none;
pub mod traefik;

use std::collections::BTreeMap;

use bowline_config::{Config, Pairs, Role, ServedBy};

use crate::commands::Scope;
use crate::commands::serving::Serving;
use crate::names::Names;
use crate::observed::{Container, Observed};
use crate::plan::deploy::PlanError;
use crate::plan::secrets::Secrets;
use crate::shell::Script;

pub use traefik::cord;
/// The label of a container that no proxy is to find.
pub(crate) use traefik::labels::HIDDEN;
pub use traefik::labels::hidden;
/// Names that labels give and that must differ from those of what runs beside them.
pub(crate) use traefik::labels::{by_labels, network, unlike};
pub(crate) use traefik::neighbours::{apps_agree, roles_agree, shared_requests};
pub(crate) use traefik::{maintenance, shared_network};

/// The containers of all kinds.
pub(crate) const CONTAINERS: [&str; 1] = [traefik::NAME];

/// What sends requests to a role's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProxyKind {
    /// No proxy.
    None,
    /// Traefik.
    Traefik,
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

    /// Whether the open requests of a container are waited for when it is stopped: the proxy doesn't do so itself.
    fn leaves_open_requests(&self) -> bool {
        false
    }

    /// Its container on a server, with what lists it.
    fn details(&self) -> Option<(&'static str, Script)> {
        None
    }

    /// How requests get to a container with these labels.
    fn attach(&self, _container: &str, _labels: &[(&String, &String)]) -> Attach {
        Attach::None
    }
}

impl ProxyKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::None, Self::Traefik];

    /// The kind that serves a role. Roles behind kamal-proxy are refused before anything is planned
    /// (`bowline_config::unbuilt`).
    pub fn of(role: &Role) -> Self {
        match role.served_by {
            ServedBy::Traefik => Self::Traefik,
            ServedBy::Nothing | ServedBy::KamalProxy(_) => Self::None,
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
        }
    }

    /// How people call it.
    pub fn name(self) -> &'static str {
        self.rules().name()
    }

    /// Its container on a server, with what lists it.
    pub fn details(self) -> Option<(&'static str, Script)> {
        self.rules().details()
    }

    /// When a container of the primary role opens the barrier.
    pub fn opens(self) -> Opens {
        self.rules().opens()
    }

    /// How requests get to a container with these labels.
    pub fn attach<'l>(
        self,
        container: &str,
        labels: impl IntoIterator<Item = (&'l String, &'l String)>,
    ) -> Attach {
        self.rules().attach(container, &labels.into_iter().collect::<Vec<_>>())
    }
}

/// A server that a plan is made for.
pub(crate) struct Site<'a> {
    pub config: &'a Config,
    pub secrets: &'a Secrets,
    pub scope: &'a Scope,
    pub host: &'a str,
    pub observed: &'a Observed,
}

/// A proxy on a server: what it needs there.
#[derive(Debug, Clone, PartialEq)]
pub enum OnServer {
    /// Traefik.
    Traefik(traefik::OnServer),
}

impl OnServer {
    /// Which kind it is.
    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::Traefik(_) => ProxyKind::Traefik,
        }
    }

    /// The step that makes sure of it, if it has to be.
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Traefik(traefik) => traefik.step(),
        }
    }

    /// How a new container is seen to be served, in a few words.
    pub(crate) fn attaches(&self) -> &'static str {
        match self {
            Self::Traefik(traefik) => traefik.attaches(),
        }
    }

    /// The ports of the server that it takes requests on.
    fn ports(&self) -> Vec<u16> {
        match self {
            Self::Traefik(traefik) => traefik.ports.clone(),
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
}

impl Attach {
    /// Which kind of proxy they go through.
    pub fn kind(&self) -> ProxyKind {
        match self {
            Self::None => ProxyKind::None,
            Self::Traefik(_) => ProxyKind::Traefik,
        }
    }
}

/// What is done before a container is stopped, so that no request goes to it any more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Detach {
    /// Nothing.
    #[default]
    None,
    /// Its cord is cut, and Traefik lets it go.
    Traefik(Box<cord::Cut>),
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
        }
    }

    /// Only as long as another container serves.
    pub(crate) fn instead(&mut self, other: &Serving) {
        match self {
            Self::None => {}
            Self::Traefik(cut) => cut.instead = Some(other.clone()),
        }
    }

    /// The step that begins it.
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::None => None,
            Self::Traefik(cut) => Some(Step::Traefik(traefik::Step::Cut(cut.as_ref().clone()))),
        }
    }

    /// What is done, in a few words.
    pub(crate) fn describe(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Traefik(cut) => Some(format!("cut the cord of {}, until Traefik has let it go", cut.name)),
        }
    }
}

/// One round trip to one server that a proxy is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Traefik.
    Traefik(traefik::Step),
}

/// How long a step takes by itself.
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
        }
    }

    /// What it does, in a few words for a person.
    pub fn describe(&self) -> String {
        match self {
            Step::Traefik(step) => step.describe(),
        }
    }

    /// The run that it belongs to.
    pub fn scope(&self) -> &Scope {
        match self {
            Step::Traefik(step) => step.scope(),
        }
    }

    /// How long it takes by itself.
    pub fn takes(&self) -> Takes {
        match self {
            Step::Traefik(step) => step.takes(),
        }
    }
}

/// How a container of a role stops getting requests, whatever serves the role now: what serves the container is told by
/// how it was made.
pub(crate) fn detach(scope: &Scope, container: &Container) -> Detach {
    Detach::by(cord::Cut::of(scope, container))
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
