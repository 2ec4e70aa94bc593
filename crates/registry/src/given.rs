//! A file or directory that a user names, in any of the forms that an image is kept in.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::Error;
use crate::image::Image;
use crate::store::Store;

/// A tar header.
const HEADER: u64 = 512;
/// Where every header since 1988 says what it is.
const MARK: (usize, &[u8]) = (257, b"ustar");
const GZIP: &[u8] = &[0x1f, 0x8b];
/// Other compressions, by their first bytes.
const OTHERS: [(&[u8], &str); 3] =
    [(&[0x28, 0xb5, 0x2f, 0xfd], "zstd"), (b"BZh", "bzip2"), (&[0xfd, b'7', b'z', b'X', b'Z'], "xz")];

impl Store {
    /// Takes an image out of an archive as `docker save` or buildx writes it, compressed with gzip or not, or out of a directory with an
    /// OCI layout. Where there are several images, it is the one of that name. Its blobs stay until [`Store::collect`], unless it is kept.
    ///
    /// # Errors
    /// If it is none of these, holds no such image, or anything in it is not what it says.
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

/// Says what it is instead, where that can be seen.
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
