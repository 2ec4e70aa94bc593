//! What should be: the names of things, commands as values, what was observed on a
//! server, and the plan of a deploy.
//!
//! Everything here is a pure function of its arguments: no files, no environment, no clock, no network, no
//! printing. Cargo keeps it so (this crate depends on nothing that could), and every decision of a deploy can
//! be tested here in microseconds.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod commands;
pub mod dockerignore;
pub mod names;
pub mod observed;
pub mod plan;
pub mod proxy;
pub mod selection;
pub mod shell;
