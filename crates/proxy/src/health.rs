//! Health checks of targets.
//!
//! A check is a GET that follows redirects and is good with a status of 200 to 299. The first is made at once. A single target is
//! checked until its first success; several are checked for as long as they serve.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::log;
use crate::options::HealthCheckConfig;
use crate::plane::upstream::connect;
use crate::target::{Health, Target};

/// As Go's client: a chain of redirects longer than this is an error.
const MAX_REDIRECTS: usize = 10;

/// Running checks. They end with this value.
#[derive(Debug, Default)]
pub struct Checks {
    tasks: Vec<AbortHandle>,
    changed: Arc<Notify>,
}

impl Checks {
    /// Starts to check targets. Must be called within a runtime.
    pub fn start(targets: &[Arc<Target>], config: &HealthCheckConfig) -> Self {
        let changed = Arc::new(Notify::new());
        let single = targets.len() == 1;
        let check = |target: &Arc<Target>| {
            let run = watch(Arc::clone(target), config.clone(), Arc::clone(&changed), single);
            tokio::spawn(run).abort_handle()
        };
        Self { tasks: targets.iter().map(check).collect(), changed: Arc::clone(&changed) }
    }

    /// Returns once all targets are healthy; `false` if that takes longer than `limit`.
    pub async fn all_healthy(&self, targets: &[Arc<Target>], limit: Duration) -> bool {
        let wait = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if targets.iter().all(|t| t.is_healthy()) {
                    return;
                }
                changed.await;
            }
        };
        timeout(limit, wait).await.is_ok()
    }

    /// Ends the checks.
    pub fn stop(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn watch(target: Arc<Target>, config: HealthCheckConfig, changed: Arc<Notify>, single: bool) {
    let interval = if config.interval.is_zero() { Duration::from_secs(1) } else { config.interval };
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let health = match check(&target, &config).await {
            Ok(()) => Health::Healthy,
            Err((url, error)) => {
                log::info("Healthcheck failed", &[("url", &url), ("error", &error)]);
                Health::Unhealthy
            }
        };
        let was = target.set_health(health);
        if was != health {
            let (target, state, was) = (target.name(), health.as_str(), was.as_str());
            log::info("Target health updated", &[("target", target), ("state", &state), ("was", &was)]);
            changed.notify_waiters();
        }
        if single && health == Health::Healthy {
            return;
        }
    }
}

/// One check: what was asked and what was wrong with the answer.
async fn check(target: &Target, config: &HealthCheckConfig) -> Result<(), (String, String)> {
    let place = Place {
        host: target.host().to_owned(),
        port: if config.port == 0 { target.port() } else { config.port },
        path: format!("/{}", config.path.trim_start_matches('/')),
    };
    let url = place.url();
    let limit = if config.timeout.is_zero() { Duration::from_secs(5) } else { config.timeout };
    match timeout(limit, follow(place, &config.host)).await {
        Err(_) => Err((url, "request timed out".to_owned())),
        Ok(Err(error)) => Err((url, error)),
        Ok(Ok(status)) if (200..300).contains(&status) => Ok(()),
        Ok(Ok(status)) => Err((url, format!("unexpected status ({status})"))),
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Place {
    host: String,
    port: u16,
    path: String,
}

impl Place {
    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    fn url(&self) -> String {
        format!("http://{}{}", self.authority(), self.path)
    }

    /// Where a redirect leads; none for what cannot be followed.
    fn redirected(&self, location: &str) -> Option<Self> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Some(Self { path: location.to_owned(), ..self.clone() });
        }
        let absolute =
            location.strip_prefix("//").map_or_else(|| location.to_owned(), |rest| format!("http://{rest}"));
        let uri: Uri = absolute.parse().ok()?;
        if uri.scheme_str() != Some("http") {
            return None;
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        Some(Self { host, port: uri.port_u16().unwrap_or(80), path: path.to_owned() })
    }
}

async fn follow(mut place: Place, host_header: &str) -> Result<u16, String> {
    let first = place.clone();
    for _ in 0..=MAX_REDIRECTS {
        let own_host = if place.host == first.host && place.port == first.port { host_header } else { "" };
        let answer = get(&place, own_host).await?;
        let status = answer.status();
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(status.as_u16());
        }
        let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let Some(location) = location else { return Ok(status.as_u16()) };
        place =
            place.redirected(location).ok_or_else(|| format!("cannot follow the redirect to {location}"))?;
    }
    Err(format!("stopped after {MAX_REDIRECTS} redirects"))
}

async fn get(place: &Place, host_header: &str) -> Result<http::Response<hyper::body::Incoming>, String> {
    let stream = connect(&place.host, place.port).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let host = if host_header.is_empty() { place.authority() } else { host_header.to_owned() };
    let request = Request::get(&place.path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "kamal-proxy")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    // The answer's body is of no interest: the connection goes with the check.
    let exchange = async {
        tokio::select! {
            biased;
            answer = sender.send_request(request) => answer.map_err(|error| error.to_string()),
            Err(error) = connection => Err(error.to_string()),
        }
    };
    exchange.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved() {
        let at = |host: &str, port, path: &str| Place { host: host.into(), port, path: path.into() };
        let first = at("web", 3000, "/up");
        assert_eq!(first.redirected("/x?y"), Some(at("web", 3000, "/x?y")));
        assert_eq!(first.redirected("http://other/x"), Some(at("other", 80, "/x")));
        assert_eq!(first.redirected("//other:81/x"), Some(at("other", 81, "/x")));
        assert_eq!(first.redirected("https://other/x"), None);
        assert_eq!(first.url(), "http://web:3000/up");
        assert_eq!(at("::1", 80, "/").url(), "http://[::1]/");
    }
}
