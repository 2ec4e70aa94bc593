//! `logging`: Docker's log driver for the containers.

use serde::Serialize;

use crate::Pairs;
use crate::decode::Field;
use crate::describe::{Form, Keys, Setting, TEXTS};
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
    pub(crate) fn decode(section: &Field) -> Self {
        Self { driver: section.at("driver").text(), options: section.at("options").pairs() }
    }
}
