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
    pub(crate) platforms: Vec<(Platform, Descriptor)>,
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

    /// The platforms it is there for.
    pub fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.platforms.iter().map(|(platform, _)| platform)
    }

    /// The digests and lengths of everything it consists of.
    pub fn parts(&self) -> impl Iterator<Item = (&Digest, u64)> {
        self.parts.iter().map(|(digest, part)| (digest, part.size))
    }

    /// The manifest of the image for Linux on this architecture.
    pub(crate) fn of_architecture(&self, architecture: &str) -> Option<&Descriptor> {
        let fits = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture;
        self.platforms.iter().find(|(platform, _)| fits(platform)).map(|(_, manifest)| manifest)
    }

    /// The manifest for clients that know of no index: the one of Linux on x86-64, as other registries have it, or the only one.
    pub(crate) fn without_index(&self) -> Option<&Descriptor> {
        let usual = |platform: &Platform| platform.os == "linux" && platform.architecture == "amd64";
        let found = self.platforms.iter().find(|(platform, _)| usual(platform));
        let only = self.platforms.first().filter(|_| self.platforms.len() == 1);
        found.or(only).map(|(_, manifest)| manifest)
    }
}
