//! The proxy between the internet and the apps: a drop-in replacement for kamal-proxy.
//!
//! There are three groups of modules. The control side ([`cli`], [`control`], [`options`], [`state`], [`log`],
//! [`metrics`]) takes commands and saves their effects. The data plane ([`plane`], [`router`], [`service`],
//! [`target`], [`balance`], [`gate`], [`rollout`], [`rules`], [`health`], [`drain`], [`daemon`], [`upgrade`]) carries
//! requests. The others are features that the plane uses: [`tls`], [`error_pages`], [`proxy_protocol`], [`access`],
//! [`client_address`], [`compress`], [`header_rules`]. [`image`] builds the image that all of this runs in.

pub mod access;
pub mod balance;
mod cancel;
pub mod cli;
pub mod client_address;
pub mod compress;
pub mod control;
pub mod daemon;
pub mod drain;
pub mod duration;
pub mod error_pages;
mod files;
pub mod gate;
mod header_list;
pub mod header_rules;
pub mod health;
pub mod image;
pub mod log;
pub mod metrics;
pub mod options;
pub mod plane;
pub mod proxy_protocol;
pub mod rollout;
pub mod router;
pub mod rules;
#[cfg(test)]
mod seeded;
pub mod service;
pub mod state;
pub mod stats;
pub mod target;
pub mod tls;
pub mod upgrade;

use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even if a thread has panicked while it held the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn main() -> ExitCode {
    cli::main()
}
