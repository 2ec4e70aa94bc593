//! Manifests, indexes and configurations of images, in OCI's and Docker's formats.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;

/// The largest manifest, index or configuration that is read into memory. Every registry accepts this size.
pub(crate) const LARGEST: u64 = 4 * 1024 * 1024;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// A reference to a manifest or blob from another document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Only set in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Where else the blob can be downloaded. Layers with URLs may be missing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// An OCI layout stores the image's name in these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let media_type = media_type.to_owned();
        Self { media_type, digest, size, platform: None, urls: Vec::new(), annotations: None }
    }

    /// The names that a layout gives the image. buildx writes several into one annotation.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let annotations = self.annotations.as_ref();
        ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
            .into_iter()
            .filter_map(move |key| annotations?.get(key)?.as_str())
            .flat_map(|names| names.split(','))
    }

    pub(crate) fn is_plain_layer(&self) -> bool {
        [OCI_LAYER, DOCKER_LAYER].contains(&self.media_type.as_str())
    }

    /// The descriptor of this plain layer in its stored form: compressed or unchanged.
    pub(crate) fn kept_as(&self, digest: Digest, size: u64) -> Self {
        let media_type = match self.media_type.as_str() {
            plain if digest == self.digest => plain.to_owned(),
            DOCKER_LAYER => format!("{DOCKER_LAYER}.gzip"),
            plain => format!("{plain}+gzip"),
        };
        Self::new(&media_type, digest, size)
    }
}

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

/// The kind of a document, by its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DocumentKind {
    /// A list of images, one per platform.
    Index,
    /// The manifest of one image.
    Manifest,
    /// Anything else.
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

/// The fields of an index that are used here.
#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    pub(crate) manifests: Vec<Descriptor>,
}

/// The fields of an image's manifest that are used here.
#[derive(Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

impl Manifest {
    /// The configuration and the layers, without layers that are downloaded from elsewhere.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Descriptor> {
        let layers = self.layers.iter().filter(|layer| layer.urls.is_empty());
        std::iter::once(&self.config).chain(layers)
    }
}

/// The fields of an image's configuration that are used here.
#[derive(Debug, Deserialize)]
pub(crate) struct Config {
    #[serde(flatten)]
    pub(crate) platform: Platform,
    pub(crate) config: Option<Own>,
    #[serde(default)]
    pub(crate) rootfs: RootFs,
}

/// The options that containers start with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Own {
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct RootFs {
    #[serde(default)]
    pub(crate) diff_ids: Vec<Digest>,
}

/// Parses a JSON document. `what` names it in the error.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8], what: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::unsound(what, format!("can't be read: {error}")))
}
