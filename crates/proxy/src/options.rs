//! What a deploy asks for. The JSON form is that of kamal-proxy's state file: its names, durations in nanoseconds.
//!
//! A field that a file leaves out is zero, as in Go. Fields that kamal-proxy does not have are left out of files while they are unset, so that
//! kamal-proxy can read what we wrote. `Default` is that zero; the command line's defaults are the constants here.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::duration;

mod idn;
mod validate;

pub use validate::{Invalid, is_target, on_demand_is_local};

/// Let's Encrypt's directory for tests (`--tls-staging`).
pub const ACME_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";
/// Let's Encrypt's directory, used when [`ServiceOptions::acme_directory`] is empty.
pub const ACME_PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Waiting for new targets to become healthy.
pub const DEPLOY_TIMEOUT: Duration = Duration::from_secs(30);
/// Waiting for requests in flight.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Waiting for open WebSockets and event streams.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(5);
/// For the requests of a process that another one has taken over from.
pub const UPGRADE_DRAIN_TIMEOUT: Duration = Duration::from_secs(600);
/// For its WebSockets and event streams.
pub const UPGRADE_STREAM_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a request waits while a service is paused.
pub const PAUSE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client's reads go to the writers after it wrote.
pub const WRITER_AFFINITY_TIMEOUT: Duration = Duration::from_secs(1);
/// Until the headers of a target's answer.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Until a target accepts a connection. Also what zero means.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// The path of health checks.
pub const HEALTH_CHECK_PATH: &str = "/up";
/// Between health checks.
pub const HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// For one health check.
pub const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a buffered body kept in memory.
pub const BUFFER_MEMORY: u64 = 1 << 20;

/// Reads `null` as the default, as Go does.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Reads a size; less than zero counts as zero (unlimited).
fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let size = Option::<i64>::deserialize(from)?.unwrap_or_default();
    Ok(u64::try_from(size).unwrap_or_default())
}

/// How a service is reached, and the rules that hold for all of its targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceOptions {
    /// Exact names, `*.domain`, or one empty string for any host.
    #[serde(deserialize_with = "or_default")]
    pub hosts: Vec<String>,
    /// `/` or `/` and a path without a slash at its end.
    #[serde(deserialize_with = "or_default")]
    pub path_prefixes: Vec<String>,
    /// Whether the service is served over TLS.
    pub tls_enabled: bool,
    /// A PEM file, read at deploy and at restore; empty for automatic certificates.
    pub tls_certificate_path: String,
    /// The key to it.
    pub tls_private_key_path: String,
    /// A URL or a path that is asked whether a name may have a certificate.
    pub tls_on_demand_url: String,
    /// Whether plain HTTP is redirected when TLS is on.
    pub tls_redirect: bool,
    /// The host that all others are redirected to.
    pub canonical_host: String,
    /// Empty for Let's Encrypt's.
    pub acme_directory: String,
    /// Where certificates are kept, a directory below it per ACME directory.
    pub acme_cache_path: String,
    /// A directory of `STATUS.html`, or empty.
    pub error_page_path: String,
    /// Whether the matched prefix is removed before forwarding.
    pub strip_prefix: bool,
    /// How long a client's reads go to the writers after it wrote.
    #[serde(with = "duration")]
    pub writer_affinity_timeout: Duration,
    /// Whether WebSockets may go to readers.
    pub read_targets_accept_websockets: bool,
    /// Routed paths that metrics do not count.
    #[serde(deserialize_with = "or_default")]
    pub exclude_metrics_paths: Vec<String>,
    /// The header that holds the client's address.
    pub client_ip_header: String,
    /// Networks whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// Whether answers are compressed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compress: bool,
    /// `user:password` pairs that may use the service; empty for no authentication.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub basic_auth: Vec<Credentials>,
    /// Networks that may use the service; empty for all.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub allow_ips: Vec<String>,
    /// `Name: value` set on each request; an empty value removes the header.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub set_request_headers: Vec<String>,
    /// `Name: value` set on each answer; an empty value removes the header.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub set_response_headers: Vec<String>,
}

/// `user:password`, never shown.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Credentials(String);

impl Credentials {
    /// The pair as it was given.
    pub fn new(pair: impl Into<String>) -> Self {
        Self(pair.into())
    }

    /// The pair, to compare with what a client sent.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// How targets are checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheckConfig {
    /// The path asked for.
    pub path: String,
    /// Zero for the target's own.
    pub port: u16,
    /// Between checks.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// For one check.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// The Host header; empty for the target's address.
    pub host: String,
}

