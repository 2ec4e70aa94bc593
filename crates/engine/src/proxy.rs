//! Asking Traefik what it routes to, through the SSH connection, instead of waiting and hoping.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use tokio::time::{Instant, sleep};

use crate::error::Cause;
use crate::event::Event;
use crate::fleet::Fleet;
use crate::ports::ServerError;

/// All services in one page.
const SERVICES: &str = "/api/http/services?per_page=1000";
/// How often it is asked.
const EVERY: Duration = Duration::from_millis(100);
/// What stands in for asking where its API doesn't answer: Kamal's own pause.
const PAUSE: Duration = Duration::from_secs(5);

/// A server's Traefik, as far as it can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proxy {
    /// Where its API answers, if it does.
    pub api: Option<SocketAddr>,
}

impl Proxy {
    /// Waits until requests go to this address.
    pub async fn routes_to(self, fleet: &Fleet, host: &str, address: &[IpAddr]) -> Result<(), Cause> {
        self.wait(fleet, host, |servers| servers.iter().any(|server| address.contains(server))).await
    }

    /// Waits until no request goes to this address any more.
    pub async fn let_go_of(self, fleet: &Fleet, host: &str, address: IpAddr) -> Result<(), Cause> {
        self.wait(fleet, host, |servers| !servers.contains(&address)).await
    }

    /// Waits until requests go to each of these addresses.
    pub async fn routes_to_all(self, fleet: &Fleet, host: &str, addresses: &[IpAddr]) -> Result<(), Cause> {
        self.wait(fleet, host, |servers| addresses.iter().all(|address| servers.contains(address))).await
    }

    /// Where requests go now, if it says so: to which containers beside its own.
    pub async fn routed(self, fleet: &Fleet, host: &str) -> Option<Vec<IpAddr>> {
        let api = self.api?;
        let (status, body) = fleet.server(host).ok()?.http_get(api, SERVICES).await.ok()?;
        let servers = if status == 200 { routed(&body) } else { None }?;
        Some(servers.into_iter().filter(|server| *server != api.ip()).collect())
    }

    async fn wait(self, fleet: &Fleet, host: &str, seen: impl Fn(&[IpAddr]) -> bool) -> Result<(), Cause> {
        let Some(api) = self.api else {
            sleep(PAUSE).await;
            return Ok(());
        };
        // Its provider applies events within its throttle (2 s at most unless somebody set more).
        let (started, within) = (Instant::now(), fleet.timeouts().route);
        let mut last;
        loop {
            match fleet.server(host)?.http_get(api, SERVICES).await {
                Ok((200, body)) => match routed(&body) {
                    Some(servers) if seen(&servers) => return Ok(()),
                    Some(servers) => last = Some(listed(&servers)),
                    None => last = Some("its API gave an answer that can't be read".into()),
                },
                Ok((status, _)) => last = Some(format!("its API answered {status}")),
                Err(error @ ServerError::Lost { .. }) => return Err(error.into()),
                Err(error) => {
                    fleet.emit(Event::Note {
                        host: Some(host.into()),
                        text: format!(
                            "Traefik's API can't be reached ({error}): a 5 s pause stands in for asking it"
                        ),
                    });
                    sleep(PAUSE).await;
                    return Ok(());
                }
            }
            if started.elapsed() >= within {
                return Err(Cause::NotRouted { waited_s: within.as_secs(), last });
            }
            sleep(EVERY).await;
        }
    }
}

fn listed(servers: &[IpAddr]) -> String {
    match servers {
        [] => "it routes to nothing".into(),
        servers => {
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            format!("it routes to {}", servers.join(", "))
        }
    }
}

/// The addresses of the servers of all services that a router uses.
pub(crate) fn routed(body: &str) -> Option<Vec<IpAddr>> {
    serde_json::from_str(body).ok().map(|Routed(addresses)| addresses)
}

/// What Traefik lists, read service by service: only addresses are kept of it.
struct Routed(Vec<IpAddr>);

/// A service of Traefik's, as far as it matters.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Service {
    status: String,
    used_by: Vec<IgnoredAny>,
    load_balancer: LoadBalancer,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct LoadBalancer {
    servers: Vec<Listed>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Listed {
    url: String,
}

impl Listed {
    fn address(&self) -> Option<IpAddr> {
        let authority = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let authority = authority.split('/').next()?;
        authority.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| authority.parse()).ok()
    }
}

impl<'de> Deserialize<'de> for Routed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Services;
        impl<'de> Visitor<'de> for Services {
            type Value = Routed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of services")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut services: A) -> Result<Routed, A::Error> {
                let mut addresses = Vec::new();
                while let Some(service) = services.next_element::<Service>()? {
                    if service.status == "enabled" && !service.used_by.is_empty() {
                        addresses.extend(service.load_balancer.servers.iter().filter_map(Listed::address));
                    }
                }
                Ok(Routed(addresses))
            }
        }
        deserializer.deserialize_seq(Services)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_of_used_services_count() {
        let body = r#"[
            {"status":"enabled","usedBy":["app-web@docker"],"loadBalancer":{"servers":[{"url":"http://172.18.0.3:3000"},{"url":"http://172.18.0.4:3000"}]},"name":"app-web@docker"},
            {"status":"enabled","loadBalancer":{"servers":[{"url":"http://172.18.0.9:80"}]},"name":"idle@docker"},
            {"status":"enabled","usedBy":["ping@internal"],"name":"ping@internal"}]"#;
        let servers: Vec<String> = routed(body).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["172.18.0.3", "172.18.0.4"]);
        assert_eq!(routed("<html>"), None);
    }
}
