//! The certificates of Traefik's certificate resolvers, without their keys, and the files that contain them.

use std::fmt;

use crate::commands::answer::{self, Line, Unreadable};

/// The file in which a resolver stores its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// The resolver's name in lower case, because Traefik's arguments ignore case.
    pub resolver: String,
    /// The path in Traefik's container.
    pub file: String,
    pub holds: Contents,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    Read,
    /// It is missing or empty: the resolver has not requested a certificate yet.
    Empty,
    /// Its content is not what Traefik writes.
    Unreadable,
}

/// A certificate that a resolver obtained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub resolver: String,
    pub names: Vec<String>,
    /// The certificate in base64.
    pub text: String,
}

answer::words!(Contents: "read" Read, "empty" Empty, "unreadable" Unreadable);

impl Storage {
    pub(super) fn read(line: Line<'_>) -> Result<Self, Unreadable> {
        let words: Vec<&str> = line.rest.splitn(3, ' ').collect();
        let [resolver, holds, file] = words[..] else { return Err(line.unknown()) };
        let holds = holds.parse().map_err(|_| line.unknown())?;
        Ok(Self { resolver: resolver.into(), file: file.into(), holds })
    }
}

impl Issued {
    pub(super) fn read(line: Line<'_>) -> Result<Self, Unreadable> {
        let words: Vec<&str> = line.rest.splitn(3, ' ').collect();
        let (resolver, names, text) = match words[..] {
            [resolver, names, text] => (resolver, names, text),
            // The text was not a certificate.
            [resolver, names] => (resolver, names, ""),
            _ => return Err(line.unknown()),
        };
        let names = names.split(',').map(Into::into).collect();
        Ok(Self { resolver: resolver.into(), names, text: text.into() })
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@storage {} {} {}", self.resolver, self.holds, self.file)
    }
}

impl fmt::Display for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@issued {} {} {}", self.resolver, self.names.join(","), self.text)
    }
}
