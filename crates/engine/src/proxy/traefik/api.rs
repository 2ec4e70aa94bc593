//! Asking Traefik what it routes to, through the SSH connection, instead of waiting and hoping.
//!
//! Requests reach a container when every router that its labels define is in use and leads to its address. Traefik says
//! so itself; an entry in some list is not enough, since a router that Traefik refuses has a service with the right
//! address, too.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bowline_core::plan::step::Step;
use bowline_core::proxy::traefik::labels::{Protocol, Route};
use bowline_core::proxy::traefik::trouble::get;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::listed::{self, Listing, Listings, Missing, Router, Service, by_docker, judge};
use super::trouble;
use crate::error::Cause;
use crate::ports::ServerError;
use crate::proxy::{At, Seen};
use crate::run::fleet::Fleet;

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(100);
/// What stands in for asking a Traefik that was booted without its API: Kamal's own pause.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// A Traefik that runs, as far as it can be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// Where its API answers; none if it was booted without.
    pub(crate) api: Option<SocketAddr>,
}

/// What a server's Traefik routed, before something was done to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Before {
    pub(super) addresses: Vec<IpAddr>,
    routers: Vec<String>,
}

impl Client {
    /// Waits until requests go to this container, at one of these addresses.
    pub(crate) async fn routes_to(
        self,
        At { fleet, host }: At<'_>,
        route: &Route,
        addresses: &[IpAddr],
    ) -> Result<Seen, Cause> {
        let Some(api) = self.api else {
            sleep(PAUSE).await;
            let text = format!(
                "Traefik here has no API: that requests reach {} was not seen, a 5 s pause stood in",
                route.container
            );
            At { fleet, host }.note(text);
            return Ok(Seen::Unseen);
        };
        let protocols: BTreeSet<Protocol> = route.routers.iter().map(|router| router.protocol).collect();
        let found = wait(fleet, async || {
            let mut listings = Listings::new();
            for protocol in protocols.iter().copied() {
                listings.insert(protocol, Listing::ask(fleet, host, api, protocol).await?);
            }
            Ok(judge(route, addresses, &listings))
        });
        match found.await? {
            Ok(proof) => {
                trouble::check_resolvers(fleet, host, route, &proof).await?;
                for warning in &proof.warnings {
                    At { fleet, host }.note(format!("Traefik warns of the router {warning}"));
                }
                Ok(Seen::Routed)
            }
            Err(last) => Err(trouble::not_routed(fleet, host, route, last).await),
        }
    }

    /// Waits until no request goes to this address any more.
    pub(crate) async fn let_go_of(self, At { fleet, host }: At<'_>, address: IpAddr) -> Result<(), Cause> {
        let Some(api) = self.api else {
            sleep(PAUSE).await;
            return Ok(());
        };
        let gone = wait(fleet, async || {
            let services: Vec<Service> = ask(fleet, host, api, &services(Protocol::Http)).await?;
            Ok(if listed::routed(&services).contains(&address) { Err(()) } else { Ok(()) })
        });
        let waited = fleet.timeouts().route.as_secs();
        gone.await?.map_err(|last| Cause::Told {
            reason: match last {
                Last::Missing(()) => format!("it still did after {waited} s"),
                Last::Silent(error) => format!("its API did not say in {waited} s: {error}"),
            },
            hint: None,
        })
    }

    /// What requests go to now, if it says so.
    pub(crate) async fn routed(self, At { fleet, host }: At<'_>) -> Option<Before> {
        let api = self.api?;
        let Listing { routers, services } = Listing::ask(fleet, host, api, Protocol::Http).await.ok()?;
        let mut addresses = listed::routed(&services);
        addresses.retain(|address| *address != api.ip());
        let used = routers.into_iter().filter(Router::is_used);
        let ours = used.map(|router| router.name).filter(|name| name.ends_with("@docker"));
        Some(Before { addresses, routers: ours.collect() })
    }

    /// Waits until Traefik hears from Docker: it has a router of the labels of its own container.
    pub(crate) async fn hears_docker(self, At { fleet, host }: At<'_>, own: &Route) -> Result<(), Cause> {
        let Some(api) = self.api else {
            sleep(PAUSE).await;
            return trouble::complaint_of_docker(fleet, host).await.map_or(Ok(()), Err);
        };
        let shown = own.routers.iter().filter(|_| !own.hidden);
        let of_requests = shown.filter(|router| router.protocol == Protocol::Http);
        let wanted: Vec<String> = of_requests.map(|router| by_docker(&router.name)).collect();
        let heard = wait(fleet, async || {
            let routers: Vec<Router> = ask(fleet, host, api, &routers(Protocol::Http)).await?;
            let has = wanted.is_empty() || routers.iter().any(|router| wanted.contains(&router.name));
            Ok(if has { Ok(()) } else { Err(()) })
        });
        match heard.await? {
            Ok(()) => Ok(()),
            Err(last) => Err(trouble::deaf(fleet, host, last).await),
        }
    }

