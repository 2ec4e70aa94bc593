//! The proxies of servers: what a run asks of any kind of proxy.
//!
//! The order is the same for all: the new container is attached, the old one is detached and stopped. How to command a proxy,
//! and how to check the result, is in the module of its kind, and only there.

pub(crate) mod kamal;
pub(crate) mod life;
mod none;
pub(crate) mod traefik;

use std::collections::BTreeMap;
use std::net::IpAddr;

use async_trait::async_trait;
use bowline_config::Config;
use bowline_core::commands::app::IfHealthy;
use bowline_core::observed::Observed;
use bowline_core::plan::{Plan, ServerPlan};
use bowline_core::proxy::{Attach, Detach, Maintain, OnServer, ProxyKind};
use bowline_core::selection::{Filters, Selection};

use crate::error::{Cause, Failure, RunError};
use crate::event::Event;
use crate::run::change::Told;
use crate::run::fleet::Fleet;
use crate::world::OwnImage;
use bowline_core::proxy::kamal::Listed;
use kamal::KamalProxy;
use none::NoProxy;
use traefik::Traefik;

/// A proxy on a server.
#[async_trait(?Send)]
pub(crate) trait Proxy: Send + Sync {
    /// Whether it is known to run.
    fn runs(&self) -> bool;

    /// Makes sure that it runs and responds, if the plan says so.
    async fn ensure(&self) -> Result<(), Failure>;

    /// Takes the ports of the proxy of another kind, if the plan says so. Returns for how many milliseconds the server was down, as
    /// far as Bowline could see.
    async fn take_over(&self) -> Result<Option<u64>, Failure> {
        Ok(None)
    }

    /// Returns when requests reach a container.
    async fn attach(&self, to: &Attach, container: Target<'_>) -> Result<Seen, Cause>;

    /// Returns when the role's container gets no requests any more and can be stopped, and what the stop
    /// does if the container is healthy nevertheless.
    async fn detach(&self, role: &str, container: &Detach) -> Result<IfHealthy, Failure>;

    /// Replaces the role's containers with a page, or the page with them. Returns when requests follow.
    async fn maintain(&self, role: &str, how: &Maintain) -> Told;

    /// Where requests go now.
    async fn serves(&self) -> Serves;
}

/// A container that is ready to be attached.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Its role, if it belongs to one.
    pub role: Option<&'a str>,
    pub id: &'a str,
    /// Its addresses.
    pub addresses: &'a [IpAddr],
}

/// What is known of whether requests reach a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The proxy says so.
    Routed,
    /// The proxy accepted the command, and confirms it.
    Registered {
        /// How often Docker had started the container again.
        restarts: u32,
    },
    /// The proxy can't be asked.
    Unseen,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Serves {
    /// To these addresses.
    To(Vec<IpAddr>),
    /// To the containers of these services.
    By(Listed),
    /// To whatever runs.
    WhatRuns,
    /// Unknown.
    Unknown,
}

/// A server, as a proxy on it reaches it.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub fleet: &'a Fleet,
    pub host: &'a str,
}

impl At<'_> {
    pub(crate) fn note(self, text: String) {
        self.fleet.emit(Event::Note { host: Some(self.host.into()), text });
    }
}

/// Those of one server, of every kind.
type OfServer<'a> = Vec<(ProxyKind, Box<dyn Proxy + 'a>)>;

/// The proxies of a run's servers.
pub(crate) struct Proxies<'a>(BTreeMap<&'a str, OfServer<'a>>);

impl<'a> Proxies<'a> {
    /// As in the plan. A proxy without a role on a server may still have to release a container.
    pub(crate) fn of_plan(fleet: &'a Fleet, plan: &'a Plan, image: &'a OwnImage) -> Self {
        let of = |server: &'a ServerPlan| {
            let host = server.host.as_str();
            (host, ProxyKind::ALL.map(|kind| (kind, planned(kind, At { fleet, host }, server, image))).into())
        };
        Self(plan.servers.iter().map(of).collect())
    }

    /// The proxy of this kind on a server.
    pub(crate) fn on(&self, host: &str, kind: ProxyKind) -> &(dyn Proxy + 'a) {
        let mut here = self.0.get(host).into_iter().flatten();
        here.find(|(known, _)| *known == kind).map_or(&NoProxy, |(_, proxy)| proxy.as_ref())
    }
}

