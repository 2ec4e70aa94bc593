//! Takes an image into a store, from its index down to its layers. Each blob is checked against its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use serde::Deserialize;
use serde_json::Value;

use crate::digest::Digest;
use crate::error::Error;
use crate::image::{Image, Layer, Part, Variant};
use crate::manifest::{Config, Descriptor, DocumentKind, Index, LARGEST, Manifest, parse};
use crate::store::{Store, Written};

/// An index may list other indexes. Real images nest one level.
const DEEPEST: usize = 4;

/// The files of a source, by their paths in an OCI layout or an archive.
pub(crate) trait Files {
    fn open(&self, path: &str) -> Result<Option<Found>, Error>;
}

pub(crate) enum Found {
    /// A file that hasn't been read yet.
    Theirs(File),
    /// A temporary file in the store, with its digest and length.
    Ours(Written),
}

impl Found {
    pub(crate) fn read(self) -> Result<File, Error> {
        match self {
            Self::Theirs(file) => Ok(file),
            Self::Ours(written) => File::open(&*written.path).map_err(Error::io(&written.path)),
        }
    }
}

/// A source without files. Only what the store already has can be taken.
pub(crate) struct Nothing;

impl Files for Nothing {
    fn open(&self, _: &str) -> Result<Option<Found>, Error> {
        Ok(None)
    }
}

/// Takes all parts of an image that the store lacks.
pub(crate) fn all(store: &Store, files: &dyn Files, root: &Descriptor) -> Result<Image, Error> {
    let mut taking = Taking { store, files, parts: BTreeMap::new(), variants: Vec::new() };
    let root = match DocumentKind::of(&root.media_type) {
        // An index names its manifests by digest, and manifests may name each other, so no manifest in it can change.
        DocumentKind::Index => taking.index(root, DEEPEST).map(|()| root.clone())?,
        DocumentKind::Manifest => {
            let root = taking.with_packed_layers(root)?;
            taking.manifest(&root)?;
            root
        }
        DocumentKind::Blob => {
            let fault = format!("has the media type {:?}, which is not an image's", root.media_type);
            return Err(Error::unsound(root.digest.to_string(), fault));
        }
    };
    Ok(Image { root, parts: taking.parts, variants: taking.variants })
}

struct Taking<'a> {
    store: &'a Store,
    files: &'a dyn Files,
    parts: BTreeMap<Digest, Part>,
    variants: Vec<Variant>,
}

