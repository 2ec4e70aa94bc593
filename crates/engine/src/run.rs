//! The parts of every run: its servers, lock, barrier, observations, and applying a plan.

pub mod apply;
pub mod barrier;
pub(crate) mod change;
pub mod fleet;
pub mod health;
pub mod lock;
pub mod observe;
pub(crate) mod retire;
pub(crate) mod standing;
pub(crate) mod start;
pub(crate) mod work;
