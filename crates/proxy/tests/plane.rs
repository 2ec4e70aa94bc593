//! The data plane over real sockets: what clients send and what targets answer, byte by byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests stops the test")]

#[path = "plane/support.rs"]
mod support;

#[path = "plane/basics.rs"]
mod basics;
