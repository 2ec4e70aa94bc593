//! Why an image can't be taken or opened.

use std::io;
use std::path::Path;

use crate::digest::Digest;

/// Why an image can't be taken or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of ours, or the source itself, can't be read or written.
    #[error("{what}: {source}")]
    Io {
        /// The path, or what was read.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The source says something that can't be right, or that is not supported.
    #[error("{what} {fault}")]
    Unsound {
        /// The file in the source.
        what: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The source names a blob that it does not hold.
    #[error("the image is incomplete: it names {0}, which is missing")]
    Missing(Digest),
    /// Several images, and none of the name that was asked for.
    #[error("there are several images and none is named {wanted}: {found}")]
    Several {
        /// The name that was asked for.
        wanted: String,
        /// The names there are.
        found: String,
    },
    /// No image of that name is kept.
    #[error("no image named {0} is kept")]
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
