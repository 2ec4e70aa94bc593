//! Responses of the proxy itself.

use http::{HeaderValue, Response, StatusCode, header};

use super::Scheme;
use super::body::{BodySource, Outgoing};
use crate::error_pages::ErrorPages;
use crate::router::without_port;
use crate::service::Binding;

/// Why a request is not sent to a target, or its response not passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// For the page of a stopped service.
    pub(super) message: String,
    /// For the header of the same name. 0 sends none.
    pub(super) retry_after: u32,
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self { status, message: String::new(), retry_after: 0 }
    }
}

pub(super) fn page(pages: &ErrorPages, refusal: &Refusal) -> Response<Outgoing> {
    let body = pages.render(refusal.status, &refusal.message);
    let mut answer = Response::new(Outgoing::new(BodySource::Whole(body)));
    *answer.status_mut() = refusal.status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if refusal.retry_after > 0 {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(refusal.retry_after));
    }
    answer
}

/// A response without a body.
pub(super) fn plain(status: StatusCode) -> Response<Outgoing> {
    let mut answer = Response::new(Outgoing::new(BodySource::Empty));
    *answer.status_mut() = status;
    answer
}

/// Redirects to https, to the canonical host, or to both at once. Returns `None` if the request needs no redirect.
pub(super) fn redirect(
    binding: &Binding,
    scheme: Scheme,
    host: &str,
    path: &str,
) -> Option<Response<Outgoing>> {
    let options = &binding.service.options;
    let to_https = binding.tls && binding.redirect && scheme == Scheme::Http;
    let asked = without_port(host);
    let canonical = &options.canonical_host;
    let elsewhere = !canonical.is_empty() && !canonical.eq_ignore_ascii_case(asked);
    if !to_https && !elsewhere {
        return None;
    }
    let scheme = if to_https { "https" } else { scheme.as_str() };
    let host = if canonical.is_empty() { asked } else { canonical };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut answer = plain(StatusCode::MOVED_PERMANENTLY);
    let location = HeaderValue::from_str(&format!("{scheme}://{host}{path}")).ok()?;
    answer.headers_mut().insert(header::LOCATION, location);
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(answer)
}
