//! Private keys. We read a file, and ask for its passphrase, only once per process, for any number of
//! servers. Other keys are given as text, and never written anywhere.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use bowline_config::secret::Secret;
use russh::keys::{Algorithm, Certificate, PrivateKey, PublicKey};
use tokio::sync::Mutex;

use crate::options::Prompt;

/// How often a wrong passphrase may be typed.
const ATTEMPTS: usize = 3;

#[derive(Debug, Clone)]
pub(crate) enum KeyFile {
    /// A key that can be used.
    Ready(Arc<PrivateKey>),
    /// A key that needs its passphrase; its public half, where the file (or the `.pub` beside it) shows it.
    Encrypted(Option<PublicKey>),
    /// A public key: an agent has the other half.
    Public(PublicKey),
    /// The handle of a key in a security token (FIDO), which agents can use and we can't.
    Token(PublicKey),
    Missing,
    /// It exists and can't be used, with the reason.
    Unusable(String),
}

/// A key that was given as a text, and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) name: String,
    pub(crate) key: KeyFile,
}

pub(crate) struct KeyStore {
    prompt: Arc<dyn Prompt>,
    given: std::sync::Mutex<Vec<Given>>,
    files: Mutex<HashMap<PathBuf, KeyFile>>,
    /// Held while the user types.
    asking: Mutex<HashMap<PathBuf, Result<Arc<PrivateKey>, String>>>,
}

impl KeyStore {
    pub(crate) fn new(prompt: Arc<dyn Prompt>) -> Self {
        Self { prompt, given: std::sync::Mutex::default(), files: Mutex::default(), asking: Mutex::default() }
    }

    /// Sets keys given as text, in place of earlier ones.
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

    /// Opens an encrypted key with the passphrase that the user types. The error says why it isn't used.
    pub(crate) async fn unlock(&self, path: &Path) -> Result<Arc<PrivateKey>, String> {
        let mut asked = self.asking.lock().await;
        if let Some(answer) = asked.get(path) {
            return answer.clone();
        }
        let (prompt, file) = (Arc::clone(&self.prompt), path.to_owned());
        let answer = tokio::task::spawn_blocking(move || ask(&*prompt, &file))
            .await
            .unwrap_or_else(|_| Err("its passphrase could not be asked for".to_owned()));
        asked.insert(path.to_owned(), answer.clone());
        answer
    }
}

fn load(path: &Path) -> KeyFile {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return KeyFile::Missing,
        Err(e) => return KeyFile::Unusable(e.to_string()),
    };
    parse(&text, Some(path))
}

/// The kind of key in this text, which comes from a file or from the configuration.
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
        Err(e) => KeyFile::Unusable(format!("not a private key that is understood: {e}")),
    }
}

/// Whether signatures can be made with the file alone.
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
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
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
