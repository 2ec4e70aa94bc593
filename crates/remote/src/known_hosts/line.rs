//! One line of a known_hosts file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// A plain host key.
    None,
    /// The key of an authority that signs host certificates.
    Authority,
    Revoked,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) marker: Marker,
    hosts: Vec<Pattern>,
    pub(super) key_type: String,
    /// In wire format.
    pub(super) key: Vec<u8>,
}

/// How to find a line by host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup {
    Plain(Vec<String>),
    Hashed,
    Patterns,
}

/// One of a line's comma-separated hosts.
#[derive(Debug, Clone)]
struct Pattern {
    not: bool,
    host: Host,
}

#[derive(Debug, Clone)]
enum Host {
    /// In lower case.
    Name(String),
    /// In lower case, with `*` or `?`.
    Glob(String),
    /// `mac` is already keyed with the salt.
    Hashed { mac: Box<Hmac<Sha1>>, hash: Vec<u8> },
    /// Can't be parsed, and matches no host.
    None,
}

impl Line {
    /// `None` for comments, blank lines and lines that can't be parsed, which OpenSSH skips too.
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
        let hosts = words.next()?.split(',').map(Pattern::parse).collect();
        let key_type = words.next()?.to_owned();
        let key = BASE64.decode(words.next()?).ok()?;
        Some(Self { marker, hosts, key_type, key })
    }

    pub(super) fn kind(&self) -> Lookup {
        if let [Pattern { not: false, host: Host::Hashed { .. } }] = self.hosts.as_slice() {
            return Lookup::Hashed;
        }
        let name = |pattern: &Pattern| match pattern {
            Pattern { not: false, host: Host::Name(name) } => Some(name.clone()),
            _ => None,
        };
        self.hosts.iter().map(name).collect::<Option<_>>().map_or(Lookup::Patterns, Lookup::Plain)
    }

    /// Whether the line applies to the host, named as [`super::HostName`] prints it.
    pub(super) fn speaks_of(&self, name: &str) -> bool {
        let mut matched = false;
        for pattern in &self.hosts {
            match (pattern.not, pattern.host.is(name)) {
                (true, true) => return false,
                (true, false) => {}
                (false, its) => matched |= its,
            }
        }
        matched
    }
}

impl Pattern {
    fn parse(word: &str) -> Self {
        match word.strip_prefix('!') {
            Some(rest) => Self { not: true, host: Host::parse(rest) },
            None => Self { not: false, host: Host::parse(word) },
        }
    }
}

impl Host {
    fn parse(word: &str) -> Self {
        match word.strip_prefix("|1|") {
            Some(hashed) => Self::hashed(hashed).unwrap_or(Self::None),
            None if word.contains(['*', '?']) => Self::Glob(word.to_ascii_lowercase()),
            None => Self::Name(word.to_ascii_lowercase()),
        }
    }

    fn hashed(text: &str) -> Option<Self> {
        let (salt, hash) = text.split_once('|')?;
        let mac = Hmac::new_from_slice(&BASE64.decode(salt).ok()?).ok()?;
        Some(Self::Hashed { mac: Box::new(mac), hash: BASE64.decode(hash).ok()? })
    }

    fn is(&self, name: &str) -> bool {
        match self {
            Self::Name(known) => known == name,
            Self::Glob(pattern) => glob(pattern.as_bytes(), name.as_bytes()),
            Self::Hashed { mac, hash } => {
                (**mac).clone().chain_update(name.as_bytes()).verify_slice(hash).is_ok()
            }
            Self::None => false,
        }
    }
}

/// Whether the text matches: `*` stands for any run of characters, `?` for one.
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
            // Backtrack: the last star takes one more character.
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
