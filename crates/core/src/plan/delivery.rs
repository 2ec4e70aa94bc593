//! How a version's image gets onto a server.

use super::step::Step;
use crate::commands::registry::{Pull, Receive};

/// How a version's image gets onto a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The server pulls it from the registry that it was pushed to.
    Pull(Pull),
    /// This run sends it, through the SSH connection: the server pulls what it lacks, or is given the whole.
    Send(Receive),
}

impl Delivery {
    /// The step that brings it there.
    pub fn step(self) -> Step {
        match self {
            Self::Pull(pull) => Step::Pull(pull),
            Self::Send(receive) => Step::Receive(receive),
        }
    }
}
