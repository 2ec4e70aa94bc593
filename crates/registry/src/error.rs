//! Why an image can't be taken or opened.

use std::io;
use std::path::Path;

use crate::digest::Digest;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source, or a file or directory of the store, can't be read or written.
    #[error("{what}: {source}")]
    Io {
        /// The path, or the operation.
        what: String,
        source: io::Error,
    },
    /// The source contradicts itself, or uses something that isn't supported.
    #[error("{what} {fault}")]
    Unsound {
        what: String,
        /// The fault, as a predicate of `what`.
        fault: String,
    },
    /// The source names a blob that it doesn't contain.
    #[error("the image is incomplete: it names {0}, which is missing")]
    Missing(Digest),
    /// The source has several images, and none has the requested name.
    #[error("the source has several images and none is named {wanted}; it has {found}")]
    Several {
        wanted: String,
        /// The names of the images in the source, separated by commas.
        found: String,
    },
    #[error("there is no image named {0} on this machine")]
    Unknown(String),
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { what: path.display().to_string(), source }
    }

    pub(crate) fn unsound(what: impl Into<String>, fault: impl Into<String>) -> Self {
        Self::Unsound { what: what.into(), fault: fault.into() }
    }
}
