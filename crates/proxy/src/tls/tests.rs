#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use tokio_rustls::TlsConnector;

use super::testing::{Made, make, make_ec_pem};
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn new_tls() -> Tls {
    Tls::new(tokio::runtime::Handle::current(), Arc::new(|_| None), Backoff::default()).unwrap()
}

fn custom(name: &str, hosts: &[&str], made: &Made) -> TlsService {
    let certificates = Certificates::Custom(Arc::clone(&made.certificate));
    TlsService {
        name: name.into(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        certificates,
    }
}

fn off(name: &str, hosts: &[&str]) -> TlsService {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    TlsService { name: name.into(), hosts, certificates: Certificates::Off }
}

fn config(alpn: &[&[u8]], trusted: &[&Made]) -> ClientConfig {
    let mut config = config_of(ring::default_provider(), rustls::ALL_VERSIONS, trusted);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

fn config_of(
    provider: CryptoProvider,
    versions: &[&'static rustls::SupportedProtocolVersion],
    trusted: &[&Made],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for made in trusted {
        roots.add(leaf(made).clone()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

struct Shaken {
    certificate: CertificateDer<'static>,
    protocol: Option<Vec<u8>>,
    version: ProtocolVersion,
    suite: rustls::CipherSuite,
    resumed: bool,
}

async fn shake(tls: &Tls, name: &str, config: &Arc<ClientConfig>) -> io::Result<Shaken> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (ours, theirs) = tokio::io::duplex(16 << 10);
    let server = async {
        let mut stream = tls.accept(ours).await?;
        stream.write_all(b"hello").await?;
        stream.shutdown().await
    };
    let client = async {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, theirs).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        assert_eq!(said, "hello");
        let connection = stream.get_ref().1;
        Ok(Shaken {
            certificate: connection.peer_certificates().unwrap()[0].clone().into_owned(),
            protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
            version: connection.protocol_version().unwrap(),
            suite: connection.negotiated_cipher_suite().unwrap().suite(),
            resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        })
    };
    let (_, shaken) = tokio::join!(server, client);
    shaken
}

fn leaf(made: &Made) -> &CertificateDer<'static> {
    made.certificate.leaf().unwrap()
}

#[tokio::test]
async fn each_name_gets_its_certificate_and_others_none() {
    let (a, b, wild) =
        (make("a.example.com", HOUR), make("b.example.com", HOUR), make("*.example.org", HOUR));
    let tls = new_tls();
    tls.set(vec![
        custom("z", &["a.example.com"], &a),
        custom("y", &["B.example.com"], &b),
        custom("x", &["*.example.org"], &wild),
        off("w", &["plain.example.com", "a.example.com", "special.example.org"]),
    ]);
    let client = Arc::new(config(&[b"h2", b"http/1.1"], &[&a, &b, &wild]));
    for (name, made) in
        [("a.example.com", &a), ("A.EXAMPLE.com", &a), ("b.example.com", &b), ("any.example.org", &wild)]
    {
        let shaken = shake(&tls, name, &client).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(&shaken.certificate, leaf(made), "{name}");
        assert_eq!(shaken.protocol.as_deref(), Some(&b"h2"[..]));
        assert_eq!(shaken.version, ProtocolVersion::TLSv1_3);
    }
    for name in
        ["c.example.com", "plain.example.com", "example.org", "a.b.example.org", "special.example.org"]
    {
        assert!(shake(&tls, name, &client).await.is_err(), "{name}");
    }
    tls.set(vec![custom("y", &["b.example.com"], &b)]);
    assert!(shake(&tls, "a.example.com", &client).await.is_err());
    assert!(shake(&tls, "b.example.com", &client).await.is_ok());
}

#[tokio::test]
async fn without_a_name_the_first_service_answers_while_there_is_one() {
    let (a, b) = (make("a.example.com", HOUR), make("b.example.com", HOUR));
    let tls = new_tls();
    tls.set(vec![
        custom("two", &["b.example.com"], &b),
        custom("one", &["a.example.com"], &a),
        off("all", &["c.example.com"]),
    ]);
    let find = |tls: &Tls| match tls.shared.table.load().find(None) {
        Found::Certificate(key) => key.cert.first().cloned(),
        _ => None,
    };
    assert_eq!(find(&tls).as_ref(), Some(leaf(&a)));
    tls.set(vec![custom("two", &["b.example.com"], &b)]);
    assert_eq!(find(&tls).as_ref(), Some(leaf(&b)));
    tls.set(vec![]);
    assert_eq!(find(&tls), None);
}

#[tokio::test]
async fn sessions_resume_in_both_versions() {
    let a = make("a.example.com", HOUR);
    let tls = new_tls();
    tls.set(vec![custom("one", &["a.example.com"], &a)]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = Arc::new(config_of(ring::default_provider(), &[version], &[&a]));
        assert!(!shake(&tls, "a.example.com", &client).await.unwrap().resumed);
        let again = shake(&tls, "a.example.com", &client).await.unwrap();
        assert!(again.resumed, "{version:?}");
        assert_eq!(again.version, version.version);
    }
}

#[tokio::test]
async fn the_cipher_suite_is_of_our_choice() {
    let a = make("a.example.com", HOUR);
    let tls = new_tls();
    tls.set(vec![custom("one", &["a.example.com"], &a)]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for reversed in [false, true] {
            let mut provider = ring::default_provider();
            if reversed {
                provider.cipher_suites.reverse();
            }
            let client = config_of(provider, &[version], &[&a]);
            let suite = shake(&tls, "a.example.com", &Arc::new(client)).await.unwrap().suite;
            assert!(format!("{suite:?}").contains("AES_128_GCM"), "{suite:?}");
        }
    }
}

#[tokio::test]
async fn a_challenge_is_answered_only_while_it_is_open_and_only_to_an_authority() {
    let a = make("a.example.com", HOUR);
    let tls = new_tls();
    tls.set(vec![custom("one", &["a.example.com"], &a)]);
    let asks = |alpn: &'static [&'static [u8]]| tls_hello(&tls, "a.example.com", alpn);
    assert_eq!(asks(&[ACME_TLS]).await, None);
    let open = tls.shared.challenges.open_alpn("a.example.com", &[7; 32]).unwrap();
    let challenge = asks(&[ACME_TLS]).await.unwrap();
    assert_ne!(&challenge, leaf(&a));
    let acme_identifier = [0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 1, 31];
    assert!(challenge.windows(acme_identifier.len()).any(|window| window == acme_identifier));
    assert_eq!(asks(&[ACME_TLS, b"http/1.1"]).await.as_ref(), Some(leaf(&a)));
    drop(open);
    assert_eq!(asks(&[ACME_TLS]).await, None);

    let open = tls.shared.challenges.open_http("a.example.com", "token", "token.thumb");
    assert_eq!(tls.http01("A.example.com", "token").as_deref(), Some("token.thumb"));
    assert_eq!(tls.http01("b.example.com", "token"), None);
    drop(open);
    assert_eq!(tls.http01("a.example.com", "token"), None);
}

/// The certificate that the server sends, whether trusted or not.
pub(super) async fn tls_hello(tls: &Tls, name: &str, alpn: &[&[u8]]) -> Option<CertificateDer<'static>> {
    let mut config = config(alpn, &[]);
    let seen = Arc::new(Seen::default());
    config.dangerous().set_certificate_verifier(Arc::clone(&seen) as _);
    let _ = shake(tls, name, &Arc::new(config)).await;
    seen.0.lock().unwrap().take()
}

#[derive(Debug, Default)]
struct Seen(Mutex<Option<CertificateDer<'static>>>);

impl rustls::client::danger::ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = Some(leaf.clone().into_owned());
        Err(rustls::Error::General("seen".into()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("seen".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("seen".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// An authority that refuses connections.
fn acme(cache_path: &Path) -> Acme {
    Acme { directory: "https://127.0.0.1:9/dir".into(), cache_path: cache_path.to_owned() }
}

#[tokio::test]
async fn a_certificate_of_kamal_proxys_cache_is_served_without_an_order() {
    let base = tempfile::tempdir().unwrap();
    let acme = acme(base.path());
    let pem = make_ec_pem("a.example.com");
    let cached = Certificate::from_pem(pem.as_bytes(), pem.as_bytes()).unwrap();
    let (key, chain) = pem.split_at(pem.find("-----BEGIN CERTIFICATE").unwrap());
    Cache::new(&acme.cache_path, &acme.directory).store("a.example.com", key, chain).unwrap();
    let tls = new_tls();
    let hosts = vec!["a.example.com".to_owned()];
    let service = TlsService { name: "one".into(), hosts, certificates: Certificates::Automatic(acme) };
    tls.set(vec![service.clone()]);
    assert_eq!(tls_hello(&tls, "a.example.com", &[]).await.as_ref(), cached.leaf());
    let before = kept(&tls, "a.example.com");
    tls.set(vec![service.clone()]);
    assert!(Arc::ptr_eq(&before, &kept(&tls, "a.example.com")), "the same name was begun again");
}

pub(super) fn kept(tls: &Tls, name: &str) -> Arc<Kept> {
    match tls.shared.table.load().names.get(name) {
        Some(Source::Kept(kept)) => Arc::clone(kept),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_handshake_does_not_wait_for_what_will_not_come() {
    let base = tempfile::tempdir().unwrap();
    let tls = Tls { backoff: Backoff::of(vec![HOUR]), ..new_tls() };
    let hosts = vec!["a.example.com".to_owned(), "*.example.org".to_owned()];
    tls.set(vec![TlsService {
        name: "one".into(),
        hosts,
        certificates: Certificates::Automatic(acme(base.path())),
    }]);
    // The order fails at once, and the next one starts long after this handshake would have given up.
    assert_eq!(tls_hello(&tls, "a.example.com", &[]).await, None);
    assert_eq!(tls_hello(&tls, "b.example.org", &[]).await, None);
}

#[tokio::test]
async fn a_deploy_orders_again_what_failed_but_not_before_the_authority_would_allow_it() {
    let ordered_again = async |apart: Duration| {
        let base = tempfile::tempdir().unwrap();
        let authority = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let directory = format!("https://{}/dir", authority.local_addr().unwrap());
        let tls = Tls { backoff: Backoff::of(vec![HOUR]).apart(apart), ..new_tls() };
        let acme = Acme { directory, cache_path: base.path().to_owned() };
        let hosts = vec!["a.example.com".to_owned()];
        let service = TlsService { name: "one".into(), hosts, certificates: Certificates::Automatic(acme) };
        tls.set(vec![service.clone()]);
        // The order fails at once, because the authority closes every connection.
        let refuse = async || {
            while let Ok((stream, _)) = authority.accept().await {
                drop(stream)
            }
        };
        tokio::select! {
            () = refuse() => {}
            hello = tls_hello(&tls, "a.example.com", &[]) => assert_eq!(hello, None),
        }
        tls.set(vec![service]);
        let again = tokio::time::timeout(
            Duration::from_secs(if apart.is_zero() { 60 } else { 1 }),
            authority.accept(),
        );
        again.await.is_ok()
    };
    assert!(ordered_again(Duration::ZERO).await);
    assert!(!ordered_again(HOUR).await);
}

#[tokio::test]
async fn a_process_that_has_been_taken_over_from_orders_no_more() {
    let base = tempfile::tempdir().unwrap();
    let authority = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = format!("https://{}/dir", authority.local_addr().unwrap());
    let tls = Arc::new(Tls { backoff: Backoff::of(vec![Duration::from_millis(1)]), ..new_tls() });
    let acme = Acme { directory, cache_path: base.path().to_owned() };
    let hosts = vec!["a.example.com".to_owned()];
    tls.set(vec![TlsService { name: "one".into(), hosts, certificates: Certificates::Automatic(acme) }]);
    let waiting = tokio::spawn({
        let tls = Arc::clone(&tls);
        async move { tls_hello(&tls, "a.example.com", &[]).await }
    });
    // The order has started, and the authority doesn't respond.
    let _silent = authority.accept().await.unwrap();
    tls.stop_ordering();
    let before_it_would_try_again = ISSUING / 3;
    assert_eq!(tokio::time::timeout(before_it_would_try_again, waiting).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn on_demand_names_are_asked_about_until_they_have_a_certificate() {
    let base = tempfile::tempdir().unwrap();
    let (target_of, asked) = policy().await;
    let acme = acme(base.path());
    let made = make("known.example.com", HOUR);
    Cache::new(&acme.cache_path, &acme.directory).store("known.example.com", &made.key, &made.chain).unwrap();
    let tls = Tls::new(tokio::runtime::Handle::current(), target_of, Backoff::of(vec![HOUR])).unwrap();
    let certificates = Certificates::OnDemand(acme, "/allowed?".into());
    tls.set(vec![
        TlsService { name: "one".into(), hosts: vec![String::new()], certificates },
        off("two", &["plain.example.com"]),
    ]);

    assert_eq!(tls_hello(&tls, "known.example.com", &[]).await.as_ref(), Some(leaf(&made)));
    assert_eq!(tls_hello(&tls, "plain.example.com", &[]).await, None);
    assert!(asked.lock().unwrap().is_empty());
    for name in ["bad.example.com", "good.example.com", "good.example.com", "bad.example.com", "localhost"] {
        assert_eq!(tls_hello(&tls, name, &[]).await, None, "{name}");
    }
    let question = |name: &str| format!("GET /allowed?host={name} HTTP/1.1 {name}");
    let expected = ["bad.example.com", "good.example.com", "bad.example.com"].map(question);
    assert_eq!(*asked.lock().unwrap(), expected);
}

/// A target of the service `one` whose policy allows names that start with `good`, and the requests that it got.
pub(super) async fn policy() -> (TargetOf, Arc<Mutex<Vec<String>>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
            seen.lock().unwrap().push(format!("{} {host}", request.lines().next().unwrap_or_default()));
            let status = if host.starts_with("good") { "200 OK" } else { "403 Forbidden" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntext");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (Arc::new(move |service| (service == "one").then(|| address.clone())), asked)
}

#[test]
fn custom_pairs_must_fit_together() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let (a, b) = (make("a.example.com", HOUR), make("b.example.com", HOUR));
    let (chain, key) = (file("a.pem", &a.chain), file("a.key", &a.key));
    assert!(Certificate::load(&chain, &key).is_ok());
    for (chain, key, expected) in [
        (&chain, &file("b.key", &b.key), "the key belongs to another certificate"),
        (&key, &key, "there is no certificate in it"),
        (&chain, &chain, "there is no private key in it"),
        (&file("empty", ""), &key, "there is no certificate in it"),
        (&directory.path().join("missing"), &key, "can't read "),
    ] {
        let error = Certificate::load(chain, key).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
