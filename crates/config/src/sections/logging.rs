//! `logging`: Docker's log driver for the containers.

use serde::Serialize;

use crate::decode::Field;
use crate::describe::{Form, Keys, Setting, TEXTS};
use crate::pairs::{Pairs, lay_over};
use crate::shown;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Logging {
    pub driver: Option<String>,
    /// `options`. With neither driver nor options Docker gets `max-size=10m`.
    #[serde(serialize_with = "shown::pairs")]
    pub options: Pairs,
}

const DRIVERS: &[&str] = &[
    "json-file",
    "local",
    "journald",
    "syslog",
    "gelf",
    "fluentd",
    "awslogs",
    "gcplogs",
    "splunk",
    "etwlogs",
    "none",
];

pub(crate) const KEYS: Keys = Keys::new(
    "logging",
    "How Docker keeps the logs of the app's containers, of Traefik and of accessories. Each option of a role overrides the root's.",
    &[
        Setting::new("driver", Form::Usual(DRIVERS), "the value of `docker run --log-driver`")
            .default("the driver that Docker is configured with")
            .examples(&["local"]),
        Setting::new("options", TEXTS, "values of `docker run --log-opt`")
            .default("`max-size=10m` if no `driver` is set")
            .examples(&["{max-size: 100m, max-file: 3}"]),
    ],
);

impl Logging {
    pub(crate) fn decode(field: &Field) -> Self {
        let section = field.section();
        Self { driver: section.text("driver"), options: section.pairs("options") }
    }

    /// Merges this over `base`: its driver if it has one, and its options over the base's.
    pub(crate) fn over(&self, base: &Logging) -> Self {
        Self {
            driver: self.driver.clone().or_else(|| base.driver.clone()),
            options: lay_over(&base.options, &self.options),
        }
    }
}
