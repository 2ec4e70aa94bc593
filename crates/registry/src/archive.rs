//! Reads the output of `docker save`: a tar archive with `manifest.json` and, since Docker 25, an OCI layout.
//!
//! An archive may come from a pipe, and its table is at the end, so all files are unpacked first. They are written to
//! temporary files in the store; names in the archive are only keys to look them up. Nothing is written to a path
//! that an archive names.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use tar::{Archive, Entry, EntryType, PaxExtensions};

use crate::digest::Digest;
use crate::error::Error;
use crate::image::Image;
use crate::layout::{is_called, read};
use crate::manifest::{Config, Descriptor, LARGEST, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, parse};
use crate::store::{Store, Written};
use crate::take::{self, Files, Found};

const TABLE: &str = "manifest.json";
/// Docker allows 127 layers, and old archives have three files and a directory for each.
const MOST_ENTRIES: usize = 10_000;
/// Real names are far shorter.
const LONGEST_NAME: u64 = 64 * 1024;
/// A link may lead to another link, which doesn't happen in real archives.
const MOST_LINKS: usize = 8;

/// An image's entry in `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Store {
    /// Takes an image out of a `docker save` archive and keeps it under `name`. If the archive holds several images,
    /// takes the one with that name.
    ///
    /// # Errors
    /// If this is not such an archive, it holds no such image, or its content doesn't match its digests.
    pub fn take_archive(&self, archive: impl Read, name: &str) -> Result<Image, Error> {
        let image = self.in_archive(archive, name)?;
        self.keep(name, &image)?;
        Ok(image)
    }

    pub(crate) fn in_archive(&self, archive: impl Read, name: &str) -> Result<Image, Error> {
        let files = Unpacked::read(self, archive)?;
        if let Some(index) = read(&files, "index.json")? {
            return self.take_from(&files, &index, name);
        }
        let Some(table) = read(&files, TABLE)? else {
            let fault = format!("is not what `docker save` writes: it has neither index.json nor {TABLE}");
            return Err(Error::unsound("the archive", fault));
        };
        let rows: Vec<Row> = parse(&table, TABLE)?;
        let root = self.manifest_of(&files, choose(&rows, name)?)?;
        take::all(self, &files, &root)
    }

    /// Writes the manifest that images in the format before Docker 25 lack.
    fn manifest_of(&self, files: &Unpacked, row: &Row) -> Result<Descriptor, Error> {
        let Some(bytes) = read(files, &row.config)? else { return Err(absent(&row.config)) };
        let named = row.config.strip_suffix(".json").and_then(|hex| format!("sha256:{hex}").parse().ok());
        if named.is_some_and(|named: Digest| named != Digest::of(&bytes)) {
            return Err(Error::unsound(row.config.as_str(), "is damaged: its content has another digest"));
        }
        let config: Config = parse(&bytes, &row.config)?;
        let diff_ids = config.rootfs.diff_ids;
        if diff_ids.len() != row.layers.len() {
            let fault =
                format!("names {} layers, and {} has {}", row.layers.len(), row.config, diff_ids.len());
            return Err(Error::unsound(TABLE, fault));
        }
        let layers = row.layers.iter().zip(&diff_ids).map(|(path, diff_id)| self.layer(files, path, diff_id));
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.write(OCI_CONFIG, &bytes)?,
            "layers": layers.collect::<Result<Vec<_>, _>>()?,
        });
        self.write(OCI_MANIFEST, manifest.to_string().as_bytes())
    }

    /// Stores a layer. A layer that is already compressed is stored unchanged.
    fn layer(&self, files: &Unpacked, path: &str, diff_id: &Digest) -> Result<Descriptor, Error> {
        let open = || files.open(path)?.ok_or_else(|| absent(path));
        let plain = |size| Descriptor::new(OCI_LAYER, *diff_id, size);
        if let Some((digest, size)) = self.packed(diff_id)? {
            return Ok(plain(size).kept_as(digest, size));
        }
        let Some(written) = files.find(path)? else { return Err(absent(path)) };
        let fault = |source| Error::Io { what: path.into(), source };
        let mut file = open()?.read()?;
        let mut start = Vec::new();
        (&mut file).take(2).read_to_end(&mut start).map_err(fault)?;
        if start != [0x1f, 0x8b] {
            // `pack` checks the layer against the digest in its configuration.
            return self.pack(&plain(written.size), open);
        }
        let whole = Cursor::new(start).chain(file);
        let (content, _) = Digest::of_all(MultiGzDecoder::new(BufReader::new(whole))).map_err(fault)?;
        if content != *diff_id {
            return Err(Error::unsound(path, format!("is damaged: its content is not {diff_id}")));
        }
        let layer = plain(0).kept_as(written.digest, written.size);
        self.put(&layer, open()?)?;
        Ok(layer)
    }
}

