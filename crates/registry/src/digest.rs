//! SHA-256 digests, the names of everything in a store.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// `sha256:` and 64 hexadecimal digits in lower case, the only form that image builders write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest and the length of everything in `reader`.
    pub(crate) fn of_all(mut reader: impl Read) -> io::Result<(Self, u64)> {
        let mut to = Hashing::new(io::sink());
        io::copy(&mut reader, &mut to)?;
        let (_, digest, length) = to.finish();
        Ok((digest, length))
    }

    /// The 64 digits, which are also a safe file name.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a digest: expected `sha256:` and 64 lower-case hexadecimal digits")]
pub struct NotADigest(String);

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let fault = || NotADigest(text.chars().take(100).collect());
        let hex = text.strip_prefix("sha256:").ok_or_else(fault)?.as_bytes();
        let mut bytes = [0; 32];
        if hex.len() != 64 {
            return Err(fault());
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks(2)) {
            *byte =
                pair.iter().try_fold(0, |sum, digit| Some(sum * 16 + value(*digit)?)).ok_or_else(fault)?;
        }
        Ok(Self(bytes))
    }
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A writer that computes the digest and the length of the bytes written through it.
pub(crate) struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    length: u64,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), length: 0 }
    }

    /// Returns the inner writer, and digest and length of what was written.
    pub(crate) fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest(self.hasher.finalize().into()), self.length)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_it_says_and_nothing_else() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(empty.parse(), Ok(Digest::of(b"")));
        assert_eq!(Digest::of_all(&b"abc"[..]).unwrap(), (Digest::of(b"abc"), 3));
        let others = [
            "",
            "sha256:",
            &empty[7..],
            &empty.to_uppercase(),
            &empty.replace('e', "E"),
            &empty[..70],
            &format!("{empty}0"),
            &empty.replace("sha256", "sha512"),
            "sha256:../../../../../../../../../../../../../../../../../../../etc/passwd",
            &format!("sha256:{}", "é".repeat(32)),
        ];
        for other in others {
            assert!(other.parse::<Digest>().is_err(), "{other}");
        }
    }
}
