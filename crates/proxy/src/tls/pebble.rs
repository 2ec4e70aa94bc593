//! Tests against pebble, an ACME authority for tests.
//!
//! Pebble gives up on a validation after some seconds. On a busy machine, an order can fail for this reason, so the
//! tests allow any number of orders, and nothing here has a deadline.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use authority::Authority;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::ports::free_port;
use super::testing::{Made, make_of_age};
use super::tests::{kept, tls_hello};
use super::*;

/// The wait after an order that failed.
const SHORT: Duration = Duration::from_millis(200);
/// A wait that lasts longer than any test.
const LONG: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[path = "../../tests/common/pebble.rs"]
mod authority;

/// An authority, and the ports at which it validates challenges.
struct Pebble {
    directory: tempfile::TempDir,
    url: String,
    client: Client,
    http: u16,
    alpn: u16,
    _authority: Authority,
}

impl Pebble {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (http, alpn) = (free_port(), free_port());
        let authority = Authority::start(directory.path(), http, alpn);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(directory.path().join("root.pem")).unwrap()).unwrap();
        let client = Client::with_roots(roots).unwrap();
        Pebble { directory, url: authority.url(), client, http, alpn, _authority: authority }
    }

    fn acme(&self) -> Acme {
        Acme { directory: self.url.clone(), cache_path: self.directory.path().join("certs") }
    }

    fn cache(&self) -> Cache {
        Cache::new(&self.acme().cache_path, &self.url)
    }

    fn tls(&self, waits: &[Duration]) -> Arc<Tls> {
        let tls =
            Tls::new(tokio::runtime::Handle::current(), Arc::new(|_| None), Backoff::of(waits.to_vec()))
                .unwrap();
        Arc::new(Tls { client: self.client.clone(), ..tls })
    }

    fn service(&self, hosts: &[&str]) -> TlsService {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        TlsService { name: "one".into(), hosts, certificates: Certificates::Automatic(self.acme()) }
    }

    fn address(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// Responds to HTTP-01 challenges like the plane, and counts them.
    async fn answer_http(&self, tls: &Arc<Tls>) -> (Task, Arc<AtomicUsize>) {
        let listener = TcpListener::bind(Self::address(self.http)).await.unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let (tls, counted) = (Arc::clone(tls), Arc::clone(&count));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let answer = answer_to(&tls, &request).unwrap_or_default();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    answer.len()
                );
                let _ = stream.write_all(format!("{head}{answer}").as_bytes()).await;
            }
        });
        (Task(task), count)
    }

    /// Performs the handshake of every connection to the TLS-ALPN-01 port.
    async fn answer_alpn(&self, tls: &Arc<Tls>) -> Task {
        let listener = TcpListener::bind(Self::address(self.alpn)).await.unwrap();
        let tls = Arc::clone(tls);
        Task(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tls = Arc::clone(&tls);
                tokio::spawn(async move { tls.accept(stream).await.map(drop) });
            }
        }))
    }
}

struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn answer_to(tls: &Tls, request: &str) -> Option<String> {
    let token = request.strip_prefix("GET /.well-known/acme-challenge/")?.split(' ').next()?;
    let host = request.lines().find_map(|line| line.strip_prefix("Host: "))?;
    tls.http01(host.split(':').next()?, token)
}

