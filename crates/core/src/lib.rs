//! The decisions of a deploy: the names of things, commands as values, the observed state of a server, and the plan.
//!
//! Everything here is a pure function of its arguments: no files, no environment, no clock, no network, no printing. Cargo
//! enforces this, since the crate depends on nothing that could do any of it. So every decision of a deploy can be tested here
//! in microseconds.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod commands;
pub mod dockerignore;
pub mod doctor;
pub mod names;
pub mod observed;
pub mod plan;
pub mod proxy;
pub mod selection;
pub mod shell;
pub mod size;
