//! How a version's image gets onto a server, and how much of it.

use std::collections::BTreeMap;
use std::fmt;

use super::step::Step;
use crate::commands::registry::{Held, Layers, Pull, Receive, runs};
use crate::size::bytes;

/// How a version's image gets onto a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The server pulls it from the registry that it was pushed to.
    Pull(Pull),
    /// This run sends it, through the SSH connection: the server pulls what it lacks, or is given the whole.
    Send(Receive),
}

impl Delivery {
    /// The step that brings it there.
    pub fn step(self) -> Step {
        match self {
            Self::Pull(pull) => Step::Pull(pull),
            Self::Send(receive) => Step::Receive(receive),
        }
    }
}

/// What servers would be sent, by their names.
pub type AllExpected = BTreeMap<String, Expected>;

/// What a server would be sent, as far as it can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// These layers of so many; the configuration and the manifest come with them.
    Layers { layers: usize, of: usize, bytes: u64 },
    /// The version's image is not on this machine yet: this run builds it.
    Unbuilt,
    /// It is not on this machine, and this run doesn't build it: servers that have it use theirs.
    Absent,
    /// It is for other platforms than the server.
    OtherPlatform { server: String },
    /// The server could not be asked.
    Unasked(String),
}

impl Expected {
    /// What of an image a server lacks.
    pub fn of(images: &[Layers], held: &Held) -> Self {
        let fits = |image: &&Layers| runs(&held.architecture, std::slice::from_ref(&image.architecture));
        let own = images.iter().find(|image| image.architecture == held.architecture);
        let Some(image) = own.or_else(|| images.iter().find(fits)) else {
            return Self::OtherPlatform { server: held.architecture.clone() };
        };
        let missing = image.layers.get(held.layers..).unwrap_or_default();
        let bytes = missing.iter().map(|layer| layer.size).sum();
        Self::Layers { layers: missing.len(), of: image.layers.len(), bytes }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layers { layers: 0, of, .. } => write!(f, "none of its {of} layers, the server has them"),
            Self::Layers { layers, of, bytes: size } => {
                write!(f, "{layers} of {of} layers, {}", bytes(*size))
            }
            Self::Unbuilt => f.write_str("how much is known once it is built"),
            Self::Absent => {
                f.write_str("not on this machine; servers that lack it get it from one that has it")
            }
            Self::OtherPlatform { server } => write!(f, "the image is not for {server}, which the server is"),
            Self::Unasked(reason) => write!(f, "how much is unknown: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::registry::Layer;

    #[test]
    fn what_a_server_lacks_is_what_lies_above_what_it_has() {
        let image = |architecture: &str, sizes: &[u64]| Layers {
            architecture: architecture.into(),
            layers: sizes
                .iter()
                .map(|size| Layer { content: format!("sha256:{size}"), size: *size })
                .collect(),
        };
        let images = [image("arm64", &[1]), image("amd64", &[30_000_000, 2_000_000, 500])];
        let said = |architecture: &str, layers| {
            Expected::of(&images, &Held { architecture: architecture.into(), layers }).to_string()
        };
        assert_eq!(said("amd64", 0), "3 of 3 layers, 32.0 MB");
        assert_eq!(said("amd64", 2), "1 of 3 layers, 500 B");
        assert_eq!(said("amd64", 3), "none of its 3 layers, the server has them");
        assert_eq!(said("amd64", 9), "none of its 3 layers, the server has them");
        assert_eq!(said("s390x", 0), "the image is not for s390x, which the server is");
        let old = Expected::of(&[image("arm", &[7])], &Held { architecture: "arm64".into(), layers: 0 });
        assert_eq!(old, Expected::Layers { layers: 1, of: 1, bytes: 7 });
    }
}
