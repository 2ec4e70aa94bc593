//! The decisions of a deploy: names, commands as values, the observed state of a server, and the plan.
//!
//! Everything here is a pure function of its arguments: no files, no environment, no clock, no network, no printing.
//! Clippy's lists of disallowed methods and types enforce this. Tests can check every decision in microseconds.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod commands;
pub mod dockerignore;
pub mod doctor;
pub mod error;
pub mod names;
pub mod observed;
pub mod plan;
pub mod proxy;
pub mod request;
pub mod secrets;
pub mod selection;
pub mod shell;
pub mod size;