/// The certificate that a client gets, once there is one. Each handshake waits for it, but not longer than a minute.
async fn served(tls: &Tls, name: &str) -> CertificateDer<'static> {
    loop {
        if let Some(leaf) = tls_hello(tls, name, &[]).await {
            return leaf;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the name has a certificate, or its next order comes only after [`LONG`].
async fn settled(tls: &Tls, name: &str) -> Option<Arc<Certificate>> {
    kept(tls, name).ready(LONG / 2).await
}

fn is_stored(cache: &Cache, name: &str) -> bool {
    cache.certificate(name, SystemTime::now()).is_some()
}

#[tokio::test]
async fn certificates_are_issued_kept_and_used_again() {
    let pebble = Pebble::start();
    let tls = pebble.tls(&[SHORT]);
    let (_http, asked) = pebble.answer_http(&tls).await;
    let names: Vec<String> = (0..12).map(|n| format!("host{n}.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    tls.set(vec![pebble.service(&names)]);
    let mut leaves = Vec::new();
    for name in &names {
        let begun = Instant::now();
        let at_once = tls_hello(&tls, name, &[]).await;
        assert!(at_once.is_some() || begun.elapsed() >= HANDSHAKE, "{name}: the handshake did not wait");
        leaves.push(served(&tls, name).await);
        assert!(is_stored(&pebble.cache(), name));
    }
    assert_eq!(tls_hello(&tls, "other.example.com", &[]).await, None);
    assert!(!is_stored(&pebble.cache(), "other.example.com"));

    // A new process with the same cache orders nothing.
    let before = asked.load(Ordering::Relaxed);
    drop(pebble.tls(&[LONG]));
    let again = pebble.tls(&[LONG]);
    again.set(vec![pebble.service(&names)]);
    for (name, leaf) in names.iter().zip(&leaves) {
        assert_eq!(served(&again, name).await, *leaf);
    }
    assert_eq!(asked.load(Ordering::Relaxed), before);
}

#[tokio::test]
async fn the_other_challenge_is_tried_when_the_first_fails() {
    let pebble = Pebble::start();
    let tls = pebble.tls(&[SHORT]);
    // Nothing listens on the HTTP-01 port.
    let _alpn = pebble.answer_alpn(&tls).await;
    tls.set(vec![pebble.service(&["a.example.com"])]);
    served(&tls, "a.example.com").await;
}

#[tokio::test]
async fn failures_wait_and_do_not_disturb_others() {
    let pebble = Pebble::start();
    let tls = pebble.tls(&[Duration::from_millis(50), Duration::from_millis(50), LONG]);
    let only_a = || tls.set(vec![pebble.service(&["a.example.com"])]);
    only_a();
    // Neither port is open. After three attempts, the next one is so late that the handshake doesn't wait for it.
    assert!(settled(&tls, "a.example.com").await.is_none());
    assert_eq!(tls_hello(&tls, "a.example.com", &[]).await, None);
    let log = std::fs::read_to_string(pebble.directory.path().join("pebble.log")).unwrap();
    assert_eq!(log.matches("Issued certificate").count(), 0, "{log}");
    // Now HTTP-01 works. A new name gets its certificate immediately, the old one still waits for its next attempt.
    let (_http, _) = pebble.answer_http(&tls).await;
    loop {
        tls.set(vec![pebble.service(&["a.example.com", "b.example.com"])]);
        if settled(&tls, "b.example.com").await.is_some() {
            break;
        }
        // Its attempts met a busy authority. As a new name, it gets others.
        only_a();
    }
    served(&tls, "b.example.com").await;
    assert_eq!(tls_hello(&tls, "a.example.com", &[]).await, None);
}

#[tokio::test]
async fn a_certificate_near_its_end_serves_until_the_new_one_is_there() {
    let pebble = Pebble::start();
    // Less than a third of its lifetime is left.
    let Made { chain, key, certificate } = make_of_age("a.example.com", DAY * 10, DAY);
    let old = certificate.leaf().unwrap();
    pebble.cache().store("a.example.com", &key, &chain).unwrap();
    let tls = pebble.tls(&[SHORT]);
    tls.set(vec![pebble.service(&["a.example.com"])]);
    assert_eq!(served(&tls, "a.example.com").await, *old);
    let (_http, _) = pebble.answer_http(&tls).await;
    while served(&tls, "a.example.com").await == *old {
        sleep(Duration::from_millis(50)).await;
    }
    let stored = pebble.cache().certificate("a.example.com", SystemTime::now()).unwrap();
    assert!(stored.not_after > certificate.not_after);
}

#[tokio::test]
async fn an_order_broken_off_in_the_middle_begins_again() {
    let pebble = Pebble::start();
    let silent = TcpListener::bind(Pebble::address(pebble.http)).await.unwrap();
    let tls = pebble.tls(&[SHORT]);
    tls.set(vec![pebble.service(&["a.example.com"])]);
    // The proxy is killed while the authority waits for its response.
    let asking = silent.accept().await.unwrap();
    drop(tls);
    drop((asking, silent));
    let tls = pebble.tls(&[SHORT]);
    let (_http, _) = pebble.answer_http(&tls).await;
    tls.set(vec![pebble.service(&["a.example.com"])]);
    served(&tls, "a.example.com").await;
}

#[tokio::test]
async fn on_demand_names_are_issued_if_the_policy_allows_them() {
    let pebble = Pebble::start();
    let (target_of, _) = super::tests::policy().await;
    let tls = Tls::new(tokio::runtime::Handle::current(), target_of, Backoff::of(vec![SHORT])).unwrap();
    let tls = Arc::new(Tls { client: pebble.client.clone(), ..tls });
    let (_http, asked) = pebble.answer_http(&tls).await;
    let certificates = Certificates::OnDemand(pebble.acme(), "/allowed".into());
    tls.set(vec![TlsService { name: "one".into(), hosts: Vec::new(), certificates }]);
    assert_eq!(tls_hello(&tls, "bad.example.com", &[]).await, None);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    served(&tls, "good.example.com").await;
}
