//! Writes an image in the format of `docker load`: an OCI layout in a tar archive, with the table that older versions
//! of Docker and the classic image store read instead. Layers are compressed as they are in the store.

use std::fs::File;
use std::io::{self, Write};

use serde_json::json;
use tar::{Builder, Header};

use crate::error::Error;
use crate::image::Image;
use crate::manifest::{Descriptor, Manifest, parse};
use crate::store::Store;

impl Store {
    /// Writes the image for one architecture (such as `amd64`) under a name with a tag (`REPOSITORY:TAG`).
    ///
    /// # Errors
    /// If the image is not for that architecture, a blob can't be read, or the output can't be written.
    pub fn save(&self, image: &Image, name: &str, architecture: &str, to: impl Write) -> Result<(), Error> {
        let manifest = image.of_architecture(architecture).ok_or_else(|| {
            let there: Vec<String> = image.platforms().map(ToString::to_string).collect();
            Error::unsound("the image", format!("is only for {}, not for {architecture}", there.join(", ")))
        })?;
        let document: Manifest = parse(&self.read(manifest)?, &manifest.digest.to_string())?;
        let fault = |source| Error::Io { what: "writing the image".into(), source };
        let mut archive = Builder::new(to);
        let layers: Vec<&Descriptor> = document.layers.iter().filter(|layer| layer.urls.is_empty()).collect();
        let mut written = std::collections::BTreeSet::new();
        for part in [manifest, &document.config].into_iter().chain(layers.iter().copied()) {
            // An image may contain the same layer twice.
            if !written.insert(part.digest) {
                continue;
            }
            let blob = self.blob(&part.digest);
            let file = File::open(&blob).map_err(Error::io(&blob))?;
            append(&mut archive, &path(part), part.size, file).map_err(fault)?;
        }
        let layers: Vec<String> = layers.into_iter().map(path).collect();
        let table = json!([{ "Config": path(&document.config), "RepoTags": [name], "Layers": layers }]);
        let index = json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": manifest.media_type,
                "digest": manifest.digest.to_string(),
                "size": manifest.size,
                "annotations": {
                    "io.containerd.image.name": written_out(name),
                    "org.opencontainers.image.ref.name": name.rsplit(':').next(),
                },
            }],
        });
        let files = [
            ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })),
            ("index.json", index),
            ("manifest.json", table),
        ];
        for (path, document) in files {
            let text = document.to_string();
            append(&mut archive, path, text.len() as u64, text.as_bytes()).map_err(fault)?;
        }
        archive.into_inner().and_then(|mut to| to.flush()).map_err(fault)
    }
}

fn path(part: &Descriptor) -> String {
    format!("blobs/sha256/{}", part.digest.hex())
}

fn append(archive: &mut Builder<impl Write>, path: &str, size: u64, from: impl io::Read) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, from)
}

/// The full name, as containerd writes it, with Docker's default registry.
fn written_out(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_out_as_docker_does() {
        for (name, full) in [
            ("shop:v1", "docker.io/library/shop:v1"),
            ("acme/shop:v1", "docker.io/acme/shop:v1"),
            ("localhost:5000/shop:v1", "localhost:5000/shop:v1"),
            ("ghcr.io/acme/shop:v1", "ghcr.io/acme/shop:v1"),
        ] {
            assert_eq!(written_out(name), full);
        }
    }
}
