//! Secret values that can't be shown by accident: formatting one prints `[REDACTED]`.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

pub const REDACTED: &str = "[REDACTED]";

/// The value of a key that contains one of these words is secret.
const SECRET_WORDS: &[&str] =
    &["password", "passwd", "passphrase", "token", "private_key", "key_data", "api_key"];

/// Whether a value under this key is likely to be a secret. A list of names (`secret: [A, B]`) is not.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let named = key.contains("secret") && !matches!(key.as_str(), "secret" | "secrets" | "secrets_path");
    named || SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// A secret text. Only [`Secret::expose`] gives the real value; `Debug` and `Display` never do.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The real value, only for the code that sends it where it is needed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(REDACTED)
    }
}

/// Bytes that must not be shown, such as those of an uploaded file, which may contain passwords. Clones share them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SecretBytes(Arc<[u8]>);

impl SecretBytes {
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_formatting_shows_it() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "[REDACTED] [REDACTED] Some([REDACTED])"
        );
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"[REDACTED]\"");
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{:?}", SecretBytes::new(*b"hunter2")), "[REDACTED]");
    }
}
