//! TLS: where certificates come from, and which one a handshake gets.
//!
//! One [`Tls`] serves all listeners. The plane passes it each connection ([`Tls::accept`]) and gets the responses to
//! HTTP-01 challenges from it ([`Tls::http01`]). Each change of the services goes to [`Tls::set`]. Certificates are
//! custom PEM files, or issued by an ACME authority and kept in a cache that kamal-proxy can use too. A name that no
//! service lists gets none, unless an on-demand policy allows it.

mod acme;
mod cache;
mod certificate;
mod challenge;
mod client;
mod keeper;
mod on_demand;
mod services;
mod table;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, cipher_suite as suites};
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedCipherSuite};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use acme::Issuer;
use cache::Cache;
use challenge::{ACME_TLS, Challenges};
use client::Client;
use keeper::Kept;
use on_demand::{OnDemand, Parts};
use table::{CertificateTable, Found, Source};

use crate::lock;
use crate::log;

pub use certificate::{Certificate, Error as CertificateError};
pub use keeper::Backoff;
pub use on_demand::TargetOf;
pub use services::{services, targets_of};

/// Our order of preference, whatever the client prefers: the fastest first, as all of them are strong.
const SUITES: [SupportedCipherSuite; 9] = [
    suites::TLS13_AES_128_GCM_SHA256,
    suites::TLS13_AES_256_GCM_SHA384,
    suites::TLS13_CHACHA20_POLY1305_SHA256,
    suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The limit for each half of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a handshake waits for a certificate that is being issued.
const ISSUING: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct TlsService {
    pub name: String,
    /// Exact names and `*.domain`. Empty, or one empty string, means any name.
    pub hosts: Vec<String>,
    pub certificates: Certificates,
}

#[derive(Clone, Debug)]
pub enum Certificates {
    /// No TLS: handshakes for the service's names fail, whatever other services allow.
    Off,
    /// A pair of PEM files, loaded by [`Certificate::load`].
    Custom(Arc<Certificate>),
    /// An ACME authority, for the listed names.
    Automatic(Acme),
    /// An ACME authority, for the names that the policy at this URL or path allows.
    OnDemand(Acme, String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acme {
    /// The directory's URL; empty for Let's Encrypt.
    pub directory: String,
    /// The value of `--tls-acme-cache-path`.
    pub cache_path: PathBuf,
}

/// The error of a deploy whose hosts can't get automatic certificates.
pub const NO_WILDCARDS: &str = "automatic TLS does not support wildcards";

#[derive(Debug)]
pub struct Tls {
    shared: Arc<Shared>,
    config: Arc<ServerConfig>,
    issuers: Mutex<HashMap<Acme, Weak<Issuer>>>,
    client: Client,
    targets: Targets,
    backoff: Backoff,
    runtime: tokio::runtime::Handle,
}

#[derive(Debug, Default)]
struct Shared {
    table: ArcSwap<CertificateTable>,
    challenges: Arc<Challenges>,
}

struct Targets(TargetOf);

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Targets")
    }
}

impl Tls {
    /// Orders and renewals run on `runtime`. `target_of` finds a target for an on-demand policy that is a path.
    pub fn new(
        runtime: tokio::runtime::Handle,
        target_of: TargetOf,
        backoff: Backoff,
    ) -> Result<Self, String> {
        let shared = Arc::<Shared>::default();
        let config = server_config(Arc::clone(&shared)).map_err(|e| e.to_string())?;
        let client = Client::new()?;
        Ok(Tls {
            shared,
            config: Arc::new(config),
            issuers: Mutex::default(),
            client,
            targets: Targets(target_of),
            backoff,
            runtime,
        })
    }

    /// Updates the services. Names that stay keep their certificates and the orders in progress. If the last order
    /// for a name failed long enough ago, the next one starts immediately.
    pub fn set(&self, services: Vec<TlsService>) {
        let old = self.shared.table.load_full();
        let mut services = services;
        services.sort_by(|a, b| a.name.cmp(&b.name));
        let mut table = CertificateTable::default();
        for service in &services {
            self.add(&mut table, &old, service);
        }
        self.shared.table.store(Arc::new(table));
    }

    /// Stops ordering and renewing: another process has the listeners, and with them the validation requests.
    pub fn stop_ordering(&self) {
        self.shared.table.load().stop();
    }

    fn add(&self, table: &mut CertificateTable, old: &CertificateTable, service: &TlsService) {
        let any = service.hosts.iter().all(String::is_empty);
        if let Certificates::OnDemand(acme, url) = &service.certificates {
            table.on_demand.get_or_insert_with(|| self.on_demand(old, service, acme, url));
            return;
        }
        if any {
            if let Certificates::Custom(certificate) = &service.certificates {
                table.any.get_or_insert_with(|| Source::Custom(Arc::clone(certificate)));
            }
            return;
        }
        for host in service.hosts.iter().filter(|host| !host.is_empty()) {
            let host = host.to_ascii_lowercase();
            let source = match &service.certificates {
                Certificates::Off | Certificates::OnDemand(..) => Source::Off,
                Certificates::Custom(certificate) => Source::Custom(Arc::clone(certificate)),
                Certificates::Automatic(_) if host.starts_with("*.") => continue,
                Certificates::Automatic(acme) => Source::Kept(self.kept(old, acme, &host)),
            };
            let off = matches!(source, Source::Off);
            if !off && !host.starts_with("*.") {
                table.default_name.get_or_insert_with(|| host.clone());
            }
            let (map, key) = match host.strip_prefix("*.") {
                Some(parent) => (&mut table.wildcards, parent.to_owned()),
                None => (&mut table.names, host),
            };
            // Several services may share a host. The one with TLS provides the certificate.
            if !off || !map.contains_key(&key) {
                map.insert(key, source);
            }
        }
    }

    fn kept(&self, old: &CertificateTable, acme: &Acme, host: &str) -> Arc<Kept> {
        let issuer = self.issuer(acme);
        match old.names.get(host) {
            Some(Source::Kept(kept)) if kept.is_from(&issuer) => {
                kept.hurry();
                Arc::clone(kept)
            }
            _ => Arc::new(Kept::start(host, &issuer, &self.backoff, &self.runtime)),
        }
    }

    fn on_demand(
        &self,
        old: &CertificateTable,
        service: &TlsService,
        acme: &Acme,
        url: &str,
    ) -> Arc<OnDemand> {
        let issuer = self.issuer(acme);
        match &old.on_demand {
            Some(same) if same.is(&service.name, url, &issuer) => Arc::clone(same),
            _ => Arc::new(OnDemand::new(Parts {
                service: service.name.clone(),
                url: url.to_owned(),
                client: self.client.clone(),
                target_of: Arc::clone(&self.targets.0),
                issuer,
                backoff: self.backoff.clone(),
                runtime: self.runtime.clone(),
            })),
        }
    }

    fn issuer(&self, acme: &Acme) -> Arc<Issuer> {
        let mut issuers = lock(&self.issuers);
        if let Some(issuer) = issuers.get(acme).and_then(Weak::upgrade) {
            return issuer;
        }
        let cache = Cache::new(&acme.cache_path, &acme.directory);
        let challenges = Arc::clone(&self.shared.challenges);
        let issuer = Arc::new(Issuer::new(cache, &acme.directory, self.client.clone(), challenges));
        issuers.insert(acme.clone(), Arc::downgrade(&issuer));
        issuer
    }

    /// The response to `GET /.well-known/acme-challenge/TOKEN` for a host without its port.
    pub fn http01(&self, host: &str, token: &str) -> Option<String> {
        self.shared.challenges.http(host, token)
    }

    /// Performs the handshake. If the certificate is being issued, the handshake waits for it. A connection with the
    /// protocol `acme-tls/1` was an authority's challenge, and is complete.
    pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, stream: IO) -> io::Result<TlsStream<IO>> {
        let hello = within(HANDSHAKE, LazyConfigAcceptor::new(Acceptor::default(), stream)).await?;
        self.prepare(&hello.client_hello()).await;
        within(HANDSHAKE, hello.into_stream(Arc::clone(&self.config))).await
    }

    async fn prepare(&self, hello: &ClientHello<'_>) {
        if is_challenge(hello) {
            return;
        }
        let name = lower(hello.server_name());
        let table = self.shared.table.load();
        if let (None, Some(host)) = (&name, &table.default_name) {
            log::debug("No server name; using default TLS hostname", &[("host", host)]);
        }
        let found = table.find(name.as_deref());
        drop(table);
        match (found, name) {
            (Found::Expected(kept), _) => drop(kept.ready(ISSUING).await),
            (Found::Unknown(on_demand), Some(name)) => {
                if let Some(kept) = on_demand.admit(&name).await {
                    kept.ready(ISSUING).await;
                }
            }
            _ => {}
        }
    }
}

async fn within<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn server_config(shared: Arc<Shared>) -> Result<ServerConfig, rustls::Error> {
    let provider = CryptoProvider { cipher_suites: SUITES.to_vec(), ..ring::default_provider() };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(shared);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), ACME_TLS.to_vec()];
    config.ignore_client_order = true;
    config.ticketer = ring::Ticketer::new()?;
    // One ticket is enough for clients that reconnect, and half the work.
    config.send_tls13_tickets = 1;
    Ok(config)
}

impl ResolvesServerCert for Shared {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = lower(hello.server_name());
        if is_challenge(&hello) {
            return self.challenges.alpn(&name?);
        }
        match self.table.load().find(name.as_deref()) {
            Found::Certificate(key) => Some(key),
            _ => None,
        }
    }
}

/// An authority's validation offers only this protocol.
fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|offered| offered.eq([ACME_TLS]))
}

fn lower(name: Option<&str>) -> Option<String> {
    name.map(|name| name.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod ari;
#[cfg(test)]
mod pebble;
#[cfg(test)]
#[path = "../tests/common/ports.rs"]
mod ports;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
