//! Certificates for names that no service lists: a policy decides whether a name gets one (`--tls-on-demand-url`).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::Semaphore;

use super::acme::Issuer;
use super::cache::is_name;
use super::client::Client;
use super::keeper::{Backoff, Kept};
use crate::lock;

/// How long the policy may take to respond.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a refusal that are logged.
const LONGEST_TEXT: usize = 256;
/// Concurrent requests to the policy. Handshakes with invented names are cheap, requests are not.
const AT_ONCE: usize = 32;

/// Returns the address of a target of the named service that can get a request now.
pub type TargetOf = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A service that accepts any name its policy allows.
pub(super) struct OnDemand {
    parts: Parts,
    questions: Semaphore,
    kept: Mutex<HashMap<String, Arc<Kept>>>,
}

impl fmt::Debug for OnDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnDemand({})", self.parts.service)
    }
}

pub(super) struct Parts {
    pub(super) service: String,
    pub(super) url: String,
    pub(super) client: Client,
    pub(super) target_of: TargetOf,
    pub(super) issuer: Arc<Issuer>,
    pub(super) backoff: Backoff,
    pub(super) runtime: tokio::runtime::Handle,
}

impl OnDemand {
    pub(super) fn new(parts: Parts) -> Self {
        OnDemand { parts, questions: Semaphore::new(AT_ONCE), kept: Mutex::default() }
    }

    /// Whether service, policy and issuer are the same, so that this can be kept.
    pub(super) fn is(&self, service: &str, url: &str, issuer: &Arc<Issuer>) -> bool {
        let Parts { service: own, url: own_url, issuer: own_issuer, .. } = &self.parts;
        own == service && own_url == url && Arc::ptr_eq(own_issuer, issuer)
    }

    pub(super) fn kept(&self, name: &str) -> Option<Arc<Kept>> {
        lock(&self.kept).get(name).cloned()
    }

    /// Stops ordering and renewing.
    pub(super) fn stop(&self) {
        let kept = lock(&self.kept);
        kept.values().for_each(|kept| kept.stop());
    }

    /// Asks the policy about a name, and starts to keep its certificate if it is allowed. A name with a certificate
    /// in the cache was allowed before.
    pub(super) async fn admit(&self, name: &str) -> Option<Arc<Kept>> {
        if let Some(kept) = self.kept(name) {
            return Some(kept);
        }
        if !is_name(name) {
            return None;
        }
        if self.parts.issuer.cache.certificate(name, SystemTime::now()).is_none() {
            let asked = tokio::time::timeout(PATIENCE * 2, self.allows(name));
            if !asked.await.unwrap_or(false) {
                return None;
            }
        }
        let Parts { issuer, backoff, runtime, .. } = &self.parts;
        let mut kept = lock(&self.kept);
        let start = || Arc::new(Kept::start(name, issuer, backoff, runtime));
        Some(Arc::clone(kept.entry(name.to_owned()).or_insert_with(start)))
    }

    /// Sends the request to the policy. If the policy is a path of the service, the request goes directly to a
    /// target, with the name as its host, so that the service's redirects don't apply.
    async fn ask(&self, name: &str) -> Result<(StatusCode, Bytes), String> {
        let Parts { service, url, client, target_of, .. } = &self.parts;
        let url = with_host(url, name);
        if !url.starts_with('/') {
            return client.get(&url, None, LONGEST_TEXT, PATIENCE).await;
        }
        let target = target_of(service).ok_or("the service has no target to ask")?;
        client.get(&format!("http://{target}{url}"), Some(name), LONGEST_TEXT, PATIENCE).await
    }

    async fn allows(&self, name: &str) -> bool {
        let Ok(_permit) = self.questions.acquire().await else { return false };
        let answer = self.ask(name).await;
        match answer {
            Ok((StatusCode::OK, _)) => true,
            Ok((status, body)) => {
                let body = String::from_utf8_lossy(&body[..body.len().min(LONGEST_TEXT)]).into_owned();
                let status = status.as_u16();
                crate::log::warn(
                    "TLS on-demand check denied host",
                    &[("host", &name), ("status", &status), ("body", &body)],
                );
                false
            }
            Err(error) => {
                crate::log::warn("TLS on-demand check failed", &[("host", &name), ("error", &error)]);
                false
            }
        }
    }
}

/// Adds the name to the query of the policy's URL. Names need no escaping there.
fn with_host(url: &str, name: &str) -> String {
    let url = url.split('#').next().unwrap_or(url);
    let Some((path, query)) = url.split_once('?') else {
        return format!("{url}?host={name}");
    };
    let others: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && *pair != "host" && !pair.starts_with("host="))
        .collect();
    let separator = if others.is_empty() { "" } else { "&" };
    format!("{path}?{}{separator}host={name}", others.join("&"))
}

#[cfg(test)]
mod tests {
    use super::with_host;

    #[test]
    fn the_name_is_added_to_the_query() {
        for (url, expected) in [
            ("/allowed", "/allowed?host=a.example.com"),
            ("https://x.test/ask?key=1", "https://x.test/ask?key=1&host=a.example.com"),
            ("https://x.test/ask?host=forged&key=1#part", "https://x.test/ask?key=1&host=a.example.com"),
            ("/allowed?", "/allowed?host=a.example.com"),
        ] {
            assert_eq!(with_host(url, "a.example.com"), expected);
        }
    }
}
