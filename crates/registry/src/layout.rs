//! Takes images out of OCI layouts, which `docker buildx build --output type=oci,tar=false,dest=DIRECTORY` writes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::Error;
use crate::image::Image;
use crate::manifest::{Descriptor, Index, LARGEST, parse};
use crate::store::Store;
use crate::take::{self, Files, Found};

const INDEX: &str = "index.json";

/// A layout's directory. Only regular files in it are read.
struct Directory<'a>(&'a Path);

impl Files for Directory<'_> {
    fn open(&self, path: &str) -> Result<Option<Found>, Error> {
        let path = self.0.join(path);
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path)(error)),
            Ok(metadata) if metadata.is_file() => {
                File::open(&path).map(|file| Some(Found::Theirs(file))).map_err(Error::io(&path))
            }
            Ok(_) => Err(Error::unsound(path.display().to_string(), "is not a plain file")),
        }
    }
}

impl Store {
    /// Takes an image out of an OCI layout and keeps it under `name`. If the layout holds several images, takes the
    /// one with that name.
    ///
    /// # Errors
    /// If the directory is not a layout, it holds no such image, or its content doesn't match its digests.
    pub fn take_layout(&self, directory: &Path, name: &str) -> Result<Image, Error> {
        let image = self.in_layout(directory, name)?;
        self.keep(name, &image)?;
        Ok(image)
    }

    pub(crate) fn in_layout(&self, directory: &Path, name: &str) -> Result<Image, Error> {
        let files = Directory(directory);
        let Some(index) = read(&files, INDEX)? else {
            return Err(Error::unsound(
                directory.display().to_string(),
                format!("is not an OCI layout: it has no {INDEX}"),
            ));
        };
        self.take_from(&files, &index, name)
    }

    pub(crate) fn take_from(&self, files: &dyn Files, index: &[u8], name: &str) -> Result<Image, Error> {
        let index: Index = parse(index, INDEX)?;
        take::all(self, files, choose(&index.manifests, name)?)
    }
}

/// Reads a whole file of at most [`LARGEST`] bytes.
pub(crate) fn read(files: &dyn Files, path: &str) -> Result<Option<Vec<u8>>, Error> {
    let Some(found) = files.open(path)? else { return Ok(None) };
    let file = found.read()?;
    let mut bytes = Vec::new();
    let fault = |source| Error::Io { what: path.into(), source };
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::unsound(path, format!("has more than {LARGEST} bytes")));
    }
    Ok(Some(bytes))
}

/// The only image, or the one called `name`. An image with several names is listed once for each.
fn choose<'a>(images: &'a [Descriptor], name: &str) -> Result<&'a Descriptor, Error> {
    let Some(first) = images.first() else { return Err(Error::unsound(INDEX, "names no image")) };
    if images.iter().all(|image| image.digest == first.digest) {
        return Ok(first);
    }
    let named = images.iter().find(|image| image.names().any(|found| is_called(found, name)));
    named.ok_or_else(|| Error::Several {
        wanted: name.into(),
        found: images.iter().flat_map(Descriptor::names).collect::<Vec<_>>().join(", "),
    })
}

/// Whether the two names mean the same image: Docker adds `docker.io/` and `library/`.
pub(crate) fn is_called(found: &str, wanted: &str) -> bool {
    let short = found.strip_prefix("docker.io/");
    found == wanted
        || short.is_some_and(|short| short == wanted || short.strip_prefix("library/") == Some(wanted))
}
