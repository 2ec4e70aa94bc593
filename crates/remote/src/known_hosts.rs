//! Checks the host keys of servers, and records the key of a new one.
//!
//! The rule is `StrictHostKeyChecking=accept-new`: the key of a new host is accepted and recorded. A host that shows
//! another key than the recorded one is rejected. russh's own check misses patterns and accepts keys marked
//! `@revoked`. This one has the syntax of sshd(8): lists, `*` and `?`, `!`, `[host]:port`, hashed names and markers.
//!
//! It is stricter than OpenSSH in one point: a host with a known key of another type is not new. We ask for the known
//! type first, so a server that still has that key shows it.

mod command;
mod line;
mod store;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bowline_engine::ports::{Known, ServerError};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};

use crate::Result;
use crate::options::NewHosts;
pub(crate) use command::{Asks, Command};
pub(crate) use line::glob;
use line::{Line, Marker};
pub(crate) use store::Store;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostName {
    host: String,
    port: u16,
}

impl HostName {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_ascii_lowercase(), port }
    }
}

/// As in known_hosts files: with the port only if it isn't 22.
impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            22 => f.write_str(&self.host),
            port => write!(f, "[{}]:{port}", self.host),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownHosts {
    /// The user's files. New keys go into the first one.
    pub(crate) user: Vec<PathBuf>,
    pub(crate) global: Vec<PathBuf>,
    /// `KnownHostsCommand` as configured: a command that prints further lines.
    pub(crate) command: Option<String>,
    /// Whether to reject a new host (`StrictHostKeyChecking yes`).
    pub(crate) strict: bool,
    pub(crate) new_hosts: NewHosts,
    /// Whether to hash new names (`HashKnownHosts`).
    pub(crate) hash: bool,
}

#[derive(Debug)]
struct Entry {
    file: PathBuf,
    number: usize,
    line: Arc<Line>,
}

impl Entry {
    fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.number)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    pub(crate) store: Store,
    printed: Option<(String, Vec<Arc<Line>>)>,
}

impl Sources {
    pub(crate) fn of(store: &Store) -> Self {
        Self { store: store.clone(), printed: None }
    }

    pub(crate) fn take(&mut self, command: &str, text: &str) {
        let lines = text.lines().filter_map(Line::parse).map(Arc::new);
        let (_, known) = self.printed.get_or_insert_with(|| (command.to_owned(), Vec::new()));
        known.extend(lines);
    }
}

/// Held while writing. Other processes are kept out by a lock on the file.
static WRITING: Mutex<()> = Mutex::new(());

impl KnownHosts {
    /// The host-key algorithms to ask for, those of known keys first.
    pub(crate) fn preferred(&self, sources: &Sources, name: &HostName) -> Result<Vec<Algorithm>> {
        let mut entries = self.entries(sources, name)?;
        if name.port != 22 {
            entries.extend(self.entries(sources, &HostName { host: name.host.clone(), port: 22 })?);
        }
        let known = |algorithm: &Algorithm| {
            let key_type = match algorithm {
                Algorithm::Rsa { .. } => "ssh-rsa".to_owned(),
                other => other.as_str().to_owned(),
            };
            entries.iter().any(|e| e.line.marker == Marker::None && e.line.key_type == key_type)
        };
        let (mut first, rest): (Vec<_>, Vec<_>) = algorithms().into_iter().partition(known);
        first.extend(rest);
        Ok(first)
    }

    /// Checks the key that a host shows. Records the key of a new host if configured so.
    pub(crate) fn check(&self, sources: &Sources, name: &HostName, key: &PublicKey) -> Result<Known> {
        let shown =
            key.to_bytes().map_err(|e| unreachable(format!("its host key can't be read: {e}"), None))?;
        if self.decide(sources, name, key, &shown)? {
            return Ok(Known::Known);
        }
        if self.strict {
            return Err(unreachable(
                format!("the host key of {name} is not known ({})", fingerprint(key)),
                Some(
                    "StrictHostKeyChecking is on: add the key to known_hosts after you have verified it"
                        .into(),
                ),
            ));
        }
        if self.new_hosts == NewHosts::Remember {
            self.remember(sources, name, key, &shown)?;
        }
        Ok(Known::New)
    }

