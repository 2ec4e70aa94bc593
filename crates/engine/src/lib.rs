//! Carries out plans: the phases of a deploy, the barrier, waiting, undoing, the lock, hooks, secrets.
//!
//! Everything outside the engine is behind the traits in [`ports`]. The engine reports what happens as typed events
//! ([`event::Event`]). It uses no SSH library and no terminal.

pub mod accessory;
pub mod app;
pub mod audit;
pub mod bootstrap;
pub mod call;
pub mod change;
pub mod deploy;
pub mod doctor;
pub mod error;
mod error_pages;
pub mod event;
pub mod exec;
mod git;
pub mod hooks;
pub mod image;
pub mod init;
mod keys;
pub mod listing;
mod local;
pub mod logs;
pub mod ports;
pub mod project;
pub mod proxy;
pub mod run;
pub mod secrets;
pub mod server;
pub mod setup;
pub mod takeover;
pub mod template;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod version;
pub mod world;
