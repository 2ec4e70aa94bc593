//! Health checks of targets.
//!
//! A check is a GET request that follows redirects and succeeds with a status of 200 to 299. The first one starts
//! immediately. A single target is checked until its first success, several targets as long as they serve.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::lock;
use crate::log;
use crate::options::HealthCheckConfig;
use crate::plane::upstream::connect;
use crate::target::{Health, Target};

/// The longest chain of redirects, as in Go's client.
const MAX_REDIRECTS: usize = 10;

/// Running checks. Dropping this value stops them.
#[derive(Debug, Default)]
pub struct Checks {
    watched: Vec<Arc<Watched>>,
    tasks: Vec<AbortHandle>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct Watched {
    target: Arc<Target>,
    config: HealthCheckConfig,
    failure: Mutex<Option<Failure>>,
}

#[derive(Debug)]
struct Failure {
    url: String,
    error: String,
}

impl Checks {
    /// Starts to check targets. Must be called within a Tokio runtime.
    pub fn start(targets: &[Arc<Target>], config: &HealthCheckConfig) -> Self {
        let changed = Arc::new(Notify::new());
        let watched = |target: &Arc<Target>| {
            let (target, config) = (Arc::clone(target), config.clone());
            Arc::new(Watched { target, config, failure: Mutex::default() })
        };
        let watched: Vec<_> = targets.iter().map(watched).collect();
        let single = targets.len() == 1;
        let check = |watched: &Arc<Watched>| {
            let run = watch(Arc::clone(watched), Arc::clone(&changed), single);
            tokio::spawn(run).abort_handle()
        };
        Self { tasks: watched.iter().map(check).collect(), watched, changed: Arc::clone(&changed) }
    }

    /// Waits until all targets are healthy. After `limit`, fails with the last check of each unhealthy target.
    pub async fn all_healthy(&self, limit: Duration) -> Result<(), String> {
        let unhealthy = || self.watched.iter().filter(|watched| !watched.target.is_healthy());
        let wait = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if unhealthy().next().is_none() {
                    return;
                }
                changed.await;
            }
        };
        let waited = timeout(limit, wait).await;
        waited.map_err(|_| unhealthy().map(|watched| watched.last_seen()).collect::<Vec<_>>().join(", "))
    }

    pub fn stop(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Watched {
    fn set_failure(&self, failure: Option<Failure>) {
        *lock(&self.failure) = failure;
    }

    fn last_seen(&self) -> String {
        match &*lock(&self.failure) {
            Some(Failure { url, error }) => format!("{url}: {error}"),
            None => format!("{}: no response yet", CheckUrl::of(&self.target, &self.config).url()),
        }
    }
}

async fn watch(watched: Arc<Watched>, changed: Arc<Notify>, single: bool) {
    let Watched { target, config, .. } = &*watched;
    let interval = if config.interval.is_zero() { Duration::from_secs(1) } else { config.interval };
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let failure = check(target, config).await.err();
        if let Some(Failure { url, error }) = &failure {
            log::info("Healthcheck failed", &[("url", url), ("error", error)]);
        }
        let health = if failure.is_none() { Health::Healthy } else { Health::Unhealthy };
        watched.set_failure(failure);
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

async fn check(target: &Target, config: &HealthCheckConfig) -> Result<(), Failure> {
    let first = CheckUrl::of(target, config);
    let mut at = first.clone();
    let limit = if config.timeout.is_zero() { Duration::from_secs(5) } else { config.timeout };
    let mut error = match timeout(limit, follow(&mut at, &config.host)).await {
        Err(_) => "request timed out".to_owned(),
        Ok(Err(error)) => error,
        Ok(Ok(status)) if (200..300).contains(&status) => return Ok(()),
        Ok(Ok(status)) => format!("unexpected status ({status})"),
    };
    if at != first {
        error = format!("{error} after a redirect to {}", at.url());
    }
    Err(Failure { url: first.url(), error })
}

#[derive(Debug, Clone, PartialEq)]
struct CheckUrl {
    host: String,
    port: u16,
    path: String,
}

impl CheckUrl {
    fn of(target: &Target, config: &HealthCheckConfig) -> Self {
        Self {
            host: target.host().to_owned(),
            port: if config.port == 0 { target.port() } else { config.port },
            path: format!("/{}", config.path.trim_start_matches('/')),
        }
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    fn url(&self) -> String {
        format!("http://{}{}", self.authority(), self.path)
    }

    /// Resolves a redirect. Returns `None` if it can't be followed.
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

/// Follows redirects and returns the final status. `at` becomes the place that sent it.
async fn follow(at: &mut CheckUrl, host_header: &str) -> Result<u16, String> {
    let first = at.clone();
    for _ in 0..=MAX_REDIRECTS {
        let own_host = if at.host == first.host && at.port == first.port { host_header } else { "" };
        let answer = get(at, own_host).await?;
        let status = answer.status();
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(status.as_u16());
        }
        let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let Some(location) = location else { return Ok(status.as_u16()) };
        *at = at.redirected(location).ok_or_else(|| format!("cannot follow the redirect to {location}"))?;
    }
    Err(format!("stopped after {MAX_REDIRECTS} redirects"))
}

async fn get(at: &CheckUrl, host_header: &str) -> Result<http::Response<hyper::body::Incoming>, String> {
    let stream = connect(&at.host, at.port).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let host = if host_header.is_empty() { at.authority() } else { host_header.to_owned() };
    let request = Request::get(&at.path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "kamal-proxy")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    // The body is ignored, and the connection closes after the check.
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
        let at = |host: &str, port, path: &str| CheckUrl { host: host.into(), port, path: path.into() };
        let first = at("web", 3000, "/up");
        assert_eq!(first.redirected("/x?y"), Some(at("web", 3000, "/x?y")));
        assert_eq!(first.redirected("http://other/x"), Some(at("other", 80, "/x")));
        assert_eq!(first.redirected("//other:81/x"), Some(at("other", 81, "/x")));
        assert_eq!(first.redirected("https://other/x"), None);
        assert_eq!(first.url(), "http://web:3000/up");
        assert_eq!(at("::1", 80, "/").url(), "http://[::1]/");
    }
}
