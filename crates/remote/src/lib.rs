//! SSH connections and local processes, behind the traits of [`bowline_engine::ports`].
//!
//! This crate decides nothing. A step comes in as text, its output and status go out, and everything that can break
//! in between has a limit: connecting ([`Timeouts::connect`](bowline_config::Timeouts::connect)), dead connections
//! (keepalive), output, channels.
//!
//! [`SshNetwork`] is the entry point: `connect(host)` returns a server whose connection is shared, kept open and, if
//! it dies between two steps, replaced.

mod agent;
mod auth;
mod backlog;
mod begin;
mod budget;
mod channel;
mod descriptors;
mod dial;
mod forward;
mod http;
mod images;
mod jump;
mod keys;
mod known_hosts;
mod lines;
mod local;
mod options;
mod pool;
mod session;
mod ssh_config;
mod starts;
mod stream;

use bowline_engine::ports::ServerError;
pub use images::KeptImages;
pub use local::LocalMachine;
pub use options::{NewHosts, NoPrompt, Options, Prompt, UserConfig};
pub use pool::SshNetwork;

type Result<T, E = ServerError> = std::result::Result<T, E>;

#[cfg(test)]
#[path = "../../core/tests/common/garble.rs"]
#[allow(clippy::print_stdout, reason = "it says how much was tried")]
mod garble;
