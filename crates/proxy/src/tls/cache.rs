//! The certificate cache on disk, in the format of Go's `autocert`, so that kamal-proxy can use it too.
//!
//! Each ACME directory has a directory with a PEM file for each name, which contains key and chain (`NAME` for ECDSA,
//! `NAME+rsa`), and `acme_account+key` with the account's key. Files are written under another name and then renamed.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::Certificate;
use crate::files;

const ACCOUNT_KEY: &str = "acme_account+key";

/// The certificates of one ACME directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cache(PathBuf);

impl Cache {
    /// `base` is `--tls-acme-cache-path`. `acme_directory` is the directory's URL, or empty for the default one.
    pub(super) fn new(base: &Path, acme_directory: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, acme_directory.as_bytes());
        let name: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Cache(base.join(name))
    }

    /// The certificate for a name, if there is one that is valid now. A file that can't be used counts as missing.
    pub(super) fn certificate(&self, name: &str, now: SystemTime) -> Option<Certificate> {
        if !is_name(name) {
            return None;
        }
        ["", "+rsa"].iter().find_map(|kind| {
            let pem = fs::read(self.0.join(format!("{name}{kind}"))).ok()?;
            let certificate = Certificate::from_pem(&pem, &pem).ok()?;
            let valid = certificate.not_before <= now && now < certificate.not_after;
            (valid && certificate.covers(name)).then_some(certificate)
        })
    }

    pub(super) fn store(&self, name: &str, key_pem: &str, chain_pem: &str) -> io::Result<()> {
        if !is_name(name) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a host name"));
        }
        self.write(name, format!("{}\n{chain_pem}", key_pem.trim_end()).as_bytes())
    }

    /// The account's key, in either of the forms that Go writes. `None` if there is no file.
    pub(super) fn account_key(&self) -> io::Result<Option<PrivatePkcs8KeyDer<'static>>> {
        let pem = match fs::read(self.0.join(ACCOUNT_KEY)) {
            Ok(pem) => pem,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        match PrivateKeyDer::from_pem_slice(&pem) {
            Ok(PrivateKeyDer::Pkcs8(key)) => Ok(Some(key)),
            Ok(PrivateKeyDer::Sec1(key)) => Ok(Some(pkcs8_of_p256(key.secret_sec1_der()))),
            _ => {
                let what = format!("{ACCOUNT_KEY} does not contain an ECDSA key");
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
        }
    }

    pub(super) fn store_account_key(&self, key: &PrivatePkcs8KeyDer<'_>) -> io::Result<()> {
        let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
        for line in STANDARD.encode(key.secret_pkcs8_der()).as_bytes().chunks(64) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        self.write(ACCOUNT_KEY, pem.as_bytes())
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let beside = self.0.join(format!(".{name}.{}-{number}.new", std::process::id()));
        files::replace(&self.0.join(name), &beside, content)
    }
}

/// Whether a name can become a file and a certificate: a full host name in lower case, not an address.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(allowed)
    };
    let is_address = name.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
    name.len() <= 253 && name.contains('.') && name.split('.').all(label) && !is_address
}

/// Wraps a P-256 key in the older form that Go writes (RFC 5915) as PKCS #8.
fn pkcs8_of_p256(sec1: &[u8]) -> PrivatePkcs8KeyDer<'static> {
    // Version 0. The algorithm: an elliptic curve key, with the curve prime256v1.
    let mut body = vec![
        2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3,
        1, 7,
    ];
    body.extend(element(4, sec1));
    element(0x30, &body).into()
}

/// Encodes a DER element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length: Vec<u8> = content.len().to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let mut der = vec![tag];
    match length.as_slice() {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        long => {
            der.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7f));
            der.extend(long);
        }
    }
    der.extend(content);
    der
}

#[cfg(test)]
mod tests;
