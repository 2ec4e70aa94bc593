//! Asks Traefik what it routes to, through the SSH connection.
//!
//! Requests reach a container when every router that its labels define is in use and leads to the container's address.
//! Traefik's API says so. It isn't enough that the address is in a list: a router that Traefik rejects still has a
//! service with the right address.

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

const EVERY: Duration = Duration::from_millis(100);
/// How long to pause if Traefik has no API to ask. Kamal 1 always pauses this long.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// The address of its API; `None` if Traefik was booted without it.
    pub(crate) api: Option<SocketAddr>,
}

/// The routes of a server's Traefik before a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Before {
    pub(super) addresses: Vec<IpAddr>,
    routers: Vec<String>,
}

impl Client {
    /// Waits until requests reach this container, at one of these addresses.
    pub(crate) async fn routes_to(
        self,
        At { fleet, host }: At<'_>,
        route: &Route,
        addresses: &[IpAddr],
    ) -> Result<Seen, Cause> {
        let Some(api) = self.api else {
            sleep(PAUSE).await;
            let text = format!(
                "Traefik here has no API, so Bowline could not check that requests reach {}; it waited 5 s instead",
                route.container
            );
            At { fleet, host }.note(text);
            return Ok(Seen::Unseen);
        };
        let found = wait(fleet, async || {
            let mut listings = Listings::new();
            for protocol in route.protocols() {
                listings.insert(protocol, Listing::ask(fleet, host, api, protocol).await?);
            }
            Ok(judge(route, addresses, &listings))
        });
        match found.await? {
            Ok(proof) => {
                trouble::check_resolvers(fleet, host, route, &proof).await?;
                for warning in &proof.warnings {
                    At { fleet, host }.note(format!("Traefik warns about the router {warning}"));
                }
                Ok(Seen::Routed)
            }
            Err(last) => Err(trouble::not_routed(fleet, host, route, last).await),
        }
    }

    /// Waits until no request goes to this address.
    pub(crate) async fn let_go_of(
        self,
        At { fleet, host }: At<'_>,
        address: IpAddr,
        protocols: &BTreeSet<Protocol>,
    ) -> Result<(), Cause> {
        let Some(api) = self.api else {
            sleep(PAUSE).await;
            return Ok(());
        };
        let gone = wait(fleet, async || {
            for protocol in protocols {
                let services: Vec<Service> = ask(fleet, host, api, &services(*protocol)).await?;
                if listed::routed(&services).contains(&address) {
                    return Ok(Err(()));
                }
            }
            Ok(Ok(()))
        });
        let waited = fleet.timeouts().route.as_secs();
        gone.await?.map_err(|last| Cause::Other {
            reason: match last {
                Last::Missing(()) => format!("it still routed there after {waited} s"),
                Last::Silent(error) => format!("its API did not respond within {waited} s: {error}"),
            },
            hint: None,
        })
    }

    /// The routes now, if Traefik reports them.
    pub(crate) async fn routed(self, At { fleet, host }: At<'_>) -> Option<Before> {
        let api = self.api?;
        let Listing { routers, services } = Listing::ask(fleet, host, api, Protocol::Http).await.ok()?;
        let mut addresses = listed::routed(&services);
        addresses.retain(|address| *address != api.ip());
        let used = routers.into_iter().filter(Router::is_used);
        let ours = used.map(|router| router.name).filter(|name| name.ends_with("@docker"));
        Some(Before { addresses, routers: ours.collect() })
    }

    /// Waits until Traefik gets its routes from Docker: until it has a router from the labels of its own container.
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

/// The last thing that was seen before the time limit passed.
pub(super) enum Last<M> {
    /// Traefik answered, but not as wanted.
    Missing(M),
    /// Traefik gave no readable answer.
    Silent(String),
}

/// Asks until the answer is as wanted, or the time limit for routing passes. A failed request is tried again, because
/// Traefik may be starting and the server may be busy. Only a lost connection ends this at once.
async fn wait<T, M>(
    fleet: &Fleet,
    look: impl AsyncFn() -> Result<Result<T, M>, ServerError>,
) -> Result<Result<T, Last<M>>, Cause> {
    // Traefik's Docker provider applies events within its throttle, 2 s by default.
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

/// The API's path of all routers of a protocol, in one page.
fn routers(protocol: Protocol) -> String {
    format!("/api/{}/routers?per_page=1000", called(protocol))
}

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
            read(&body).ok_or_else(|| unreadable("its API returned a response that can't be read".into()))
        }
        (status, _) => Err(unreadable(format!("its API returned {status}"))),
    }
}

/// Asks on the server itself, because its sshd doesn't forward connections.
async fn ask_there(fleet: &Fleet, host: &str, api: SocketAddr, path: &str) -> Option<(u16, String)> {
    let step = Step::Run("ask Traefik", get(&format!("http://{api}{path}")));
    let output = fleet.run(host, None, &step).await.ok()?;
    Some((200, output.stdout))
}

fn read<T: DeserializeOwned>(body: &str) -> Option<T> {
    serde_json::from_str(body).ok()
}

/// Parses arbitrary text as answers of Traefik's API, for tests.
#[cfg(test)]
pub(crate) fn read_any(body: &str, route: &Route, address: IpAddr) -> bool {
    let listing =
        Listing { routers: read(body).unwrap_or_default(), services: read(body).unwrap_or_default() };
    judge(route, &[address], &[(Protocol::Http, listing)].into()).is_ok()
}
