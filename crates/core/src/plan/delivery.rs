//! How a version's image gets to a server, and how much of it must be sent.

use std::collections::BTreeMap;
use std::fmt;

use super::step::Step;
use crate::commands::registry::{Held, Layers, Pull, Receive, runs};
use crate::size::bytes;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    Pull(Pull),
    /// This run sends it through the SSH connection: the server pulls the layers it lacks, or gets the whole archive.
    Send(Receive),
}

impl Delivery {
    pub fn step(self) -> Step {
        match self {
            Self::Pull(pull) => Step::Pull(pull),
            Self::Send(receive) => Step::Receive(receive),
        }
    }
}

/// What would be sent to each server, by host.
pub type AllExpected = BTreeMap<String, Expected>;

/// What would be sent to a server, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// This many layers of the total, with the configuration and the manifest.
    Layers { layers: usize, of: usize, bytes: u64 },
    /// This machine doesn't have the image yet. This run builds it.
    Unbuilt,
    /// This machine doesn't have the image, and this run doesn't build it. Servers that have it use theirs.
    Absent,
    /// The image is for other platforms than the server's.
    OtherPlatform { server: String },
    /// The query failed, for this reason.
    Unasked(String),
}

impl Expected {
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
            Self::Layers { layers: 0, of, .. } => {
                write!(f, "none of its {of} layers: the server has them all")
            }
            Self::Layers { layers, of, bytes: size } => {
                write!(f, "{layers} of {of} layers, {}", bytes(*size))
            }
            Self::Unbuilt => f.write_str("size unknown until the image is built"),
            Self::Absent => f.write_str("not on this machine; copied from a server that has it"),
            Self::OtherPlatform { server } => {
                write!(f, "the image has no {server} variant, which this server needs")
            }
            Self::Unasked(reason) => write!(f, "size unknown: {reason}"),
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
        assert_eq!(said("amd64", 3), "none of its 3 layers: the server has them all");
        assert_eq!(said("amd64", 9), "none of its 3 layers: the server has them all");
        assert_eq!(said("s390x", 0), "the image has no s390x variant, which this server needs");
        let old = Expected::of(&[image("arm", &[7])], &Held { architecture: "arm64".into(), layers: 0 });
        assert_eq!(old, Expected::Layers { layers: 1, of: 1, bytes: 7 });
    }
}
