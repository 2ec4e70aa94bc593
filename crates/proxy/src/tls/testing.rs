//! Certificates for tests.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};

use super::Certificate;

pub(crate) struct Made {
    pub(crate) chain: String,
    pub(crate) key: String,
    pub(crate) certificate: Arc<Certificate>,
}

/// A certificate that started a minute ago and ends after `lifetime`.
pub(crate) fn make(name: &str, lifetime: Duration) -> Made {
    make_of_age(name, Duration::from_secs(60), lifetime)
}

/// A certificate that started this long ago, and has this much time left.
pub(crate) fn make_of_age(name: &str, age: Duration, left: Duration) -> Made {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = (SystemTime::now() - age).into();
    params.not_after = (SystemTime::now() + left).into();
    let key = KeyPair::generate().unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    let key = key.serialize_pem();
    let certificate = Arc::new(Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap());
    Made { chain, key, certificate }
}

/// A file as Go's autocert writes it for an ECDSA key.
pub(crate) fn make_ec_pem(name: &str) -> String {
    let key = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], "");
    with_certificate(name, &key)
}

/// A file as Go's autocert writes it for an RSA key.
pub(crate) fn make_rsa_pem(name: &str) -> String {
    let key = openssl(&["genrsa", "-traditional", "2048"], "");
    assert!(key.contains("BEGIN RSA PRIVATE KEY"));
    with_certificate(name, &key)
}

fn with_certificate(name: &str, key: &str) -> String {
    let names = format!("subjectAltName=DNS:{name}");
    let subject = format!("/CN={name}");
    let chain = openssl(
        &["req", "-x509", "-key", "/dev/stdin", "-subj", &subject, "-addext", &names, "-days", "90"],
        key,
    );
    format!("{key}{chain}")
}

fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut command = Command::new("openssl");
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}