    /// Waits until everything that was routed before is routed again.
    pub(crate) async fn routes_again(self, At { fleet, host }: At<'_>, before: &Before) -> Result<(), Cause> {
        let Some(api) = self.api else { return Ok(()) };
        let again = wait(fleet, async || {
            let Listing { routers, services } = Listing::ask(fleet, host, api, Protocol::Http).await?;
            let refused =
                routers.iter().find(|router| router.is_refused() && before.routers.contains(&router.name));
            if let Some(router) = refused {
                return Ok(Err(Missing::Refused { router: router.name.clone(), error: router.errors() }));
            }
            let now = listed::routed(&services);
            let missing: Vec<IpAddr> =
                before.addresses.iter().filter(|old| !now.contains(old)).copied().collect();
            let router = String::new();
            Ok(if missing.is_empty() { Ok(()) } else { Err(Missing::Elsewhere { router, to: missing }) })
        });
        match again.await? {
            Ok(()) => Ok(()),
            Err(last) => Err(trouble::not_again(fleet, host, last).await),
        }
    }
}

/// What was seen last when the time was over.
pub(super) enum Last<M> {
    /// It answered, but not what was waited for.
    Missing(M),
    /// It gave no answer that can be read.
    Silent(String),
}

/// Asks until it is as wanted, or the time for routing is over. An answer that fails says nothing of the next: Traefik may
/// be starting, and the server be busy. Only a connection that was lost ends it at once.
async fn wait<T, M>(
    fleet: &Fleet,
    look: impl AsyncFn() -> Result<Result<T, M>, ServerError>,
) -> Result<Result<T, Last<M>>, Cause> {
    // Its provider applies events within its throttle (2 s at most unless somebody set more).
    let (started, within) = (Instant::now(), fleet.timeouts().route);
    loop {
        let last = match look().await {
            Ok(Ok(found)) => return Ok(Ok(found)),
            Ok(Err(missing)) => Last::Missing(missing),
            Err(error @ ServerError::Lost { .. }) => return Err(error.into()),
            Err(error) => Last::Silent(error.to_string()),
        };
        if started.elapsed() >= within {
            return Ok(Err(last));
        }
        sleep(EVERY).await;
    }
}

impl Listing {
    async fn ask(
        fleet: &Fleet,
        host: &str,
        api: SocketAddr,
        protocol: Protocol,
    ) -> Result<Self, ServerError> {
        let (routers, services) = (routers(protocol), services(protocol));
        let (routers, services) =
            tokio::try_join!(ask(fleet, host, api, &routers), ask(fleet, host, api, &services))?;
        Ok(Self { routers, services })
    }
}

/// Where all routers of a protocol are listed, in one page.
fn routers(protocol: Protocol) -> String {
    format!("/api/{}/routers?per_page=1000", called(protocol))
}

/// Where all services of a protocol are.
fn services(protocol: Protocol) -> String {
    format!("/api/{}/services?per_page=1000", called(protocol))
}

pub(super) fn called(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "http",
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

async fn ask<T: DeserializeOwned>(
    fleet: &Fleet,
    host: &str,
    api: SocketAddr,
    path: &str,
) -> Result<T, ServerError> {
    let unreadable = |reason: String| ServerError::Unreachable { reason, hint: None };
    let answer = match fleet.server(host)?.http_get(api, path).await {
        Err(error @ ServerError::NotForwarded { .. }) => {
            ask_there(fleet, host, api, path).await.ok_or(error)?
        }
        answer => answer?,
    };
    match answer {
        (200, body) => {
            read(&body).ok_or_else(|| unreadable("its API gave an answer that can't be read".into()))
        }
        (status, _) => Err(unreadable(format!("its API answered {status}"))),
    }
}

/// Asks on the server itself, where its sshd forwards nothing.
async fn ask_there(fleet: &Fleet, host: &str, api: SocketAddr, path: &str) -> Option<(u16, String)> {
    let step = Step::Run("ask Traefik", get(&format!("http://{api}{path}")));
    let output = fleet.run(host, None, &step).await.ok()?;
    Some((200, output.stdout))
}

fn read<T: DeserializeOwned>(body: &str) -> Option<T> {
    serde_json::from_str(body).ok()
}

/// Reads answers of Traefik's API, whatever they are.
#[cfg(test)]
pub(crate) fn read_any(body: &str, route: &Route, address: IpAddr) -> bool {
    let listing =
        Listing { routers: read(body).unwrap_or_default(), services: read(body).unwrap_or_default() };
    judge(route, &[address], &[(Protocol::Http, listing)].into()).is_ok()
}
