//! TLS and the PROXY protocol over real sockets.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bowline_proxy::client_address::Ranges;
use bowline_proxy::options::ServiceOptions;
use bowline_proxy::plane::{Plane, Scheme, Settings};
use bowline_proxy::service::Services;
use bowline_proxy::tls::{self, Backoff, Tls};

use crate::support::{Proxy, Target, settings};

/// A proxy with both listeners, and the port of the one for TLS.
pub(crate) fn with_tls(settings: Settings) -> (Proxy, u16) {
    let listen = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        (listener.local_addr().unwrap().port(), listener)
    };
    let ((port, http), (tls_port, https)) = (listen(), listen());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let services = Services::new(settings.workers);
    let tls = Tls::new(runtime.handle().clone(), tls::targets_of(&services), Backoff::default()).unwrap();
    let tls = Arc::new(tls);
    let changed = Arc::clone(&tls);
    services.on_change(move |table| changed.set(tls::services(table)));
    let listeners = [(Scheme::Http, &http), (Scheme::Https, &https)];
    let plane = Plane::start(services.clone(), settings, Some(tls), &listeners).unwrap();
    (Proxy { services, plane, port, runtime }, tls_port)
}

/// Writes a certificate and its key to files.
pub(crate) fn pair(directory: &Path, name: &str) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let path = |kind: &str| directory.join(format!("{name}.{kind}")).display().to_string();
    std::fs::write(path("pem"), made.pem()).unwrap();
    std::fs::write(path("key"), key.serialize_pem()).unwrap();
    (path("pem"), path("key"))
}

/// Runs curl. Returns body, status and protocol version, or curl's error.
fn curl(certificate: &str, host: &str, port: u16, more: &[&str]) -> String {
    let resolve = format!("{host}:{port}:127.0.0.1");
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "20", "--cacert", certificate, "--resolve", &resolve])
        .args(["-w", " %{http_code} HTTP/%{http_version}"])
        .args(more)
        .arg(format!("https://{host}:{port}/"))
        .output()
        .unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    String::from_utf8_lossy(&text).into_owned()
}

pub(crate) fn custom((chain, key): &(String, String)) -> impl FnOnce(&mut ServiceOptions) {
    let (chain, key) = (chain.clone(), key.clone());
    move |options| {
        options.hosts = vec!["a.test".into()];
        options.tls_enabled = true;
        options.tls_certificate_path = chain;
        options.tls_private_key_path = key;
    }
}

#[test]
fn a_service_is_served_with_its_certificate_until_it_is_removed() {
    let (proxy, port) = with_tls(settings());
    let directory = tempfile::tempdir().unwrap();
    let (own, other) = (pair(directory.path(), "a.test"), pair(directory.path(), "b.test"));
    let target = Target::saying("home");
    proxy.deploy_with(&target, |options, _| custom(&own)(options)).unwrap();
    assert_eq!(curl(&own.0, "a.test", port, &["--http2"]), "home 200 HTTP/2");
    assert_eq!(curl(&own.0, "a.test", port, &["--http1.1"]), "home 200 HTTP/1.1");
    assert_eq!(curl(&own.0, "a.test", port, &["--tls-max", "1.2"]), "home 200 HTTP/2");
    assert!(curl(&own.0, "b.test", port, &[]).starts_with("curl: (35)"), "a handshake for an unknown name");
    let plain = proxy.get("/x");
    assert!(
        plain.starts_with("HTTP/1.1 301 ") && plain.contains("location: https://a.test/x\r\n"),
        "{plain}"
    );

    let broken = (own.0.clone(), other.1.clone());
    let refused = proxy.deploy_with(&target, |options, _| custom(&broken)(options)).unwrap_err();
    assert_eq!(refused.to_string(), "unable to load certificate");
    assert_eq!(curl(&own.0, "a.test", port, &[]), "home 200 HTTP/2");

    proxy.services.remove("app").unwrap();
    assert!(curl(&own.0, "a.test", port, &[]).starts_with("curl: (35)"));
}

#[test]
fn automatic_certificates_are_not_for_wildcards() {
    let (proxy, _) = with_tls(settings());
    let wildcard = |options: &mut ServiceOptions| {
        options.hosts = vec!["*.a.test".into()];
        options.tls_enabled = true;
    };
    let refused = proxy.deploy_with(&Target::saying("home"), |options, _| wildcard(options)).unwrap_err();
    assert_eq!(refused.to_string(), "automatic TLS does not support wildcards");
}

#[test]
fn the_balancer_names_the_client_and_nothing_else_gets_in() {
    let all = Ranges::parse(&["127.0.0.0/8"]).unwrap();
    let proxy = Proxy::with(Settings { balancers: Some(all), ..settings() });
    proxy
        .deploy_with(&Target::echo(), |options, _| options.allow_ips = vec!["203.0.113.0/24".into()])
        .unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    let asked = |header: &str| proxy.raw(&format!("{header}{request}"));
    let allowed = asked("PROXY TCP4 203.0.113.7 198.51.100.1 4711 80\r\n");
    assert!(allowed.starts_with("HTTP/1.1 200 ") && allowed.contains("203.0.113.7"), "{allowed}");
    assert!(asked("PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n").starts_with("HTTP/1.1 403 "));
    assert!(asked("PROXY UNKNOWN\r\n").starts_with("HTTP/1.1 403 "));
    assert_eq!(asked(""), "");
    assert_eq!(asked("PROXY TCP4 203.0.113.7\r\n"), "");
}
