//! The sections of a configuration, one file each: the type, its keys, how Bowline reads it, and how it shows it.

pub mod accessory;
pub mod alias;
pub mod boot;
pub mod builder;
pub mod env;
pub mod healthcheck;
pub mod hooks;
pub(crate) mod image;
pub mod logging;
pub mod output;
pub mod proxy;
pub(crate) mod publish;
pub mod registry;
pub mod role;
pub(crate) mod servers;
pub mod ssh;
pub(crate) mod sshkit;
pub mod timeouts;
pub mod traefik;
pub(crate) mod version;