impl Taking<'_> {
    /// Takes an index and every complete image in it. `docker save` writes the whole index of a multi-platform image,
    /// but only the platform that it has.
    fn index(&mut self, at: &Descriptor, floors: usize) -> Result<(), Error> {
        let Some(floors) = floors.checked_sub(1) else {
            return Err(Error::unsound(at.digest.to_string(), "is nested too deeply in other indexes"));
        };
        let index: Index = self.document(at)?;
        let mut missing = None;
        for child in &index.manifests {
            let taken = match DocumentKind::of(&child.media_type) {
                DocumentKind::Index => self.index(child, floors),
                DocumentKind::Manifest => self.manifest(child),
                DocumentKind::Blob => self.blob(child).map(|()| self.has(child)),
            };
            match taken {
                Err(Error::Missing(digest)) => missing = missing.or(Some(digest)),
                taken => taken?,
            }
        }
        self.has(at);
        match missing {
            Some(digest) if self.variants.is_empty() => Err(Error::Missing(digest)),
            _ if self.variants.is_empty() => {
                Err(Error::unsound(at.digest.to_string(), "is an index without an image"))
            }
            _ => Ok(()),
        }
    }

    fn manifest(&mut self, at: &Descriptor) -> Result<(), Error> {
        let manifest: Manifest = self.document(at)?;
        for part in manifest.parts() {
            self.blob(part)?;
        }
        for part in manifest.parts() {
            self.has(part);
        }
        self.has(at);
        self.variants.extend(self.variant(&manifest, at)?);
        Ok(())
    }

    /// The image's variant, from its configuration. `None` for a manifest of something else, such as an attestation.
    fn variant(&self, manifest: &Manifest, at: &Descriptor) -> Result<Option<Variant>, Error> {
        if !manifest.config.media_type.contains("image") {
            return Ok(None);
        }
        let config: Config = self.document(&manifest.config)?;
        let content = config.rootfs.diff_ids;
        let layers = content.iter().zip(&manifest.layers);
        let variant = Variant {
            platform: config.platform,
            labels: config.config.and_then(|own| own.labels).unwrap_or_default(),
            layers: layers.map(|(content, layer)| Layer { content: *content, size: layer.size }).collect(),
            manifest: at.clone(),
        };
        Ok(Some(variant).filter(|variant| variant.platform.os != "unknown"))
    }

    /// Packs the plain layers and writes a manifest that names their stored forms, if any layer changes.
    fn with_packed_layers(&self, at: &Descriptor) -> Result<Descriptor, Error> {
        let manifest: Manifest = self.document(at)?;
        let mut document: Value = self.document(at)?;
        let mut changed = false;
        let layers = document["layers"].as_array_mut().into_iter().flatten();
        for (layer, entry) in manifest.layers.iter().zip(layers) {
            if !layer.is_plain_layer() {
                continue;
            }
            let open = || self.files.open(&path(&layer.digest))?.ok_or(Error::Missing(layer.digest));
            let kept = self.store.pack(layer, open)?;
            if kept.digest != layer.digest {
                changed = true;
                entry["mediaType"] = kept.media_type.into();
                entry["digest"] = kept.digest.to_string().into();
                entry["size"] = kept.size.into();
            }
        }
        match changed {
            true => self.store.write(&at.media_type, document.to_string().as_bytes()),
            false => Ok(at.clone()),
        }
    }

    /// Reads a document. Fails if it is too large or states another media type than its descriptor.
    fn document<T: for<'de> Deserialize<'de>>(&self, at: &Descriptor) -> Result<T, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Own {
            media_type: Option<String>,
        }
        let what = at.digest.to_string();
        if at.size > LARGEST {
            return Err(Error::unsound(what, format!("has {} bytes; the limit is {LARGEST}", at.size)));
        }
        self.blob(at)?;
        let bytes = self.store.read(at)?;
        let own: Own = parse(&bytes, &what)?;
        match own.media_type {
            Some(own) if own != at.media_type => {
                let fault = format!("has media type {own:?}, but its descriptor says {:?}", at.media_type);
                Err(Error::unsound(what, fault))
            }
            _ => parse(&bytes, &what),
        }
    }

    fn blob(&self, at: &Descriptor) -> Result<(), Error> {
        // A blob that was checked for this image is not checked again.
        if self.parts.contains_key(&at.digest) || self.store.holds(at)? {
            return Ok(());
        }
        let found = self.files.open(&path(&at.digest))?.ok_or(Error::Missing(at.digest))?;
        self.store.put(at, found)
    }

    fn has(&mut self, at: &Descriptor) {
        let part = Part { media_type: at.media_type.clone(), size: at.size };
        self.parts.insert(at.digest, part);
    }
}

/// The path of a blob in a layout.
fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Collects the digits of all of an image's blobs that the store has, damaged or not.
pub(crate) fn reach(store: &Store, at: &Descriptor, found: &mut BTreeSet<String>) -> Result<(), Error> {
    if !store.blob(&at.digest).exists() || !found.insert(at.digest.hex()) || at.size > LARGEST {
        return Ok(());
    }
    let what = at.digest.to_string();
    let parts = match DocumentKind::of(&at.media_type) {
        DocumentKind::Index => parse::<Index>(&store.read(at)?, &what).map(|index| index.manifests),
        DocumentKind::Manifest => {
            parse::<Manifest>(&store.read(at)?, &what).map(|m| m.parts().cloned().collect())
        }
        DocumentKind::Blob => return Ok(()),
    };
    // A damaged document is noticed when the image is opened.
    parts.unwrap_or_default().iter().try_for_each(|part| reach(store, part, found))
}
