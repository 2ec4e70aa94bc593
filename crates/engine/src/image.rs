//! The app's image: built, pushed, pulled, and what that needs: a clone, a builder, a registry.

pub mod build;
pub mod builder;
pub(crate) mod clone;
pub mod dev;
pub mod pull;
pub mod registry;
