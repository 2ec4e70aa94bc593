//! The record of one request, which is counted and logged at the end of its response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};

use super::client::Client;
use crate::service::Service;
use crate::target::InFlight;
use crate::{log, metrics};

/// The logged status if the client left before the response.
const CLIENT_GONE: u16 = 499;

/// A request in progress. Dropping it, when the response's body has been sent or abandoned, logs and counts it.
pub(super) struct RequestRecord {
    client: Arc<Client>,
    pub(super) started: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    host: Box<str>,
    user_agent: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    content_length: i64,
    pub(super) request_id: Option<HeaderValue>,
    pub(super) forwarded_for: Option<HeaderValue>,
    request_headers: Vec<(HeaderName, String)>,
    status: u16,
    sent: u64,
    answer_type: Option<HeaderValue>,
    answer_headers: Vec<(HeaderName, String)>,
    service: Option<Arc<Service>>,
    in_flight: Option<InFlight>,
    target: Option<Arc<str>>,
    metered: Option<metrics::InFlight>,
    excluded: bool,
}

impl RequestRecord {
    pub(super) fn new<B>(client: &Arc<Client>, request: &Request<B>, host: &str) -> Self {
        let headers = request.headers();
        Self {
            client: Arc::clone(client),
            started: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: host.into(),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            content_type: headers.get(header::CONTENT_TYPE).cloned(),
            content_length: content_length(headers),
            request_id: headers.get("x-request-id").cloned(),
            forwarded_for: headers.get("x-forwarded-for").cloned(),
            request_headers: Vec::new(),
            status: CLIENT_GONE,
            sent: 0,
            answer_type: None,
            answer_headers: Vec::new(),
            service: None,
            in_flight: None,
            target: None,
            metered: None,
            excluded: false,
        }
    }

    /// Sets the service that the request belongs to. `path` is the routed one, without a stripped prefix.
    pub(super) fn is_for(&mut self, service: &Arc<Service>, path: &str, headers: &HeaderMap) {
        if self.service.as_ref().is_some_and(|known| known.name == service.name) {
            return;
        }
        self.excluded = service.options.exclude_metrics_paths.iter().any(|excluded| excluded == path);
        self.request_headers = pick(headers, &service.rules.log_request_headers);
        if let Some(address) = service.rules.client_ip_header.as_ref().and_then(|name| headers.get(name)) {
            self.forwarded_for = Some(address.clone());
        }
        self.metered = (!self.excluded).then(|| metrics::InFlight::new(Arc::clone(&service.name)));
        self.service = Some(Arc::clone(service));
    }

    pub(super) fn goes_to(&mut self, in_flight: InFlight) {
        self.target = Some(Arc::clone(in_flight.target().name()));
        self.in_flight = Some(in_flight);
    }

    /// Stops counting the request for its target.
    pub(super) fn leaves_target(&mut self) {
        self.in_flight = None;
    }

    /// Notes that the response is an event stream, or that the connection no longer carries HTTP.
    pub(super) fn becomes_stream(&mut self) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.becomes_stream();
        }
    }

    pub(super) fn answered(&mut self, status: u16, headers: &HeaderMap) {
        self.status = status;
        self.answer_type = headers.get(header::CONTENT_TYPE).cloned();
        if let Some(service) = &self.service {
            self.answer_headers = pick(headers, &service.rules.log_response_headers);
        }
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    fn log(&self, duration: Duration) {
        let address = self.client.address_text();
        log::request(&log::Logged {
            host: &self.host,
            port: self.client.port,
            path: self.uri.path(),
            request_id: text(self.request_id.as_ref()),
            status: self.status,
            service: self.service.as_ref().map_or("", |service| &service.name),
            target: self.target.as_deref().unwrap_or_default(),
            duration,
            method: self.method.as_str(),
            req_content_length: self.content_length,
            req_content_type: text(self.content_type.as_ref()),
            resp_content_length: self.sent,
            resp_content_type: text(self.answer_type.as_ref()),
            client_addr: address,
            client_port: self.client.client_port,
            remote_addr: self.forwarded_for.as_ref().map_or(address, |value| text(Some(value))),
            user_agent: text(self.user_agent.as_ref()),
            proto: protocol(self.version),
            scheme: self.client.scheme.as_str(),
            query: self.uri.query().unwrap_or_default(),
            req_headers: &borrowed(&self.request_headers),
            resp_headers: &borrowed(&self.answer_headers),
        });
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        if let Some(in_flight) = &self.in_flight {
            in_flight.target().stats().observe(self.status, duration);
        }
        // The drain's counter drops after this, so a client that sees the end of its response finds it counted.
        if !self.excluded {
            let service = self.service.as_ref().map_or("", |service| &service.name);
            metrics::observe(service, &self.method, self.status, duration);
        }
        self.log(duration);
        self.client.request_ended();
    }
}

/// As in Go: -1 if unknown, 0 without a body.
fn content_length(headers: &HeaderMap) -> i64 {
    let given = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    given.unwrap_or(if headers.contains_key(header::TRANSFER_ENCODING) { -1 } else { 0 })
}

fn text(value: Option<&HeaderValue>) -> &str {
    value.and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).unwrap_or_default()
}

fn borrowed(headers: &[(HeaderName, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn pick(headers: &HeaderMap, names: &[HeaderName]) -> Vec<(HeaderName, String)> {
    let values = |name: &HeaderName| {
        let all: Vec<_> =
            headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        all.join(",")
    };
    names.iter().map(|name| (name.clone(), values(name))).collect()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}
