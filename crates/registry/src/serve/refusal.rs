//! Error responses, in the format of the distribution specification.

use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE};
use hyper::{Method, Response, StatusCode};
use serde_json::json;

use super::body::{self, Body};
use crate::digest::{Digest, NotADigest};
use crate::image::Image;

#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    header: Option<(HeaderName, String)>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), header: None }
    }

    pub(super) fn unauthorized() -> Self {
        let header = Some((WWW_AUTHENTICATE, "Basic realm=\"images of a deploy\"".to_owned()));
        Self { header, ..Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required") }
    }

    pub(super) fn read_only() -> Self {
        let header = Some((ALLOW, "GET, HEAD".to_owned()));
        Self {
            header,
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry is read-only")
        }
    }

    pub(super) fn nothing_here() -> Self {
        let message = "this registry serves manifests and blobs only";
        Self::new(StatusCode::NOT_FOUND, "UNSUPPORTED", message)
    }

    pub(super) fn name_invalid(name: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "NAME_INVALID",
            format!("{name:?} is not the name of a repository"),
        )
    }

    pub(super) fn name_unknown(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", format!("no repository {name} is offered"))
    }

    pub(super) fn manifest_unknown(reference: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", format!("there is no manifest {reference}"))
    }

    pub(super) fn not_accepted(image: &Image) -> Self {
        let message = format!("the image is {}, which the Accept header doesn't list", image.root.media_type);
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message)
    }

    pub(super) fn blob_unknown(digest: &Digest) -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", format!("there is no blob {digest}"))
    }

    pub(super) fn digest_invalid(error: &NotADigest) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", error.to_string())
    }

    pub(super) fn beyond(size: u64) -> Self {
        let header = Some((CONTENT_RANGE, format!("bytes */{size}")));
        let message = format!("the range is outside the blob of {size} bytes");
        Self { header, ..Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message) }
    }

    pub(super) fn gone(digest: &Digest) -> Self {
        let message = format!("{digest} can no longer be read");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", message)
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn response(self, method: &Method) -> Response<Body> {
        let errors = json!({ "errors": [{ "code": self.code, "message": self.message, "detail": null }] });
        let mut response = json(self.status, method, errors.to_string());
        if let Some((name, value)) = self.header
            && let Ok(value) = value.try_into()
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

pub(super) fn json(status: StatusCode, method: &Method, text: String) -> Response<Body> {
    let builder = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_LENGTH, text.len());
    let body = if method == Method::HEAD { body::empty() } else { body::text(text) };
    builder.body(body).unwrap_or_else(|_| Response::new(body::empty()))
}

/// Turns a response that can't be built into an error. Only a manifest's media type can be an invalid header.
pub(super) fn built(response: hyper::http::Result<Response<Body>>) -> Result<Response<Body>, Refusal> {
    let fault = |error: hyper::http::Error| error.to_string();
    response.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", fault(error)))
}
