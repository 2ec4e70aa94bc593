//! `logging`: Docker's log driver for the containers.

use super::decode::{Field, Keys, Report};

/// `logging`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logging {
    /// `driver`.
    pub driver: Option<String>,
    /// `options`. With neither driver nor options Docker gets `max-size=10m`.
    pub options: super::Pairs,
}

const KEYS: Keys = Keys { known: &["driver", "options"], later: &[] };

impl Logging {
    pub(super) fn decode(field: &Field, report: &mut Report) -> Self {
        let Some(section) = field.section(&KEYS, report) else { return Self::default() };
        Self {
            driver: section.filled("driver", report),
            options: section.get("options").and_then(|field| field.pairs(report)).unwrap_or_default(),
        }
    }

    /// This over `base`: its driver if it has one, its options over the base's.
    pub(super) fn over(&self, base: &Logging) -> Self {
        Self {
            driver: self.driver.clone().or_else(|| base.driver.clone()),
            options: super::lay_over(&base.options, &self.options),
        }
    }
}
