//! A certificate with its key, read from PEM.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A chain, its key, and the leaf's properties that we need.
#[derive(Debug)]
pub struct Certificate {
    /// The chain and the key, for rustls.
    pub key: Arc<CertifiedKey>,
    /// Start of the leaf's validity.
    pub not_before: SystemTime,
    /// End of the leaf's validity.
    pub not_after: SystemTime,
    names: Vec<String>,
}

#[derive(Debug)]
pub enum Error {
    Unreadable(PathBuf, std::io::Error),
    /// The content is not PEM, or PEM of the wrong kind.
    Pem(&'static str, pem::Error),
    /// The leaf can't be parsed.
    Leaf(String),
    /// The key is of an unknown kind or belongs to another certificate.
    Key(rustls::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreadable(path, e) => write!(f, "can't read {}: {e}", path.display()),
            Error::Pem(what, pem::Error::NoItemsFound) => write!(f, "there is no {what} in it"),
            Error::Pem(what, e) => write!(f, "the {what} is not valid PEM: {e:?}"),
            Error::Leaf(what) => write!(f, "the certificate is invalid: {what}"),
            Error::Key(rustls::Error::InconsistentKeys(_)) => {
                f.write_str("the key belongs to another certificate")
            }
            Error::Key(e) => write!(f, "the key can't be used: {e}"),
        }
    }
}

impl std::error::Error for Error {}

impl Certificate {
    /// Loads a pair of PEM files.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let read = |path: &Path| fs::read(path).map_err(|e| Error::Unreadable(path.to_owned(), e));
        Self::from_pem(&read(certificate)?, &read(key)?)
    }

    /// Parses a chain and a key. Both may be in the same text.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|e| Error::Pem("certificate", e))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| Error::Pem("private key", e))?;
        let leaf = chain.first().ok_or(Error::Pem("certificate", pem::Error::NoItemsFound))?;
        let (not_before, not_after, names) = read_leaf(leaf)?;
        let key = CertifiedKey::from_der(chain, key, &default_provider()).map_err(Error::Key)?;
        Ok(Certificate { key: Arc::new(key), not_before, not_after, names })
    }

    /// Whether the certificate is for the name, literally or by a wildcard.
    pub fn covers(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let matches =
            |own: &String| own == name || own.strip_prefix("*.").is_some_and(|suffix| Some(suffix) == parent);
        self.names.iter().any(matches)
    }

    /// When to renew, unless the authority suggests another time: with a third of the lifetime left, or up to a
    /// thirtieth earlier, so that many certificates from the same hour don't come due in the same hour again.
    /// `fraction` is a random number between 0 and 1.
    pub(super) fn renewal(&self, fraction: f64) -> SystemTime {
        let lifetime = self.not_after.duration_since(self.not_before).unwrap_or_default();
        let early = lifetime / 3 + lifetime.mul_f64(fraction.clamp(0.0, 1.0) / 30.0);
        self.not_after.checked_sub(early).unwrap_or(self.not_before)
    }

    pub(super) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }
}

type Leaf = (SystemTime, SystemTime, Vec<String>);

fn read_leaf(der: &CertificateDer<'_>) -> Result<Leaf, Error> {
    let (_, leaf) = X509Certificate::from_der(der).map_err(|e| Error::Leaf(e.to_string()))?;
    let time = |seconds: i64| {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let names = match leaf.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(dns_name).collect(),
        Ok(None) => Vec::new(),
        Err(e) => return Err(Error::Leaf(e.to_string())),
    };
    let validity = leaf.validity();
    Ok((time(validity.not_before.timestamp()), time(validity.not_after.timestamp()), names))
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}