fn planned<'a>(
    kind: ProxyKind,
    at: At<'a>,
    server: &'a ServerPlan,
    image: &'a OwnImage,
) -> Box<dyn Proxy + 'a> {
    match kind {
        ProxyKind::None => Box::new(NoProxy),
        ProxyKind::Traefik => {
            let traefik = server.proxies.iter().find_map(|proxy| match proxy {
                OnServer::Traefik(traefik) => Some(traefik),
                OnServer::Kamal(_) => None,
            });
            Box::new(Traefik::planned(at, traefik))
        }
        ProxyKind::Kamal => {
            let proxy = server.proxies.iter().find_map(|proxy| match proxy {
                OnServer::Kamal(proxy) => Some(proxy),
                OnServer::Traefik(_) => None,
            });
            Box::new(KamalProxy::planned(at, proxy, image))
        }
    }
}

/// The proxy of this kind on a server that was looked at.
pub(crate) fn observed<'a>(kind: ProxyKind, at: At<'a>, observed: &Observed) -> Box<dyn Proxy + 'a> {
    match kind {
        ProxyKind::None => Box::new(NoProxy),
        ProxyKind::Traefik => Box::new(Traefik::observed(at, observed)),
        ProxyKind::Kamal => Box::new(KamalProxy::observed(at, observed)),
    }
}

/// No proxy.
pub(crate) fn none() -> Box<dyn Proxy> {
    Box::new(NoProxy)
}

/// The name of the step in which a proxy starts to route to a container.
pub(crate) fn wait_for(kind: ProxyKind) -> String {
    match kind {
        ProxyKind::Kamal => "switch requests to the container".into(),
        ProxyKind::Traefik | ProxyKind::None => format!("wait for {}", kind.name()),
    }
}

/// The servers of a run, and those of them that have a role or an accessory behind this kind of proxy.
pub(crate) fn behind<'a>(
    config: &'a Config,
    filters: &Filters,
    kind: ProxyKind,
) -> Result<(Selection<'a>, Vec<&'a str>), RunError> {
    let (mut selection, mut accessories) = Selection::whole(config, filters)?;
    accessories.placed.retain(|(accessory, _)| kind == ProxyKind::Kamal && accessory.proxy.is_some());
    let of_roles = |host: &str| selection.roles_of(host).next().is_some();
    let of_accessories = |host: &str| accessories.of_host(host).next().is_some();
    let wanted: Vec<&str> =
        selection.hosts.iter().copied().filter(|host| of_roles(host) || of_accessories(host)).collect();
    let has = |host: &&str| selection.roles_of(host).any(|(role, _)| ProxyKind::of(role) == kind);
    let served: Vec<&str> = wanted.iter().copied().filter(|host| has(host) || of_accessories(host)).collect();
    selection.hosts = wanted;
    if !served.is_empty() {
        return Ok((selection, served));
    }
    let others = ProxyKind::of_all(selection.roles.iter().map(|(role, _)| *role));
    Err(match (none_there(kind), others.iter().find_map(|other| Some((other.name(), other.command()?)))) {
        (RunError::Usage { message, .. }, Some((name, command))) => {
            let hint = format!("the roles are behind {name}: use the commands of `bowline {command}`");
            RunError::Usage { message, hint: Some(hint) }
        }
        (error, _) => error,
    })
}

/// Rejects a selection of servers without a role behind a proxy.
pub(crate) fn any_role(selection: &Selection<'_>) -> Result<(), RunError> {
    let proxied = selection.roles.iter().any(|(role, _)| ProxyKind::of(role) != ProxyKind::None);
    if proxied { Ok(()) } else { Err(none_there(ProxyKind::Kamal)) }
}

/// The error if no role is behind this kind of proxy.
pub(crate) fn none_there(kind: ProxyKind) -> RunError {
    let (name, hint) = match kind {
        ProxyKind::Traefik => {
            ("Traefik", "a role other than the primary one is behind it with `traefik: true`")
        }
        ProxyKind::Kamal | ProxyKind::None => (
            "a proxy",
            "a role other than the primary one is behind kamal-proxy with `proxy: true`, or behind Traefik with `traefik: true`",
        ),
    };
    RunError::Usage {
        message: format!("no role behind {name} runs on these servers"),
        hint: Some(hint.into()),
    }
}
