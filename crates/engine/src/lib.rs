//! Making it so: the phases of a deploy, the barrier, waiting, undoing, the lock, hooks, secrets.
//!
//! Everything outside comes through the traits in [`ports`]; what happens is told as typed events
//! ([`event::Event`]). No SSH and no terminal here.

pub mod accessory;
pub mod app;
pub mod apply;
pub mod audit;
pub mod barrier;
pub mod bootstrap;
pub mod build;
pub mod builder;
mod change;
mod clone;
pub mod cord;
pub mod deploy;
pub mod dev;
pub mod env;
pub mod error;
pub mod event;
pub mod exec;
pub mod fleet;
mod git;
pub mod health;
pub mod hooks;
pub mod init;
mod keys;
pub mod listing;
mod local;
pub mod lock;
pub mod logs;
pub mod maintenance;
pub mod observe;
pub mod ports;
pub mod project;
pub mod proxy;
pub mod prune;
mod published;
pub mod pull;
pub mod registry;
pub mod remove;
pub mod secrets;
pub mod server;
pub mod setup;
mod standing;
pub mod template;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod traefik;
pub mod version;
pub mod world;
