//! Private keys. A file is read, and its passphrase asked for, once per process, for any number of servers. Keys
//! given as text are never written to disk.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use bowline_config::secret::Secret;
use russh::keys::{Algorithm, Certificate, PrivateKey, PublicKey};
use tokio::sync::Mutex;

use crate::local::reason;
use crate::options::Prompt;

/// How many times to ask for a passphrase.
const ATTEMPTS: usize = 3;

#[derive(Debug, Clone)]
pub(crate) enum KeyFile {
    Ready(Arc<PrivateKey>),
    /// A key that needs its passphrase, with its public half if the file or the `.pub` next to it has it.
    Encrypted(Option<PublicKey>),
    /// A public key. An agent may have its private half.
    Public(PublicKey),
    /// The handle of a key in a security token (FIDO), which agents can use and we can't.
    Token(PublicKey),
    Missing,
    Unusable(String),
}

/// A key given as text.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) name: String,
    pub(crate) key: KeyFile,
}

pub(crate) struct KeyStore {
    prompt: Arc<dyn Prompt>,
    given: std::sync::Mutex<Vec<Given>>,
    files: Mutex<HashMap<PathBuf, KeyFile>>,
    /// The answers so far. Locked while the user types, so that only one question is on the screen.
    asking: Mutex<HashMap<PathBuf, Result<Arc<PrivateKey>, String>>>,
}

impl KeyStore {
    pub(crate) fn new(prompt: Arc<dyn Prompt>) -> Self {
        Self { prompt, given: std::sync::Mutex::default(), files: Mutex::default(), asking: Mutex::default() }
    }

    /// Replaces the keys given as text.
    pub(crate) fn take(&self, keys: Vec<(String, Secret)>) {
        let given = |(name, text): (String, Secret)| Given { name, key: parse(text.expose(), None) };
        let keys = keys.into_iter().map(given).collect();
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    pub(crate) fn given(&self) -> Vec<Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn read(&self, path: &Path) -> KeyFile {
        let mut files = self.files.lock().await;
        if let Some(file) = files.get(path) {
            return file.clone();
        }
        let file = load(path);
        files.insert(path.to_owned(), file.clone());
        file
    }

    /// Decrypts a key with the passphrase that the user types. The error says why the key isn't used.
    pub(crate) async fn unlock(&self, path: &Path) -> Result<Arc<PrivateKey>, String> {
        let mut asked = self.asking.lock().await;
        if let Some(answer) = asked.get(path) {
            return answer.clone();
        }
        let (prompt, file) = (Arc::clone(&self.prompt), path.to_owned());
        let answer = tokio::task::spawn_blocking(move || ask(&*prompt, &file))
            .await
            .unwrap_or_else(|_| Err("could not ask for its passphrase".to_owned()));
        asked.insert(path.to_owned(), answer.clone());
        answer
    }
}

fn load(path: &Path) -> KeyFile {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return KeyFile::Missing,
        Err(e) => return KeyFile::Unusable(reason(&e)),
    };
    parse(&text, Some(path))
}

/// `path` is `None` for a key from the configuration.
fn parse(text: &str, path: Option<&Path>) -> KeyFile {
    if let Ok(key) = PublicKey::from_openssh(text.trim()) {
        return KeyFile::Public(key);
    }
    match russh::keys::decode_secret_key(text, None) {
        Ok(key) => match signs(&key) {
            true => KeyFile::Ready(Arc::new(key)),
            false => foreign(key.public_key()),
        },
        Err(_) if encrypted(text) => match public_half(path, text) {
            Some(key) if is_token(&key) => KeyFile::Token(key),
            key => KeyFile::Encrypted(key),
        },
        Err(e) => KeyFile::Unusable(format!("not a supported private key: {e}")),
    }
}

/// Whether the file alone is enough to sign.
fn signs(key: &PrivateKey) -> bool {
    matches!(key.algorithm(), Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. })
}

fn is_token(key: &PublicKey) -> bool {
    matches!(key.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
}

fn foreign(key: &PublicKey) -> KeyFile {
    match is_token(key) {
        true => KeyFile::Token(key.clone()),
        false => KeyFile::Unusable(format!("keys of the kind {} are not supported", key.algorithm())),
    }
}

pub(crate) fn certificate(path: &Path) -> Option<Certificate> {
    Certificate::from_openssh(std::fs::read_to_string(path).ok()?.trim()).ok()
}

/// Where `ssh` looks for the certificate of a key file.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let name = path.as_os_str().to_string_lossy();
    PathBuf::from(format!("{}-cert.pub", name.strip_suffix(".pub").unwrap_or(&name)))
}

fn encrypted(text: &str) -> bool {
    text.contains("ENCRYPTED") || PrivateKey::from_openssh(text).is_ok_and(|key| key.is_encrypted())
}

fn public_half(path: Option<&Path>, text: &str) -> Option<PublicKey> {
    if let Ok(key) = PrivateKey::from_openssh(text) {
        return Some(key.public_key().clone());
    }
    let mut beside = path?.as_os_str().to_owned();
    beside.push(".pub");
    PublicKey::from_openssh(std::fs::read_to_string(beside).ok()?.trim()).ok()
}

fn ask(prompt: &dyn Prompt, path: &Path) -> Result<Arc<PrivateKey>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| reason(&e))?;
    for _ in 0..ATTEMPTS {
        let Some(passphrase) = prompt.passphrase(path) else {
            return Err("encrypted, and no terminal to ask for its passphrase".to_owned());
        };
        if let Ok(key) = russh::keys::decode_secret_key(&text, Some(passphrase.expose())) {
            return match signs(&key) {
                true => Ok(Arc::new(key)),
                false => Err(format!("keys of the kind {} are not supported", key.algorithm())),
            };
        }
    }
    Err("encrypted, and its passphrase was wrong".to_owned())
}
