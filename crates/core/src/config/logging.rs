//! `logging`: Docker's log driver for the containers.

/// `logging`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logging {
    /// `driver`.
    pub driver: Option<String>,
    /// `options`. With neither driver nor options Docker gets `max-size=10m`.
    pub options: super::Pairs,
}
