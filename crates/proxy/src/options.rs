//! The options of a deploy, in the JSON form of kamal-proxy's state file: its names, and durations in nanoseconds.
//!
//! A field that is missing in a file is zero, as in Go, and `Default` is that zero. The constants are the command
//! line's defaults. Fields that kamal-proxy doesn't have are left out while unset, so that it can read our files.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::duration;

mod idn;
mod validate;

pub use validate::{Invalid, is_target, on_demand_is_local};

/// Let's Encrypt's staging directory (`--tls-staging`).
pub const ACME_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";
/// Let's Encrypt's directory, used when [`ServiceOptions::acme_directory`] is empty.
pub const ACME_PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";

pub const DEPLOY_TIMEOUT: Duration = Duration::from_secs(30);
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(5);
pub const UPGRADE_DRAIN_TIMEOUT: Duration = Duration::from_secs(600);
pub const UPGRADE_STREAM_TIMEOUT: Duration = Duration::from_secs(60);
pub const WRITER_AFFINITY_TIMEOUT: Duration = Duration::from_secs(1);
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Also used for zero.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
pub const HEALTH_CHECK_PATH: &str = "/up";
pub const HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(1);
pub const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(5);
pub const BUFFER_MEMORY: u64 = 1 << 20;

/// Reads `null` as the default, as Go does.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Reads a size. Negative values count as zero (unlimited).
fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let size = Option::<i64>::deserialize(from)?.unwrap_or_default();
    Ok(u64::try_from(size).unwrap_or_default())
}

/// How a service is reached, and the rules for all of its targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceOptions {
    /// Exact names, `*.domain`, or one empty string for any host.
    #[serde(deserialize_with = "or_default")]
    pub hosts: Vec<String>,
    /// `/`, or a path that starts with a slash and doesn't end with one.
    #[serde(deserialize_with = "or_default")]
    pub path_prefixes: Vec<String>,
    pub tls_enabled: bool,
    /// A PEM file, read at deploy and when the state is restored. Empty for automatic certificates.
    pub tls_certificate_path: String,
    pub tls_private_key_path: String,
    /// A URL or a path that decides whether a name may have a certificate.
    pub tls_on_demand_url: String,
    /// Whether plain HTTP is redirected when TLS is on.
    pub tls_redirect: bool,
    /// The host that all others are redirected to.
    pub canonical_host: String,
    /// Empty for Let's Encrypt.
    pub acme_directory: String,
    /// The directory for certificates, with a subdirectory per ACME directory.
    pub acme_cache_path: String,
    /// A directory of `STATUS.html` files, or empty.
    pub error_page_path: String,
    pub strip_prefix: bool,
    /// How long a client's reads go to the writers after a write.
    #[serde(with = "duration")]
    pub writer_affinity_timeout: Duration,
    pub read_targets_accept_websockets: bool,
    /// Paths that the metrics don't count, as the target sees them.
    #[serde(deserialize_with = "or_default")]
    pub exclude_metrics_paths: Vec<String>,
    /// The request header that contains the client's address.
    pub client_ip_header: String,
    /// Networks whose `X-Forwarded-For` and `Forwarded` are trusted.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compress: bool,
    /// Pairs that may use the service; empty for no authentication.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub basic_auth: Vec<Credentials>,
    /// Networks that may use the service; empty for all.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub allow_ips: Vec<String>,
    /// `Name: value` set on each request; an empty value removes the header.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub set_request_headers: Vec<String>,
    /// `Name: value` set on each response; an empty value removes the header.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub set_response_headers: Vec<String>,
}

/// `user:password`, redacted in debug output.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Credentials(String);

impl Credentials {
    pub fn new(pair: impl Into<String>) -> Self {
        Self(pair.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheckConfig {
    pub path: String,
    /// Zero for the target's own.
    pub port: u16,
    #[serde(with = "duration")]
    pub interval: Duration,
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// The `Host` header; empty for the target's address.
    pub host: String,
}

/// How requests are forwarded to targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetOptions {
    #[serde(deserialize_with = "or_default")]
    pub health_check_config: HealthCheckConfig,
    /// Until the headers of the response; zero for no limit.
    #[serde(with = "duration")]
    pub response_timeout: Duration,
    /// Whether a request is read whole before it is forwarded.
    pub buffer_requests: bool,
    /// Whether a response is read whole before the client gets it.
    pub buffer_responses: bool,
    /// Bytes of a buffered body that stay in memory; the rest goes to disk.
    #[serde(deserialize_with = "size")]
    pub max_memory_buffer_size: u64,
    /// Zero for unlimited. Applies only with buffering.
    #[serde(deserialize_with = "size")]
    pub max_request_body_size: u64,
    /// Zero for unlimited. Applies only with buffering.
    #[serde(deserialize_with = "size")]
    pub max_response_body_size: u64,
    #[serde(deserialize_with = "or_default")]
    pub log_request_headers: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub log_response_headers: Vec<String>,
    /// Whether the client's `X-Forwarded-*` headers are trusted.
    pub forward_headers: bool,
    /// Whether the path prefix is added to the path of cookies.
    pub scope_cookie_paths: bool,
    /// Until the target accepts a connection; zero for [`DIAL_TIMEOUT`].
    #[serde(with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub dial_timeout: Duration,
}

impl ServiceOptions {
    /// The command line's defaults. The caller sets the directory for certificates.
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
    /// The command line's defaults.
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

    pub fn dial_timeout(&self) -> Duration {
        if self.dial_timeout.is_zero() { DIAL_TIMEOUT } else { self.dial_timeout }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentOptions {
    /// How long all new targets may take to become healthy.
    #[serde(with = "duration")]
    pub deploy_timeout: Duration,
    /// How long open requests to the old targets may take to finish.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// How long the old targets' WebSockets and event streams stay open; capped at the drain timeout.
    #[serde(with = "duration")]
    pub stream_timeout: Duration,
    /// Whether to switch without waiting for health.
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

#[derive(Clone, Debug, PartialEq)]
pub struct RunOptions {
    pub debug: bool,
    /// Zero for a port of the system's choice.
    pub http_port: u16,
    /// Zero for a port of the system's choice.
    pub https_port: u16,
    /// Zero for no metrics.
    pub metrics_port: u16,
    pub socket: PathBuf,
    /// The directory of state and certificates.
    pub data: PathBuf,
    /// Until the headers of a request are read.
    pub header_timeout: Duration,
    /// Between two requests of a connection, and between two parts of a body.
    pub idle_timeout: Duration,
    /// Open connections of all listeners; more connections wait.
    pub max_connections: usize,
    /// Threads that handle requests; zero for one per core.
    pub threads: usize,
    /// Whether connections from [`RunOptions::trusted_proxies`] must start with the PROXY protocol.
    pub proxy_protocol: bool,
    /// Networks that use the PROXY protocol; empty for all.
    pub trusted_proxies: Vec<String>,
    /// A binary of the proxy, started instead of this one if it is newer.
    pub newer_binary: PathBuf,
}

impl RunOptions {
    pub fn state_path(&self) -> PathBuf {
        self.data.join("kamal-proxy.state")
    }
}
