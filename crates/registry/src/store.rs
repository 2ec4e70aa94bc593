//! A directory that stores blobs under their digests, and records which images are kept.
//!
//! Files are written elsewhere and renamed when complete, so a process that dies leaves no partial file under its
//! final name. Opening an image checks the digests, and blobs damaged by a disk or crash are taken again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir, TempPath};

use crate::compress;
use crate::digest::{Digest, Hashing};
use crate::error::Error;
use crate::image::Image;
use crate::manifest::{Descriptor, LARGEST};
use crate::take::{self, Found, Nothing};

/// Blobs, with names as in an OCI layout.
const BLOBS: &str = "blobs/sha256";
/// One file per kept image.
const IMAGES: &str = "images";
/// Maps the digest of a plain layer to the descriptor of its stored form, compressed or unchanged.
const COMPRESSED: &str = "compressed";
/// Temporary files.
const INCOMING: &str = "incoming";

/// A directory of blobs and kept images. Several processes may use the same directory at once.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Every user of the store holds it shared. Deleting blobs takes it exclusively.
    lock: File,
    /// The blobs that were written or verified since the store was opened, as their files were then.
    whole: Mutex<BTreeMap<Digest, Stamp>>,
}

/// Changes when another program writes to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    written: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let written = (metadata.mtime(), metadata.mtime_nsec());
        Self { inode: metadata.ino(), size: metadata.len(), written }
    }
}

/// A temporary file in the store's directory, with the digest and size computed while it was written. It is deleted
/// when its last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) path: Arc<TempPath>,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// The record of a kept image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub name: String,
    /// The image's index or manifest.
    pub root: Descriptor,
    /// When the image was last taken: the record's modification time.
    #[serde(skip, default = "SystemTime::now")]
    pub taken: SystemTime,
}

/// A temporary directory to take an image from. If the process is killed, [`Store::collect`] deletes it.
#[derive(Debug)]
pub struct Workspace(TempDir);

impl Workspace {
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// What [`Store::collect`] deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    pub blobs: usize,
    pub bytes: u64,
}

impl Store {
    /// Opens the store in a directory and creates it if it is missing. Only its owner can read new directories.
    ///
    /// Waits while another process deletes blobs, which takes a moment.
    pub fn open(root: &Path) -> Result<Self, Error> {
        for part in [BLOBS, IMAGES, COMPRESSED, INCOMING] {
            let path = root.join(part);
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(Error::io(&path))?;
        }
        let path = root.join("lock");
        let lock = File::options().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        flock(&lock, FlockOperation::LockShared).map_err(|error| Error::io(&path)(error.into()))?;
        Ok(Self { root: root.to_owned(), lock, whole: Mutex::default() })
    }

    /// Opens a kept image and checks all of its blobs.
    ///
    /// # Errors
    /// If no image is kept under this name, or a blob is missing or damaged.
    pub fn image(&self, name: &str) -> Result<Image, Error> {
        take::all(self, &Nothing, &self.kept(name)?.root)
    }

    fn kept(&self, name: &str) -> Result<Kept, Error> {
        recorded(&self.record(name))?.ok_or_else(|| Error::Unknown(name.into()))
    }

    /// Lists all kept images, sorted by name.
    pub fn images(&self) -> Result<Vec<Kept>, Error> {
        let mut images = Vec::new();
        for path in list(&self.root.join(IMAGES))? {
            images.extend(recorded(&path)?);
        }
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// Also keeps a kept image under another name.
    pub fn keep_as(&self, name: &str, other: &str) -> Result<(), Error> {
        self.record_as(other, &self.kept(name)?.root)
    }

    /// Removes a name. The image's blobs stay until [`Store::collect`].
    pub fn forget(&self, name: &str) -> Result<(), Error> {
        remove(&self.record(name)).map(drop)
    }

    /// Deletes every blob that no kept image needs. While another process uses the store, only returns `None`.
    pub fn collect(&self) -> Result<Option<Collected>, Error> {
        let fault = |error: rustix::io::Errno| Error::io(&self.root.join("lock"))(error.into());
        let alone = flock(&self.lock, FlockOperation::NonBlockingLockExclusive);
        let collected = match alone {
            Ok(()) => self.sweep().map(Some),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
            Err(error) => Err(fault(error)),
        };
        // A failed upgrade to an exclusive lock may have released the shared one.
        flock(&self.lock, FlockOperation::LockShared).map_err(fault)?;
        collected
    }

    fn sweep(&self) -> Result<Collected, Error> {
        let mut needed = BTreeSet::new();
        for path in list(&self.root.join(IMAGES))? {
            match recorded(&path)? {
                Some(kept) => take::reach(self, &kept.root, &mut needed)?,
                None => drop(remove(&path)?),
            }
        }
        let mut collected = Collected::default();
        for path in list(&self.root.join(BLOBS))? {
            let is_needed = path.file_name().is_some_and(|name| needed.contains(&*name.to_string_lossy()));
            if !is_needed {
                collected.blobs += 1;
                collected.bytes += remove(&path)?;
            }
        }
        for path in list(&self.root.join(COMPRESSED))? {
            let made =
                fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Descriptor>(&bytes).ok());
            if !made.is_some_and(|made| needed.contains(&made.digest.hex())) {
                remove(&path)?;
            }
        }
        for path in list(&self.root.join(INCOMING))? {
            // Other processes left these behind. None of them uses the store now.
            if path.is_dir() {
                fs::remove_dir_all(&path).map_err(Error::io(&path))?;
            } else {
                remove(&path)?;
            }
        }
        Ok(collected)
    }

