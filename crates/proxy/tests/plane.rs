//! The data plane over real sockets: the tests control every byte that clients and targets send.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests stops the test")]

#[path = "plane/support.rs"]
mod support;

#[path = "plane/basics.rs"]
mod basics;
#[path = "plane/bodies.rs"]
mod bodies;
#[path = "plane/closing.rs"]
mod closing;
#[path = "plane/connections.rs"]
mod connections;
#[path = "plane/drains.rs"]
mod drains;
#[path = "plane/floods.rs"]
mod floods;
#[path = "plane/garbled.rs"]
mod garbled;
#[path = "plane/hostile.rs"]
mod hostile;
#[path = "plane/interim.rs"]
mod interim;
#[path = "plane/rules.rs"]
mod rules;
#[path = "plane/streams.rs"]
mod streams;
#[path = "plane/tls.rs"]
mod tls;
#[path = "plane/upstreams.rs"]
mod upstreams;
