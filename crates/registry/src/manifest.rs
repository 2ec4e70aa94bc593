//! Manifests: what an image consists of, in the forms of OCI and of Docker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;

/// The largest manifest, index or configuration that is read into memory: the size every registry accepts at least.
pub(crate) const LARGEST: u64 = 4 * 1024 * 1024;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// How a manifest or blob is named by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it runs on, where an index says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Where else it can be had; such layers need not be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Its name in an OCI layout, among others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let media_type = media_type.to_owned();
        Self { media_type, digest, size, platform: None, urls: Vec::new(), annotations: None }
    }

    /// The names that a layout gives it; buildx writes several into one line.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let annotations = self.annotations.as_ref();
        ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
            .into_iter()
            .filter_map(move |key| annotations?.get(key)?.as_str())
            .flat_map(|names| names.split(','))
    }

    /// Whether it is a layer as it was built, without compression.
    pub(crate) fn is_plain_layer(&self) -> bool {
        [OCI_LAYER, DOCKER_LAYER].contains(&self.media_type.as_str())
    }

    /// The descriptor of this plain layer as it is kept: compressed, or as it is.
    pub(crate) fn kept_as(&self, digest: Digest, size: u64) -> Self {
        let media_type = match self.media_type.as_str() {
            plain if digest == self.digest => plain.to_owned(),
            DOCKER_LAYER => format!("{DOCKER_LAYER}.gzip"),
            plain => format!("{plain}+gzip"),
        };
        Self::new(&media_type, digest, size)
    }
}

/// Operating system and architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v8`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// What a media type says of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DocumentKind {
    /// One image for each of several platforms.
    Index,
    /// An image.
    Manifest,
    /// Neither.
    Blob,
}

impl DocumentKind {
    pub(crate) fn of(media_type: &str) -> Self {
        match media_type {
            OCI_INDEX | DOCKER_INDEX => Self::Index,
            OCI_MANIFEST | DOCKER_MANIFEST => Self::Manifest,
            _ => Self::Blob,
        }
    }
}

/// An index, as far as it is read here.
#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    pub(crate) manifests: Vec<Descriptor>,
}

/// An image's manifest, as far as it is read here.
#[derive(Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

impl Manifest {
    /// What it consists of, but for layers that are had elsewhere.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Descriptor> {
        let layers = self.layers.iter().filter(|layer| layer.urls.is_empty());
        std::iter::once(&self.config).chain(layers)
    }
}

/// A configuration, as far as it is read here.
#[derive(Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) platform: Platform,
    pub(crate) config: Option<Own>,
    #[serde(default)]
    pub(crate) rootfs: RootFs,
}

/// What containers are made with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Own {
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

/// The layers of a configuration.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RootFs {
    #[serde(default)]
    pub(crate) diff_ids: Vec<Digest>,
}

/// Reads a document; `what` names it in an error.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8], what: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::unsound(what, format!("can't be read: {error}")))
}
