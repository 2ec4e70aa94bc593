//! Making it so: the phases of a deploy, the barrier, waiting, undoing, the lock, hooks, secrets.
//!
//! Everything outside comes through the traits in [`ports`]; what happens is told as typed events. No SSH
//! and no terminal here.

pub mod ports;
