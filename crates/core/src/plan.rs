//! The plan: what a run will do, decided before it does anything.

pub mod step;
