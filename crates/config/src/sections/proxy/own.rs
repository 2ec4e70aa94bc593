//! The keys of `proxy` that only Bowline's own proxy supports.

use std::time::Duration;

use serde::Serialize;

use crate::Pairs;
use crate::decode::{Field, Report};
use crate::shown;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BowlineProxy {
    #[serde(skip_serializing_if = "shown::is_default")]
    pub compress: bool,
    /// `basic_auth`: names of secrets with a `USER:PASSWORD` each; if empty, the app needs no password.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub basic_auth: Vec<String>,
    /// `allow_ips`: the networks that may use the app; if empty, all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_ips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// `request_headers`: set on requests to the app; an empty value removes the header.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "shown::pairs")]
    pub request_headers: Pairs,
    /// `response_headers`: set on responses to the client; an empty value removes the header.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "shown::pairs")]
    pub response_headers: Pairs,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown::seconds")]
    pub stream_timeout: Option<Duration>,
}

impl BowlineProxy {
    pub(super) fn decode(section: &Field, report: &mut Report) -> Self {
        let own = Self {
            compress: section.at("compress").boolean().unwrap_or(false),
            basic_auth: section.at("basic_auth").secrets(report),
            allow_ips: section.at("allow_ips").strings(),
            trusted_proxies: section.at("trusted_proxies").strings(),
            request_headers: section.at("request_headers").pairs(),
            response_headers: section.at("response_headers").pairs(),
            stream_timeout: section.at("stream_timeout").seconds(),
        };
        for name in ["request_headers", "response_headers"] {
            check_headers(section, name, report);
        }
        own
    }

    pub fn keys(&self) -> Vec<&'static str> {
        let used = [
            ("compress", self.compress),
            ("basic_auth", !self.basic_auth.is_empty()),
            ("allow_ips", !self.allow_ips.is_empty()),
            ("trusted_proxies", !self.trusted_proxies.is_empty()),
            ("request_headers", !self.request_headers.is_empty()),
            ("response_headers", !self.response_headers.is_empty()),
            ("stream_timeout", self.stream_timeout.is_some()),
        ];
        used.into_iter().filter(|(_, used)| *used).map(|(key, _)| key).collect()
    }
}

/// Rejects names that HTTP doesn't allow, headers that the proxy sets itself, and values of several lines.
fn check_headers(section: &Field, name: &str, report: &mut Report) {
    const OWN: [&str; 8] = [
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let headers = section.at(name);
    for (key, field) in headers.entries() {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if key.text.is_empty() || !key.text.chars().all(token) {
            report.push(headers.error_at(key.span, "not the name of a header"));
        } else if OWN.contains(&key.text.to_ascii_lowercase().as_str()) {
            report.push(headers.error_at(key.span, "the proxy sets this header itself"));
        } else if field.text().is_some_and(|text| text.chars().any(char::is_control)) {
            report.push(field.error("should be one line"));
        }
    }
}
