//! Support for the end-to-end tests: the sandbox of real servers, a load client that counts exactly, and a delay line
//! that simulates distance.
//!
//! The API is blocking, so that tests are plain. The load client and the delay line run runtimes on their own
//! threads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "test support: a panic with a good message is how a test fails"
)]

pub mod broken;
pub mod browsers;
pub mod delay;
pub mod docker;
pub mod expect;
pub mod fleet;
mod http;
pub mod inspect;
pub mod load;
pub mod process;
pub mod project;
pub mod proxy;
pub mod rollout;
pub mod sandbox;
pub mod spy;
pub mod streams;
pub mod terminal;
pub mod tls;
pub mod watch;
