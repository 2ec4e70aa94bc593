//! Making it so: the phases of a deploy, the barrier, waiting, undoing, the lock, hooks, secrets.
//!
//! Everything outside comes through the traits in [`ports`]; what happens is told as typed events
//! ([`event::Event`]). No SSH and no terminal here.

pub mod error;
pub mod event;
pub mod ports;
pub mod world;