/// How requests are passed to a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetOptions {
    /// How targets are checked.
    #[serde(deserialize_with = "or_default")]
    pub health_check_config: HealthCheckConfig,
    /// Until the headers of the answer; zero for no limit.
    #[serde(with = "duration")]
    pub response_timeout: Duration,
    /// Whether a request is read whole before the target is asked.
    pub buffer_requests: bool,
    /// Whether an answer is read whole before the client gets it.
    pub buffer_responses: bool,
    /// Bytes kept in memory; the rest goes to disk.
    #[serde(deserialize_with = "size")]
    pub max_memory_buffer_size: u64,
    /// Zero for unlimited. Only with buffering.
    #[serde(deserialize_with = "size")]
    pub max_request_body_size: u64,
    /// Zero for unlimited. Only with buffering.
    #[serde(deserialize_with = "size")]
    pub max_response_body_size: u64,
    /// Request headers that are logged.
    #[serde(deserialize_with = "or_default")]
    pub log_request_headers: Vec<String>,
    /// Response headers that are logged.
    #[serde(deserialize_with = "or_default")]
    pub log_response_headers: Vec<String>,
    /// Whether incoming `X-Forwarded-*` are believed.
    pub forward_headers: bool,
    /// Whether cookies get the prefix as their path.
    pub scope_cookie_paths: bool,
    /// Until the target accepts a connection; zero for [`DIAL_TIMEOUT`].
    #[serde(with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub dial_timeout: Duration,
}

impl ServiceOptions {
    /// What the command line asks for when it asks for nothing. The directory of certificates is its caller's to name.
    pub fn of_command_line() -> Self {
        Self {
            tls_redirect: true,
            strip_prefix: true,
            writer_affinity_timeout: WRITER_AFFINITY_TIMEOUT,
            ..Self::default()
        }
    }
}

impl TargetOptions {
    /// What the command line asks for when it asks for nothing.
    pub fn of_command_line() -> Self {
        Self {
            health_check_config: HealthCheckConfig {
                path: HEALTH_CHECK_PATH.to_owned(),
                interval: HEALTH_CHECK_INTERVAL,
                timeout: HEALTH_CHECK_TIMEOUT,
                ..HealthCheckConfig::default()
            },
            response_timeout: RESPONSE_TIMEOUT,
            max_memory_buffer_size: BUFFER_MEMORY,
            forward_headers: true,
            ..Self::default()
        }
    }

    /// Until the target accepts a connection.
    pub fn dial_timeout(&self) -> Duration {
        if self.dial_timeout.is_zero() { DIAL_TIMEOUT } else { self.dial_timeout }
    }
}

/// How one deploy goes about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentOptions {
    /// Waiting for all new targets to become healthy.
    #[serde(with = "duration")]
    pub deploy_timeout: Duration,
    /// Waiting for the old targets' requests in flight.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// Waiting for the old targets' WebSockets and event streams; never longer than the drain.
    #[serde(with = "duration")]
    pub stream_timeout: Duration,
    /// Whether the health wait is left out.
    pub force: bool,
}

impl Default for DeploymentOptions {
    fn default() -> Self {
        Self {
            deploy_timeout: DEPLOY_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
            stream_timeout: STREAM_TIMEOUT,
            force: false,
        }
    }
}

/// What `run` was started with.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOptions {
    /// Debug messages too.
    pub debug: bool,
    /// Zero for a port of the system's choice.
    pub http_port: u16,
    /// Zero for a port of the system's choice.
    pub https_port: u16,
    /// Zero for no metrics.
    pub metrics_port: u16,
    /// The control socket.
    pub socket: PathBuf,
    /// State and certificates.
    pub data: PathBuf,
    /// Until the headers of a request are read.
    pub header_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Connections at the same time, over all listeners; more of them wait.
    pub max_connections: usize,
    /// Threads that carry requests; zero for one per core.
    pub threads: usize,
    /// Whether connections begin with the PROXY protocol, believed from [`RunOptions::trusted_proxies`] only.
    pub proxy_protocol: bool,
    /// Networks that may speak the PROXY protocol; empty for all.
    pub trusted_proxies: Vec<String>,
    /// Where a newer binary of the proxy may be, to be started instead of this one.
    pub newer_binary: PathBuf,
}

impl RunOptions {
    /// The state file.
    pub fn state_path(&self) -> PathBuf {
        self.data.join("kamal-proxy.state")
    }

    /// Where certificates are kept unless a deploy says otherwise.
    pub fn certificates(&self) -> PathBuf {
        self.data.join("certs")
    }
}