    /// Keeps an image under `name`, in place of any image with that name.
    pub fn keep(&self, name: &str, image: &Image) -> Result<(), Error> {
        self.record_as(name, &image.root)
    }

    fn record_as(&self, name: &str, root: &Descriptor) -> Result<(), Error> {
        let kept = Kept { name: name.into(), root: root.clone(), taken: SystemTime::now() };
        self.write_record(&self.record(name), &kept)
    }

    fn write_record(&self, path: &Path, value: &impl Serialize) -> Result<(), Error> {
        let mut file = self.incoming()?;
        let bytes = serde_json::to_vec(value).map_err(|error| Error::io(path)(error.into()))?;
        file.write_all(&bytes).map_err(Error::io(path))?;
        persist(file, path)
    }

    /// The record's path. A name may contain any character, so its digest is the file name.
    fn record(&self, name: &str) -> PathBuf {
        self.root.join(IMAGES).join(Digest::of(name.as_bytes()).hex())
    }

    /// The length of a stored blob, by its digest's digits.
    pub(crate) fn length(&self, digits: &str) -> Option<u64> {
        self.root.join(BLOBS).join(digits).metadata().ok().map(|metadata| metadata.len())
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join(BLOBS).join(digest.hex())
    }

    pub fn workspace(&self) -> Result<Workspace, Error> {
        let path = self.root.join(INCOMING);
        TempDir::new_in(&path).map(Workspace).map_err(Error::io(&path))
    }

    /// A new temporary file, deleted unless it is persisted.
    pub(crate) fn incoming(&self) -> Result<NamedTempFile, Error> {
        let path = self.root.join(INCOMING);
        NamedTempFile::new_in(&path).map_err(Error::io(&path))
    }