fn absent(path: &str) -> Error {
    Error::unsound(TABLE, format!("names {path:?}, which is not in the archive"))
}

/// The only image, or the one called `name`.
fn choose<'a>(rows: &'a [Row], name: &str) -> Result<&'a Row, Error> {
    let tags = |row: &'a Row| row.repo_tags.iter().flatten();
    match rows {
        [] => Err(Error::unsound(TABLE, "names no image")),
        [row] => Ok(row),
        rows => rows.iter().find(|row| tags(row).any(|tag| is_called(tag, name))).ok_or_else(|| {
            let found: Vec<&str> = rows.iter().flat_map(tags).map(String::as_str).collect();
            Error::Several { wanted: name.into(), found: found.join(", ") }
        }),
    }
}

/// The unpacked files of an archive. They are deleted when this is dropped.
struct Unpacked(BTreeMap<PathBuf, Item>);

enum Item {
    File(Written),
    /// Docker saves a layer that occurs twice in an image as a link to the first.
    Link(PathBuf),
}

impl Files for Unpacked {
    fn open(&self, path: &str) -> Result<Option<Found>, Error> {
        Ok(self.find(path)?.cloned().map(Found::Ours))
    }
}

impl Unpacked {
    fn find(&self, path: &str) -> Result<Option<&Written>, Error> {
        let mut at = inside(path.as_bytes(), None)?;
        for _ in 0..MOST_LINKS {
            match self.0.get(&at) {
                None => return Ok(None),
                Some(Item::File(written)) => return Ok(Some(written)),
                Some(Item::Link(to)) => at.clone_from(to),
            }
        }
        Err(Error::unsound(path, "goes through too many links"))
    }

    fn read(store: &Store, archive: impl Read) -> Result<Self, Error> {
        let fault = |source| Error::Io { what: "reading the archive".into(), source };
        let mut archive = Archive::new(BufReader::with_capacity(1 << 16, archive));
        let mut files = BTreeMap::new();
        let mut long = Long::default();
        for (count, entry) in archive.entries().map_err(fault)?.raw(true).enumerate() {
            let mut entry = entry.map_err(fault)?;
            if count >= MOST_ENTRIES {
                return Err(Error::unsound("the archive", format!("has more than {MOST_ENTRIES} entries")));
            }
            let kind = entry.header().entry_type();
            if long.read(&mut entry)? {
                continue;
            }
            let names = std::mem::take(&mut long);
            let path = inside(&names.path.unwrap_or_else(|| entry.path_bytes().into_owned()), None)?;
            let found = match kind {
                EntryType::Directory => continue,
                EntryType::Regular | EntryType::Continuous => {
                    let Some(written) = unpack(store, &path, &mut entry)? else { continue };
                    Item::File(written)
                }
                EntryType::Symlink | EntryType::Link => {
                    let from = if kind == EntryType::Symlink { path.parent() } else { None };
                    let to = names.link.or_else(|| entry.link_name_bytes().map(|name| name.into_owned()));
                    Item::Link(inside(&to.unwrap_or_default(), from.map(PathBuf::from))?)
                }
                kind => {
                    let fault = format!("is a tar entry of type {kind:?}, which no image archive needs");
                    return Err(Error::unsound(path.display().to_string(), fault));
                }
            };
            files.insert(path, found);
        }
        Ok(Self(files))
    }
}

