//! The app's image: built, pushed, pulled, and what that needs: a clone, a builder, a registry. Without a registry it is kept on
//! this machine, and sent.

pub mod build;
pub mod builder;
pub(crate) mod clone;
pub mod dev;
pub(crate) mod expect;
pub(crate) mod keep;
pub mod pull;
pub mod registry;
pub(crate) mod send;