    /// Whether the store has the blob, undamaged. Deletes a damaged one. A blob that was verified since the store was
    /// opened isn't read again unless its file changed.
    pub(crate) fn holds(&self, wanted: &Descriptor) -> Result<bool, Error> {
        let path = self.blob(&wanted.digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io(&path)(error)),
        };
        let stamp = Stamp::of(&file.metadata().map_err(Error::io(&path))?);
        let known = self.whole.lock().unwrap_or_else(PoisonError::into_inner).get(&wanted.digest).copied();
        if known == Some(stamp) && stamp.size == wanted.size {
            return Ok(true);
        }
        let found = Digest::of_all(BufReader::with_capacity(1 << 16, file));
        if found.map_err(Error::io(&path))? == (wanted.digest, wanted.size) {
            self.is_whole(wanted.digest, stamp);
            return Ok(true);
        }
        remove(&path)?;
        Ok(false)
    }

    fn is_whole(&self, digest: Digest, stamp: Stamp) {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, stamp);
    }

    /// Stores a blob after checking its digest and size.
    pub(crate) fn put(&self, wanted: &Descriptor, source: Found) -> Result<(), Error> {
        self.name(&self.ours(wanted, source)?)
    }

    /// Copies the source into a temporary file, unless it is one already, and checks its digest and size.
    fn ours(&self, wanted: &Descriptor, source: Found) -> Result<Written, Error> {
        let written = match source {
            Found::Ours(written) => written,
            // Reads at most one byte too many, so a source that lies about its size can't fill the disk.
            Found::Theirs(file) => {
                let source = file.take(wanted.size.saturating_add(1));
                self.write_down(source, &format!("reading {}", wanted.digest))?
            }
        };
        check((written.digest, written.size), wanted)?;
        Ok(written)
    }

    /// Copies all of `source` into a temporary file. `reading` describes the operation in an error.
    pub(crate) fn write_down(&self, mut source: impl Read, reading: &str) -> Result<Written, Error> {
        let directory = self.root.join(INCOMING);
        let mut to = Hashing::new(self.incoming()?);
        let mut buffer = vec![0; 1 << 17];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => to.write_all(&buffer[..length]).map_err(Error::io(&directory))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Io { what: reading.into(), source }),
            }
        }
        let (file, digest, size) = to.finish();
        Ok(Written { path: Arc::new(file.into_temp_path()), digest, size })
    }

    /// Links a temporary file to its name as a blob. The temporary file may remain.
    fn name(&self, written: &Written) -> Result<(), Error> {
        let blob = self.blob(&written.digest);
        let linked = fs::hard_link(&*written.path, &blob);
        // Some file systems lack hard links, and another process may have stored the same blob first.
        if linked.is_err() {
            let fault = Error::io(&blob);
            let mut file = self.incoming()?;
            io::copy(&mut File::open(&*written.path).map_err(&fault)?, &mut file).map_err(&fault)?;
            persist(file, &blob)?;
        }
        let metadata = blob.metadata().map_err(Error::io(&blob))?;
        self.is_whole(written.digest, Stamp::of(&metadata));
        Ok(())
    }

    pub(crate) fn write(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, Error> {
        let written = self.write_down(bytes, "a document")?;
        self.name(&written)?;
        Ok(Descriptor::new(media_type, written.digest, written.size))
    }

    pub(crate) fn read(&self, wanted: &Descriptor) -> Result<Vec<u8>, Error> {
        let path = self.blob(&wanted.digest);
        let file = File::open(&path).map_err(Error::io(&path))?;
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes).map_err(Error::io(&path))?;
        Ok(bytes)
    }

    /// Digest and size of the stored form of a plain layer, if the store has it, undamaged.
    pub(crate) fn packed(&self, plain: &Digest) -> Result<Option<(Digest, u64)>, Error> {
        let made = fs::read(self.root.join(COMPRESSED).join(plain.hex())).ok();
        match made.and_then(|bytes| serde_json::from_slice::<Descriptor>(&bytes).ok()) {
            Some(made) if self.holds(&made)? => Ok(Some((made.digest, made.size))),
            _ => Ok(None),
        }
    }

    /// Stores a plain layer: compressed, or unchanged if compression would save almost nothing. The choice is
    /// recorded: servers know the layer by the digest of its stored form, and would need another form sent again.
    pub(crate) fn pack(
        &self,
        plain: &Descriptor,
        open: impl FnOnce() -> Result<Found, Error>,
    ) -> Result<Descriptor, Error> {
        if let Some((digest, size)) = self.packed(&plain.digest)? {
            return Ok(plain.kept_as(digest, size));
        }
        let written = self.ours(plain, open()?)?;
        let file = File::open(&*written.path).map_err(Error::io(&written.path))?;
        let to = self.root.join(INCOMING);
        let fault = |source| Error::Io { what: format!("compressing a layer into {}", to.display()), source };
        let (digest, size) = if compress::is_dense(&file, written.size).map_err(fault)? {
            self.name(&written)?;
            (written.digest, written.size)
        } else {
            let mut to = Hashing::new(self.incoming()?);
            compress::gzip(&file, written.size, &mut to).map_err(fault)?;
            let (file, digest, size) = to.finish();
            let stamp = file.as_file().metadata().map_err(fault)?;
            persist(file, &self.blob(&digest))?;
            self.is_whole(digest, Stamp::of(&stamp));
            (digest, size)
        };
        let made = plain.kept_as(digest, size);
        self.write_record(&self.root.join(COMPRESSED).join(plain.digest.hex()), &made)?;
        Ok(made)
    }
}

fn check(found: (Digest, u64), wanted: &Descriptor) -> Result<(), Error> {
    if found == (wanted.digest, wanted.size) {
        return Ok(());
    }
    let fault = if found.1 == wanted.size {
        format!("is damaged: its content has the digest {}", found.0)
    } else if found.1 < wanted.size {
        format!("is damaged: it has {} bytes and should have {}", found.1, wanted.size)
    } else {
        format!("is damaged: it has more than the {} bytes it should have", wanted.size)
    };
    Err(Error::unsound(wanted.digest.to_string(), fault))
}

fn persist(file: NamedTempFile, path: &Path) -> Result<(), Error> {
    file.persist(path).map(drop).map_err(|error| Error::io(path)(error.error))
}

/// Reads the record of a kept image. `None` if it is missing, or damaged, as a power cut may leave it: the image is
/// then taken again.
fn recorded(path: &Path) -> Result<Option<Kept>, Error> {
    let read = || -> io::Result<_> { Ok((fs::read(path)?, path.metadata()?.modified()?)) };
    let (bytes, taken) = match read() {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path)(error)),
    };
    Ok(serde_json::from_slice::<Kept>(&bytes).ok().map(|kept| Kept { taken, ..kept }))
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(directory).map_err(Error::io(directory))?;
    entries.map(|entry| Ok(entry.map_err(Error::io(directory))?.path())).collect()
}

/// Removes a file and returns its length. A missing file is not an error.
fn remove(path: &Path) -> Result<u64, Error> {
    let length = path.metadata().map_or(0, |metadata| metadata.len());
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path)(error)),
        _ => Ok(length),
    }
}
