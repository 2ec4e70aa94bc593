//! A step: one round trip to one server.

use crate::shell::Script;

/// One round trip to one server.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A script of a command that is not part of a plan.
    Run(Script),
}

impl Step {
    /// What is sent.
    pub fn script(&self) -> Script {
        match self {
            Step::Run(script) => script.clone(),
        }
    }
}