/// Unpacks an entry into a temporary file in the store. Returns `None` if the store already has the content.
fn unpack(store: &Store, path: &Path, entry: &mut Entry<'_, impl Read>) -> Result<Option<Written>, Error> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let fault = |source| Error::Io { what: format!("unpacking {name}"), source };
    let size = entry.header().entry_size().map_err(fault)?;
    let (length, unpacked) = if is_kept(store, path, size)? {
        (io::copy(entry, &mut io::sink()).map_err(fault)?, None)
    } else {
        let written = store.write_down(entry, &format!("unpacking {name}"))?;
        (written.size, Some(written))
    };
    if length != size {
        let fault = format!("is cut off: {length} of {size} bytes are in the archive");
        return Err(Error::unsound(name, fault));
    }
    Ok(unpacked)
}

/// Whether the store has the blob whose digest is the file's name, or the packed form of that layer.
fn is_kept(store: &Store, path: &Path, size: u64) -> Result<bool, Error> {
    let hex = path.strip_prefix("blobs/sha256").ok().and_then(Path::to_str).unwrap_or_default();
    let Ok(digest) = format!("sha256:{hex}").parse::<Digest>() else { return Ok(false) };
    let is_blob = || match store.length(hex) {
        Some(length) if length == size => store.holds(&Descriptor::new(OCI_LAYER, digest, size)),
        _ => Ok(false),
    };
    Ok(size > LARGEST && (store.packed(&digest)?.is_some() || is_blob()?))
}

/// Names that are too long for an entry's header and are stored in separate entries before it.
#[derive(Default)]
struct Long {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Long {
    /// Reads the entry if it holds a long name, and returns whether it does.
    fn read(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<bool, Error> {
        let kind = entry.header().entry_type();
        let is_one = kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions()
            || kind.is_gnu_longname()
            || kind.is_gnu_longlink();
        if !is_one {
            return Ok(false);
        }
        let fault = |source| Error::Io { what: "reading the archive".into(), source };
        if entry.header().entry_size().map_err(fault)? > LONGEST_NAME {
            return Err(Error::unsound(
                "the archive",
                format!("has a name of more than {LONGEST_NAME} bytes"),
            ));
        }
        let mut bytes = Vec::new();
        entry.take(LARGEST).read_to_end(&mut bytes).map_err(fault)?;
        if kind.is_pax_local_extensions() {
            for extension in PaxExtensions::new(&bytes) {
                let extension = extension.map_err(fault)?;
                match extension.key_bytes() {
                    b"path" => self.path = Some(extension.value_bytes().into()),
                    b"linkpath" => self.link = Some(extension.value_bytes().into()),
                    key if key == b"size" || key.starts_with(b"GNU.sparse") => {
                        let fault =
                            format!("uses {:?}, which is not supported", String::from_utf8_lossy(key));
                        return Err(Error::unsound("the archive", fault));
                    }
                    _ => {}
                }
            }
        } else if kind.is_gnu_longname() || kind.is_gnu_longlink() {
            let name = Some(bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
            if kind.is_gnu_longname() { self.path = name } else { self.link = name }
        }
        Ok(true)
    }
}

/// Normalizes a path, relative to `from` or to the archive's root. A path that leads out of the archive is an error.
fn inside(path: &[u8], from: Option<PathBuf>) -> Result<PathBuf, Error> {
    let shown = || String::from_utf8_lossy(path).into_owned();
    let text = str::from_utf8(path).map_err(|_| Error::unsound(shown(), "is not valid UTF-8"))?;
    let mut inside = from.unwrap_or_default();
    for (at, part) in text.split('/').enumerate() {
        let leaves = match part {
            "" if at == 0 => true,
            "" | "." => false,
            ".." => !inside.pop(),
            part => {
                inside.push(part);
                false
            }
        };
        if leaves {
            return Err(Error::unsound(shown(), "is a path that leads outside the archive"));
        }
    }
    Ok(inside)
}
