//! Takes an image out of a file or directory that the user names, in any supported format.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::Error;
use crate::image::Image;
use crate::store::Store;

/// The length of a tar header.
const HEADER: u64 = 512;
/// The magic bytes in a tar header and their offset. Every writer since 1988 sets them.
const MARK: (usize, &[u8]) = (257, b"ustar");
const GZIP: &[u8] = &[0x1f, 0x8b];
/// Compressions that aren't supported, by their first bytes.
const OTHERS: [(&[u8], &str); 3] =
    [(&[0x28, 0xb5, 0x2f, 0xfd], "zstd"), (b"BZh", "bzip2"), (&[0xfd, b'7', b'z', b'X', b'Z'], "xz")];

impl Store {
    /// Takes an image out of a tar archive that `docker save` or buildx wrote, with or without gzip, or out of a
    /// directory with an OCI layout. If there are several images, takes the one called `name`. [`Store::collect`]
    /// deletes its blobs unless it is kept.
    ///
    /// # Errors
    /// If the path is none of these, it holds no such image, or its content doesn't match its digests.
    pub fn look_into(&self, path: &Path, name: &str) -> Result<Image, Error> {
        let fault = |source| Error::Io { what: "reading the file".into(), source };
        let mut file = File::open(path).map_err(fault)?;
        if file.metadata().map_err(fault)?.is_dir() {
            return self.in_layout(path, name);
        }
        let mut start = Vec::new();
        (&mut file).take(HEADER).read_to_end(&mut start).map_err(fault)?;
        let whole = Cursor::new(start.clone()).chain(file);
        if !start.starts_with(GZIP) {
            is_archive(&start)?;
            return self.in_archive(whole, name);
        }
        let mut plain = MultiGzDecoder::new(BufReader::new(whole));
        let mut start = Vec::new();
        (&mut plain).take(HEADER).read_to_end(&mut start).map_err(fault)?;
        is_archive(&start)?;
        self.in_archive(Cursor::new(start).chain(plain), name)
    }
}

/// Checks that the file starts as a tar archive. The error says what it is instead, if known.
fn is_archive(start: &[u8]) -> Result<(), Error> {
    let (at, mark) = MARK;
    if start.get(at..).is_some_and(|rest| rest.starts_with(mark)) {
        return Ok(());
    }
    let other = OTHERS.iter().find(|(first, _)| start.starts_with(first));
    Err(Error::unsound(
        "the file",
        match other {
            Some((_, name)) => format!("is compressed with {name}; unpack it, or use gzip"),
            None if start.is_empty() => "is empty".into(),
            None => "is not a tar archive".into(),
        },
    ))
}
