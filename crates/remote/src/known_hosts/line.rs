//! One line of a known_hosts file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// What a line says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// It is the host's.
    None,
    /// It signs host certificates.
    Authority,
    /// It must never be accepted.
    Revoked,
}

/// A line that holds a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) marker: Marker,
    hosts: String,
    pub(super) key_type: String,
    /// The key as sent over the wire.
    pub(super) key: Vec<u8>,
}

impl Line {
    /// `None` for comments, blank lines and what is not understood (as OpenSSH passes over those).
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().peekable();
        let marker = match *words.peek()? {
            word if word.starts_with('#') => return None,
            "@cert-authority" => Marker::Authority,
            "@revoked" => Marker::Revoked,
            word if word.starts_with('@') => return None,
            _ => Marker::None,
        };
        if marker != Marker::None {
            words.next();
        }
        let hosts = words.next()?.to_owned();
        let key_type = words.next()?.to_owned();
        let key = BASE64.decode(words.next()?).ok()?;
        Some(Self { marker, hosts, key_type, key })
    }

    /// Whether the line is about the host, named as [`super::HostName`] prints it.
    pub(super) fn speaks_of(&self, name: &str) -> bool {
        let mut matched = false;
        for pattern in self.hosts.split(',') {
            match pattern.strip_prefix('!') {
                Some(not) if matches_host(not, name) => return false,
                Some(_) => {}
                None => matched |= matches_host(pattern, name),
            }
        }
        matched
    }
}

fn matches_host(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("|1|") {
        Some(hashed) => matches_hash(hashed, name),
        None => glob(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()),
    }
}

fn matches_hash(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else { return false };
    let (Ok(salt), Ok(hash)) = (BASE64.decode(salt), BASE64.decode(hash)) else { return false };
    Hmac::<Sha1>::new_from_slice(&salt)
        .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(&hash).is_ok())
}

/// `*` for any run of characters, `?` for one.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            // Back to the last star, which takes one character more.
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// A line for a new host.
pub(super) fn written(name: &str, key_type: &str, key: &[u8], hashed: bool) -> String {
    let hosts = if hashed { hash(name) } else { None };
    format!("{} {key_type} {}", hosts.as_deref().unwrap_or(name), BASE64.encode(key))
}

fn hash(name: &str) -> Option<String> {
    let mut salt = [0; 20];
    getrandom::fill(&mut salt).ok()?;
    let mac = Hmac::<Sha1>::new_from_slice(&salt).ok()?.chain_update(name.as_bytes());
    Some(format!("|1|{}|{}", BASE64.encode(salt), BASE64.encode(mac.finalize().into_bytes())))
}
