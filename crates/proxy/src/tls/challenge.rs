//! Responses to the authority's challenges, while an order is in progress.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

use crate::lock;

/// The protocol name with which an authority requests a challenge certificate.
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

#[derive(Debug, Default)]
pub(super) struct Challenges(Mutex<OpenChallenges>);

#[derive(Debug, Default)]
struct OpenChallenges {
    /// From the token of HTTP-01 to the name and the response.
    http: HashMap<String, (String, String)>,
    /// From the name to the certificate of TLS-ALPN-01.
    alpn: HashMap<String, Arc<CertifiedKey>>,
}

/// An open challenge. Dropping this closes it, however the order ends.
pub(super) struct Guard {
    challenges: Arc<Challenges>,
    what: What,
}

enum What {
    Token(String),
    Name(String),
}

impl Challenges {
    pub(super) fn open_http(self: &Arc<Self>, name: &str, token: &str, answer: &str) -> Guard {
        lock(&self.0).http.insert(token.to_owned(), (name.to_owned(), answer.to_owned()));
        Guard { challenges: Arc::clone(self), what: What::Token(token.to_owned()) }
    }

    pub(super) fn open_alpn(self: &Arc<Self>, name: &str, digest: &[u8]) -> Result<Guard, String> {
        let certificate = challenge_certificate(name, digest)?;
        lock(&self.0).alpn.insert(name.to_owned(), Arc::new(certificate));
        Ok(Guard { challenges: Arc::clone(self), what: What::Name(name.to_owned()) })
    }

    /// The response to a token, if the token belongs to this name.
    pub(super) fn http(&self, name: &str, token: &str) -> Option<String> {
        let open = lock(&self.0);
        let (own, answer) = open.http.get(token)?;
        own.eq_ignore_ascii_case(name).then(|| answer.clone())
    }

    pub(super) fn alpn(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        lock(&self.0).alpn.get(name).cloned()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut open = lock(&self.challenges.0);
        match &self.what {
            What::Token(token) => drop(open.http.remove(token)),
            What::Name(name) => drop(open.alpn.remove(name)),
        }
    }
}

fn challenge_certificate(name: &str, digest: &[u8]) -> Result<CertifiedKey, String> {
    let text = |e: rcgen::Error| e.to_string();
    let mut params = CertificateParams::new([name.to_owned()]).map_err(text)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(text)?;
    let certificate = params.self_signed(&key).map_err(text)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    // Not `from_der`: it compares key and certificate, and refuses the critical extension of a challenge.
    let key = default_provider().key_provider.load_private_key(key).map_err(|e| e.to_string())?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}
