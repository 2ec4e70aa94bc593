//! The image type: its parts and its variant for each platform.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::manifest::{Descriptor, Platform};

/// An image whose blobs are all in the store, with the right content.
#[derive(Debug, Clone)]
pub struct Image {
    pub(crate) root: Descriptor,
    /// Every manifest and blob that a server may request.
    pub(crate) parts: BTreeMap<Digest, Part>,
    pub(crate) variants: Vec<Variant>,
}

#[derive(Debug, Clone)]
pub struct Variant {
    pub platform: Platform,
    pub labels: BTreeMap<String, String>,
    /// Ordered from the lowest to the top layer.
    pub layers: Vec<Layer>,
    pub(crate) manifest: Descriptor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the uncompressed layer.
    pub content: Digest,
    /// Its length in bytes as it is sent, usually compressed.
    pub size: u64,
}

/// A manifest or blob of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) media_type: String,
    pub(crate) size: u64,
}

impl Image {
    /// The image's index or manifest.
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    pub fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.variants.iter().map(|variant| &variant.platform)
    }

    pub fn parts(&self) -> impl Iterator<Item = (&Digest, u64)> {
        self.parts.iter().map(|(digest, part)| (digest, part.size))
    }

    pub(crate) fn of_architecture(&self, architecture: &str) -> Option<&Descriptor> {
        let fits = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture;
        self.variants.iter().find(|variant| fits(&variant.platform)).map(|variant| &variant.manifest)
    }

    /// The manifest for clients that don't support indexes: the one for Linux on x86-64, as other registries choose
    /// it, or the only one.
    pub(crate) fn without_index(&self) -> Option<&Descriptor> {
        let only = || self.variants.first().filter(|_| self.variants.len() == 1);
        self.of_architecture("amd64").or_else(|| only().map(|variant| &variant.manifest))
    }
}
