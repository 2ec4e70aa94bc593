//! TLS and redirects. `acme.rs` tests orders of certificates.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::app::{App, PATIENCE};
use crate::client::Connection;
use crate::proxy::Proxy;

/// Accepts any certificate, because the tests check it themselves.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn handshake(
    port: u16,
    name: Option<&str>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> Result<Tls, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.enable_sni = name.is_some();
    let name = ServerName::try_from(name.unwrap_or("unnamed.example").to_owned()).unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut stream).map_err(|error| error.to_string())?;
    }
    Ok(StreamOwned::new(session, stream))
}

fn open(proxy: &Proxy, name: &str) -> Result<Connection<Tls>, String> {
    handshake(proxy.https, Some(name), rustls::ALL_VERSIONS, &[b"http/1.1"]).map(Connection::over)
}

fn certificate_of(connection: &Tls) -> Vec<u8> {
    connection.conn.peer_certificates().unwrap()[0].to_vec()
}

/// A self-signed certificate, and the contents of its PEM files.
struct Pair {
    der: Vec<u8>,
    pem: String,
    key: String,
}

fn pair(names: &[&str]) -> Pair {
    let made =
        rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            .unwrap();
    Pair { der: made.cert.der().to_vec(), pem: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

fn files(home: &Path, pair: &Pair, name: &str) -> String {
    let path = |end: &str| -> PathBuf { home.join(format!("{name}.{end}")) };
    fs::write(path("crt"), &pair.pem).unwrap();
    fs::write(path("key"), &pair.key).unwrap();
    format!(
        "--tls --tls-certificate-path {} --tls-private-key-path {}",
        path("crt").display(),
        path("key").display()
    )
}

/// A service `web` with a custom certificate.
fn deployed(hosts: &str, flags: &str) -> (Proxy, App, Pair) {
    deployed_on(Proxy::start(), hosts, flags)
}

fn deployed_on(proxy: Proxy, hosts: &str, flags: &str) -> (Proxy, App, Pair) {
    let (app, pair) = (App::start("app"), pair(&["a.example"]));
    let files = files(proxy.home.path(), &pair, "web");
    proxy.deploy("web", &app, &format!("--host {hosts} {files} {flags}"));
    (proxy, app, pair)
}

#[test]
fn a_custom_certificate_is_served_for_all_hosts() {
    let (proxy, app, pair) = deployed("a.example,*.b.example", "");
    for name in ["a.example", "x.b.example"] {
        let mut connection = open(&proxy, name).unwrap();
        assert_eq!(certificate_of(connection.reader.get_ref()), pair.der, "{name}");
        connection
            .send(format!("GET /x HTTP/1.1\r\nHost: {name}\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n").as_bytes());
        assert_eq!(connection.answer("GET").unwrap().text(), "app GET /x");
        // With TLS, the client's headers are not trusted unless a flag says so.
        assert_eq!(app.last().header("X-Forwarded-For").as_deref(), Some("127.0.0.1"));
        assert_eq!(app.last().header("X-Forwarded-Proto").as_deref(), Some("https"));
    }
    let line = proxy.logged_request("/x");
    assert_eq!(line["scheme"], "https");
    assert!(proxy.list().contains("yes"));
}

#[test]
fn names_that_no_service_serves_over_tls_get_no_handshake() {
    let (proxy, app, _) = deployed("a.example", "");
    proxy.deploy("plain", &app, "--host plain.example");
    for name in ["other.example", "plain.example", "a.b.example"] {
        assert!(open(&proxy, name).is_err(), "{name}");
    }
}

#[test]
fn without_a_name_the_first_host_of_a_tls_service_is_used() {
    let (proxy, _app, pair) = deployed_on(Proxy::start_with(&["--debug"]), "a.example", "");
    let connection = handshake(proxy.https, None, rustls::ALL_VERSIONS, &[]).unwrap();
    assert_eq!(certificate_of(&connection), pair.der);
    proxy.logged("No server name; using default TLS hostname", |line| line["host"] == "a.example");
}

#[test]
fn without_a_name_services_on_demand_are_ignored() {
    let (proxy, app, pair) = deployed("a.example", "");
    proxy.deploy("any", &app, "--tls --tls-on-demand-url /allowed");
    let connection = handshake(proxy.https, None, rustls::ALL_VERSIONS, &[]).unwrap();
    assert_eq!(certificate_of(&connection), pair.der);
}

#[test]
fn without_any_tls_service_there_is_no_handshake() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    assert!(handshake(proxy.https, None, rustls::ALL_VERSIONS, &[]).is_err());
    assert!(open(&proxy, "a.example").is_err());
}

#[test]
fn the_default_name_goes_with_its_service() {
    ours_alone!();
    let (proxy, _app, _) = deployed("a.example", "");
    proxy.ok("remove web");
    assert!(handshake(proxy.https, None, rustls::ALL_VERSIONS, &[]).is_err());
}

#[test]
fn versions_and_protocols() {
    let (proxy, ..) = deployed("a.example", "");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let connection =
            handshake(proxy.https, Some("a.example"), &[version], &[b"h2", b"http/1.1"]).unwrap();
        assert_eq!(connection.conn.alpn_protocol(), Some(&b"h2"[..]), "{version:?}");
        assert_eq!(connection.conn.protocol_version(), Some(version.version));
    }
    let connection = handshake(proxy.https, Some("a.example"), rustls::ALL_VERSIONS, &[b"http/1.1"]).unwrap();
    assert_eq!(connection.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(handshake(proxy.https, Some("a.example"), rustls::ALL_VERSIONS, &[]).is_ok());
}

#[test]
fn a_service_without_tls_answers_503_over_tls() {
    let (proxy, app, _) = deployed("a.example", "");
    proxy.deploy("plain", &app, "--host plain.example");
    let mut connection = open(&proxy, "a.example").unwrap();
    connection.send(b"GET / HTTP/1.1\r\nHost: plain.example\r\n\r\n");
    assert_eq!(connection.answer("GET").unwrap().status, 503);
}

#[test]
fn plain_requests_are_redirected() {
    let (proxy, app, _) = deployed("a.example", "");
    let answer = proxy.get("a.example:8080", "/x/y?q=1;2");
    assert_eq!((answer.status, answer.header("Location")), (301, Some("https://a.example/x/y?q=1;2")));
    assert_eq!(answer.header("Connection").map(str::to_lowercase).as_deref(), Some("close"));
    assert!(app.seen().is_empty());
}

#[test]
fn redirects_may_be_off() {
    let (proxy, ..) = deployed("a.example", "--tls-redirect=false");
    assert_eq!(proxy.get("a.example", "/x").text(), "app GET /x");
    let mut connection = open(&proxy, "a.example").unwrap();
    connection.send(b"GET /y HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(connection.answer("GET").unwrap().text(), "app GET /y");
}

#[test]
fn the_canonical_host_keeps_the_scheme() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--host a.example,www.a.example --canonical-host www.a.example");
    let answer = proxy.get("a.example:81", "/x?y");
    assert_eq!((answer.status, answer.header("Location")), (301, Some("http://www.a.example/x?y")));
    assert_eq!(proxy.get("www.a.example", "/x").status, 200);
}

#[test]
fn one_redirect_does_both() {
    let (proxy, ..) = deployed("a.example,www.a.example", "--canonical-host www.a.example");
    assert_eq!(proxy.get("a.example", "/x").header("Location"), Some("https://www.a.example/x"));
    let mut connection = open(&proxy, "a.example").unwrap();
    connection.send(b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(connection.answer("GET").unwrap().header("Location"), Some("https://www.a.example/x"));
}

#[test]
fn services_below_a_prefix_follow_the_root_service() {
    let (proxy, app, _) = deployed("a.example", "--tls-redirect=false");
    proxy.deploy("api", &app, "--host a.example --path-prefix /api");
    let over_tls = |target: &str| {
        let mut connection = open(&proxy, "a.example").unwrap();
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n").as_bytes());
        connection.answer("GET").unwrap().status
    };
    assert_eq!(over_tls("/api/x"), 200);
    assert_eq!(proxy.get("a.example", "/api/x").status, 200);
    let row =
        |name: &str| proxy.list().lines().find(|line| line.starts_with(name)).unwrap().trim_end().to_owned();
    assert!(row("api").ends_with("yes"));
    proxy.ok("remove web");
    assert!(row("api").ends_with("no"));
    assert_eq!(proxy.get("a.example", "/api/x").status, 200);
}

#[test]
fn certificates_are_loaded_at_deploy_and_at_restore() {
    let (proxy, app, first) = deployed("a.example", "");
    let second = pair(&["a.example"]);
    let flags = files(proxy.home.path(), &second, "web");
    let served = |proxy: &Proxy| certificate_of(open(proxy, "a.example").unwrap().reader.get_ref());
    assert_eq!(served(&proxy), first.der);
    proxy.deploy("web", &app, &format!("--host a.example {flags}"));
    assert_eq!(served(&proxy), second.der);
    let proxy = proxy.restart();
    assert_eq!(served(&proxy), second.der);
}

#[test]
fn a_bad_pair_fails_the_deploy() {
    let (proxy, app, first) = deployed("a.example", "");
    let (one, other) = (pair(&["a.example"]), pair(&["a.example"]));
    let mixed = Pair { der: vec![], pem: one.pem, key: other.key };
    let mut line = format!("deploy web --target {} --host a.example ", app.address);
    line += &files(proxy.home.path(), &mixed, "mixed");
    assert_eq!(proxy.fails(&line), "unable to load certificate");
    proxy.logged("Error loading TLS certificate", |_| true);
    assert_eq!(certificate_of(open(&proxy, "a.example").unwrap().reader.get_ref()), first.der);
}

#[test]
fn a_certificate_in_gos_cache_is_used_without_an_order() {
    let (proxy, app, made) = (Proxy::start(), App::start("app"), pair(&["a.example"]));
    // The SHA-256 of the empty string: the default directory.
    let cache = proxy
        .home
        .path()
        .join(".config/kamal-proxy/certs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    fs::create_dir_all(&cache).unwrap();
    fs::write(cache.join("a.example"), format!("{}{}", made.key, made.pem)).unwrap();
    proxy.deploy("web", &app, "--host a.example --tls");
    let connection = open(&proxy, "a.example").unwrap();
    assert_eq!(certificate_of(connection.reader.get_ref()), made.der);
    assert_eq!(proxy.get("a.example", "/").status, 301);
}

#[test]
fn sessions_are_resumed() {
    let (proxy, ..) = deployed("a.example", "");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    let config = Arc::new(config);
    let kind = || {
        let name = ServerName::try_from("a.example").unwrap();
        let session = ClientConnection::new(Arc::clone(&config), name).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", proxy.https)).unwrap();
        let mut connection = Connection::over(StreamOwned::new(session, stream));
        connection.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        assert_eq!(connection.answer("GET").unwrap().status, 200);
        connection.reader.get_ref().conn.handshake_kind()
    };
    assert_eq!(kind(), Some(rustls::HandshakeKind::Full));
    assert_eq!(kind(), Some(rustls::HandshakeKind::Resumed));
}

#[test]
fn what_cannot_be_served_over_tls_fails_the_deploy() {
    let (proxy, old, new) = (Proxy::start(), App::start("old"), App::start("new"));
    proxy.deploy("web", &old, "--host a.example");
    let deploy =
        |flags: &str| proxy.fails(&format!("deploy web --target {} --tls --host {flags}", new.address));
    let files = "--tls-certificate-path /not/there --tls-private-key-path /not/there";
    assert_eq!(deploy(&format!("a.example {files}")), "unable to load certificate");
    assert_eq!(deploy("*.example"), "automatic TLS does not support wildcards");
    assert_eq!(proxy.get("a.example", "/").text(), "old GET /");
    assert_eq!(proxy.get("b.example", "/").status, 404);
    assert!(new.seen().is_empty());
}