    /// Returns `true` if the key is known, `false` if the host is new.
    fn decide(&self, sources: &Sources, name: &HostName, key: &PublicKey, shown: &[u8]) -> Result<bool> {
        let mut entries = self.entries(sources, name)?;
        if name.port != 22 {
            let plain = self.entries(sources, &HostName { host: name.host.clone(), port: 22 })?;
            // As in OpenSSH, the same key under the plain name is enough, and another key there is ignored.
            entries.extend(
                plain.into_iter().filter(|e| e.line.key == shown && e.line.marker != Marker::Authority),
            );
        }
        let with_key = |marker| entries.iter().find(|e| e.line.marker == marker && e.line.key == shown);
        if let Some(entry) = with_key(Marker::Revoked) {
            return Err(unreachable(
                format!(
                    "the host key of {name} is marked as revoked in {} ({})",
                    entry.place(),
                    fingerprint(key)
                ),
                Some(
                    "this key must not be trusted: find out why the server shows it before you connect again"
                        .into(),
                ),
            ));
        }
        if with_key(Marker::None).is_some() {
            return Ok(true);
        }
        let plain = |e: &&Entry| e.line.marker == Marker::None;
        let same_type = |e: &&Entry| plain(e) && e.line.key_type == key.algorithm().as_str();
        if let Some(entry) = entries.iter().find(same_type).or_else(|| entries.iter().find(plain)) {
            return Err(changed(name, key, entry));
        }
        match entries.iter().find(|e| e.line.marker == Marker::Authority) {
            Some(entry) => Err(unreachable(
                format!("{} requires a host certificate for {name}, which is not supported", entry.place()),
                Some(format!(
                    "add its plain key, after you have verified it: ssh-keyscan -p {} {}",
                    name.port, name.host
                )),
            )),
            None => Ok(false),
        }
    }

    fn entries(&self, sources: &Sources, name: &HostName) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let spelled = name.to_string();
        for file in self.user.iter().chain(&self.global) {
            entries.extend(sources.store.entries(file, &spelled)?);
        }
        if let Some((command, lines)) = &sources.printed {
            let printed = lines.iter().enumerate().filter(|(_, line)| line.speaks_of(&spelled));
            entries.extend(printed.map(|(index, line)| Entry {
                file: PathBuf::from(command),
                number: index + 1,
                line: Arc::clone(line),
            }));
        }
        Ok(entries)
    }

    /// Records a new host's key, unless another process has just done so.
    fn remember(&self, sources: &Sources, name: &HostName, key: &PublicKey, shown: &[u8]) -> Result<()> {
        let Some(file) = self.user.first() else { return Ok(()) };
        let _one = WRITING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut opened = open_for_append(file).map_err(|e| trouble("open", file, &e))?;
        opened.lock().map_err(|e| trouble("lock", file, &e))?;
        let length = opened.metadata().map_err(|e| trouble("read", file, &e))?.len();
        sources.store.refresh(file, length);
        if self.decide(sources, name, key, shown)? {
            return Ok(());
        }
        let name = name.to_string();
        let text = line::written(&name, key.algorithm().as_str(), shown, self.hash);
        let length = append(&mut opened, length, &text).map_err(|e| trouble("write to", file, &e))?;
        sources.store.added(file, length, &name, &text);
        Ok(())
    }
}

/// The supported algorithms, best first, without `ssh-rsa` signatures with SHA-1.
fn algorithms() -> Vec<Algorithm> {
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    vec![
        Algorithm::Ed25519,
        ecdsa(EcdsaCurve::NistP256),
        ecdsa(EcdsaCurve::NistP384),
        ecdsa(EcdsaCurve::NistP521),
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ]
}

pub(crate) fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// If they don't exist, creates the file with mode 0600 and its directory with mode 0700.
fn open_for_append(file: &Path) -> io::Result<File> {
    if let Some(directory) = file.parent()
        && !directory.exists()
    {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)
}

/// Appends a line with a single write. Returns the new length of the file.
fn append(file: &mut File, length: u64, line: &str) -> io::Result<u64> {
    let mut last = *b"\n";
    if let Some(at) = length.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    let text = format!("{}{line}\n", if last == *b"\n" { "" } else { "\n" });
    file.write_all(text.as_bytes())?;
    Ok(length + text.len() as u64)
}

fn changed(name: &HostName, key: &PublicKey, entry: &Entry) -> ServerError {
    unreachable(
        format!(
            "the host key of {name} has changed: it shows {}, but {} has another ({})",
            fingerprint(key),
            entry.place(),
            entry.line.key_type,
        ),
        Some(format!(
            "an attacker may be intercepting the connection; if you reinstalled the server, remove its old key: \
             ssh-keygen -f {} -R {}",
            bowline_core::shell::quote(&entry.file.display().to_string()),
            bowline_core::shell::quote(&name.to_string()),
        )),
    )
}

fn trouble(what: &str, file: &Path, error: &io::Error) -> ServerError {
    unreachable(
        format!("can't {what} {}: {error}", file.display()),
        Some("without it a server's host key can't be checked".into()),
    )
}

fn unreachable(reason: String, hint: Option<String>) -> ServerError {
    ServerError::Unreachable { reason, hint }
}

#[cfg(test)]
mod tests;
