//! `output`: where else Bowline should write the output of a run.

use serde::Serialize;

use crate::decode::{Field, Report};
use crate::describe::{Form, Keys, Setting};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OutputPlaces {
    /// `file/path`: a directory with a file for each run.
    pub file: Option<String>,
    /// `otel/endpoint`: the URL of an OpenTelemetry collector.
    pub otel: Option<String>,
}

const NOT_YET: &str = "Bowline accepts the keys, prints a warning and ignores them";

pub(crate) const KEYS: Keys = Keys::new(
    "output",
    "Other places for the output of a run.",
    &[
        Setting::new("file", Form::Keys(&FILE), "one file for each run").examples(&["{path: log/deploys}"]),
        Setting::new("otel", Form::Keys(&OTEL), "a collector of OpenTelemetry")
            .examples(&["{endpoint: \"http://localhost:4318\"}"]),
    ],
)
.not_yet(NOT_YET);

const FILE: Keys = Keys::new(
    "output/file",
    "",
    &[Setting::new("path", Form::Filled, "the directory of the files")
        .default("required")
        .examples(&["log/deploys"])],
)
.not_yet(NOT_YET);

const OTEL: Keys = Keys::new(
    "output/otel",
    "",
    &[Setting::new("endpoint", Form::Filled, "the URL of the collector")
        .default("required")
        .examples(&["\"http://localhost:4318\""])],
)
.not_yet(NOT_YET);

impl OutputPlaces {
    pub(crate) fn decode(section: &Field, report: &mut Report) -> Self {
        let mut part = |name: &str, key: &str, help: &str| {
            let part = section.get(name)?;
            if !part.has(key) {
                report.missing(&part, key, help);
            }
            part.at(key).text()
        };
        let output = Self {
            file: part("file", "path", "`path: log/deploys`, a directory"),
            otel: part("otel", "endpoint", "`endpoint: http://localhost:4318`"),
        };
        if output != Self::default() {
            report.push(section.warning("is not supported yet: the output goes to the screen only"));
        }
        output
    }
}
