//! The proxies of servers: the operations that every kind of proxy has.
//!
//! The order is the same for all kinds: attach the new container, detach the old one, stop it. How to command a proxy
//! and how to check the result is only in the module of its kind.

pub(crate) mod kamal;
pub mod life;
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
use crate::run::change::Done;
use crate::run::fleet::Fleet;
use crate::world::OwnImage;
use bowline_core::proxy::kamal::Listed;
use kamal::KamalProxy;
use none::NoProxy;
use traefik::Traefik;

#[async_trait(?Send)]
pub(crate) trait Proxy: Send + Sync {
    /// Makes sure that it runs and responds, if the plan says so.
    async fn ensure(&self) -> Result<(), Failure>;

    /// Takes the ports of another kind of proxy, if the plan says so. Returns the downtime in milliseconds, as far as
    /// Bowline could see it.
    async fn take_over(&self) -> Result<Option<u64>, Failure> {
        Ok(None)
    }

    /// Returns when requests reach a container.
    async fn attach(&self, to: &Attach, container: Target<'_>) -> Result<Seen, Cause>;

    /// Detaches a role's container. Returns when it gets no more requests and can be stopped, with what the stop should
    /// do if the container is healthy nevertheless.
    async fn detach(&self, role: &str, container: &Detach) -> Result<IfHealthy, Failure>;

    /// Replaces the role's containers with a maintenance page, or the other way around. Returns when requests follow.
    async fn maintain(&self, role: &str, how: &Maintain) -> Done;

    async fn serves(&self) -> Serves;
}

#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub role: Option<&'a str>,
    pub id: &'a str,
    pub addresses: &'a [IpAddr],
}

/// What the proxy says about whether requests reach a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The proxy confirms that they do.
    Routed,
    /// The proxy accepted and confirmed the command.
    Registered {
        restarts: u32,
    },
    Unseen,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Serves {
    To(Vec<IpAddr>),
    /// To the containers of these services.
    By(Listed),
    /// To every running container.
    WhatRuns,
    Unknown,
}

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

/// The proxies of one server, of every kind.
type OfServer<'a> = Vec<(ProxyKind, Box<dyn Proxy + 'a>)>;

pub(crate) struct Proxies<'a>(BTreeMap<&'a str, OfServer<'a>>);

impl<'a> Proxies<'a> {
    /// The proxies of a plan. It has every kind on every server, because a proxy without a role there may still have to
    /// release a container.
    pub(crate) fn of_plan(fleet: &'a Fleet, plan: &'a Plan, image: &'a OwnImage) -> Self {
        let of = |server: &'a ServerPlan| {
            let host = server.host.as_str();
            (host, ProxyKind::ALL.map(|kind| (kind, planned(kind, At { fleet, host }, server, image))).into())
        };
        Self(plan.servers.iter().map(of).collect())
    }

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

pub(crate) fn observed<'a>(kind: ProxyKind, at: At<'a>, observed: &Observed) -> Box<dyn Proxy + 'a> {
    match kind {
        ProxyKind::None => Box::new(NoProxy),
        ProxyKind::Traefik => Box::new(Traefik::observed(at, observed)),
        ProxyKind::Kamal => Box::new(KamalProxy::observed(at)),
    }
}

pub(crate) fn none() -> Box<dyn Proxy> {
    Box::new(NoProxy)
}

pub(crate) fn wait_for(kind: ProxyKind) -> String {
    match kind {
        ProxyKind::Kamal => "switch requests to the container".into(),
        ProxyKind::Traefik | ProxyKind::None => format!("wait for {}", kind.name()),
    }
}

/// The selected servers, and those of them with a role or an accessory behind this kind of proxy.
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

/// Rejects a selection without a role behind a proxy.
pub(crate) fn any_role(selection: &Selection<'_>) -> Result<(), RunError> {
    let proxied = selection.roles.iter().any(|(role, _)| ProxyKind::of(role) != ProxyKind::None);
    if proxied { Ok(()) } else { Err(none_there(ProxyKind::Kamal)) }
}

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
