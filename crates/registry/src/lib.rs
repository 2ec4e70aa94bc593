//! A read-only OCI registry over any byte stream, and the store of images behind it.
//!
//! An image gets into a [`Store`] from where it was built: out of an OCI layout ([`Store::take_layout`]) or of what `docker save` writes
//! ([`Store::take_archive`]), or of either in a file that a user names ([`Store::look_into`]). Blobs are stored once, under their digests, and everything is checked against the digest that names it: a
//! source is data from outside. [`Store::save`] writes an image as `docker load` takes it. A [`Registry`] then offers images to whatever connects: it speaks the pull half of the OCI distribution
//! specification, over HTTP/1.1, as Docker, containerd and Podman use it.
//!
//! Nothing here knows of deploys, servers or SSH.

mod archive;
mod compress;
mod digest;
mod error;
mod given;
mod image;
mod layout;
mod manifest;
mod name;
mod retain;
mod save;
mod serve;
mod store;
mod take;

pub use digest::{Digest, NotADigest};
pub use error::Error;
pub use image::{Image, Layer, Variant};
pub use manifest::{Descriptor, Platform};
pub use name::{is_repository, is_tag};
pub use serve::{Access, Limits, Registry, Traffic};
pub use store::{Collected, Kept, Store, Workspace};
