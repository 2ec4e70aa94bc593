//! An image that a store holds, whole and checked.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::manifest::{Descriptor, Platform};

/// An image that a store holds, whole and checked.
#[derive(Debug, Clone)]
pub struct Image {
    pub(crate) root: Descriptor,
    /// Everything a server may ask for.
    pub(crate) parts: BTreeMap<Digest, Part>,
    pub(crate) variants: Vec<Variant>,
}

/// The image of one platform.
#[derive(Debug, Clone)]
pub struct Variant {
    /// What it runs on.
    pub platform: Platform,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
    pub(crate) manifest: Descriptor,
}

/// A layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// The digest of its content, without compression.
    pub content: Digest,
    /// Its length as it is sent.
    pub size: u64,
}

/// A manifest or blob of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) media_type: String,
    pub(crate) size: u64,
}

impl Image {
    /// Its index or manifest.
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    /// The images of the platforms it is there for.
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// The platforms it is there for.
    pub fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.variants.iter().map(|variant| &variant.platform)
    }

    /// The digests and lengths of everything it consists of.
    pub fn parts(&self) -> impl Iterator<Item = (&Digest, u64)> {
        self.parts.iter().map(|(digest, part)| (digest, part.size))
    }

    /// The manifest of the image for Linux on this architecture.
    pub(crate) fn of_architecture(&self, architecture: &str) -> Option<&Descriptor> {
        let fits = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture;
        self.variants.iter().find(|variant| fits(&variant.platform)).map(|variant| &variant.manifest)
    }

    /// The manifest for clients that know of no index: the one of Linux on x86-64, as other registries have it, or the only one.
    pub(crate) fn without_index(&self) -> Option<&Descriptor> {
        let only = || self.variants.first().filter(|_| self.variants.len() == 1);
        self.of_architecture("amd64").or_else(|| only().map(|variant| &variant.manifest))
    }
}
