//! A read-only OCI registry over any byte stream, and the store of images behind it.
//!
//! A [`Store`] takes images from an OCI layout ([`Store::take_layout`]), from the output of `docker save`
//! ([`Store::take_archive`]), or from a file or directory that a user names ([`Store::look_into`]). It stores each
//! blob once, under its digest, and checks all content against its digest, because sources aren't trusted.
//! [`Store::save`] writes an image in the format of `docker load`. A [`Registry`] serves images on any connection. It
//! speaks the pull half of the OCI distribution specification over HTTP/1.1, as Docker, containerd and Podman use it.
//!
//! This crate knows nothing about deploys, servers or SSH.

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
pub use serve::{Access, Limits, NotAName, Registry, Traffic};
pub use store::{Collected, Kept, Store, Workspace};
