//! How a version's image gets onto a server.

use super::step::Step;
use crate::commands::registry::Pull;

/// How a version's image gets onto a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The server pulls it from the registry that it was pushed to.
    Pull(Pull),
}

impl Delivery {
    /// The step that brings it there.
    pub fn step(self) -> Step {
        match self {
            Self::Pull(pull) => Step::Pull(pull),
        }
    }
}
