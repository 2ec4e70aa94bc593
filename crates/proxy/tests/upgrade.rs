//! Upgrades of the running binary, through its command line and its ports.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests stops the test")]

#[path = "upgrade/support.rs"]
mod support;

#[path = "upgrade/afterwards.rs"]
mod afterwards;
#[path = "upgrade/newer.rs"]
mod newer;
#[path = "upgrade/streams.rs"]
mod streams;
#[path = "upgrade/taking_over.rs"]
mod taking_over;
