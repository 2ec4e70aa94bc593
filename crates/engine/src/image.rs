//! The app's image: building, pushing and pulling it, and the clone, builder and registry for that. Without a registry, the
//! image is stored on this machine and sent to servers.

pub mod build;
pub mod builder;
pub(crate) mod clone;
pub mod dev;
pub(crate) mod expect;
pub(crate) mod keep;
pub mod pull;
pub mod registry;
pub(crate) mod send;
