//! Asking Traefik what it routes to, through the SSH connection, instead of waiting and hoping.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
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
fn routed(body: &str) -> Option<Vec<IpAddr>> {
    let services: Value = serde_json::from_str(body).ok()?;
    let used = |service: &&Value| {
        service.get("status").and_then(Value::as_str) == Some("enabled")
            && service.get("usedBy").and_then(Value::as_array).is_some_and(|by| !by.is_empty())
    };
    let url = |server: &Value| {
        let url = server.get("url")?.as_str()?;
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = authority.split('/').next()?;
        authority.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| authority.parse()).ok()
    };
    Some(
        services
            .as_array()?
            .iter()
            .filter(used)
            .filter_map(|service| service.get("loadBalancer")?.get("servers")?.as_array())
            .flatten()
            .filter_map(url)
            .collect(),
    )
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
