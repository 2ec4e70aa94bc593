//! `proxy/run`: how the proxy's container runs on a server.

use serde::Serialize;

use crate::OptionValue;
use crate::decode::{Field, Report};
use crate::shown;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    pub publish: bool,
    /// `http_port` (80), if it is published.
    pub http_port: Option<u16>,
    /// `https_port` (443), if it is published.
    pub https_port: Option<u16>,
    /// `bind_ips`: addresses of the server to publish on; all if empty.
    pub bind_ips: Vec<String>,
    pub metrics_port: Option<u16>,
    pub debug: bool,
    /// `log_max_size` (`10m`); `None` leaves it to Docker.
    #[serde(serialize_with = "shown::or_empty")]
    pub log_max_size: Option<String>,
    /// `registry`: the server of its image; Docker Hub if absent.
    pub registry: Option<String>,
    /// `repository`; `basecamp/kamal-proxy` if another key of its image is given.
    pub repository: Option<String>,
    /// `version`; `v0.9.2` if another key of its image is given.
    pub version: Option<String>,
    #[serde(serialize_with = "shown::pairs")]
    pub options: Vec<(String, OptionValue)>,
}

impl Run {
    pub(super) fn decode(section: &Field, report: &mut Report) -> Self {
        let publish = section.at("publish").boolean().unwrap_or(true);
        let published = ["http_port", "https_port", "bind_ips"];
        if !publish && published.iter().any(|name| section.has(name)) {
            let given = published.iter().filter_map(|name| section.key_span(name));
            let error = section.error("Cannot set http_port, https_port or bind_ips when publish is false");
            report.push(given.fold(error, |error, span| error.also(span, "given here")));
        }
        Self {
            publish,
            http_port: publish.then(|| section.at("http_port").port().unwrap_or(80)),
            https_port: publish.then(|| section.at("https_port").port().unwrap_or(443)),
            bind_ips: section.at("bind_ips").strings(),
            metrics_port: section.at("metrics_port").port(),
            debug: section.at("debug").boolean().unwrap_or(false),
            log_max_size: Some(section.at("log_max_size").text().unwrap_or_else(|| "10m".into()))
                .filter(|size| !size.is_empty()),
            registry: section.at("registry").text(),
            repository: section.at("repository").text(),
            version: section.at("version").text(),
            options: section.at("options").options(),
        }
    }
}
