//! The built-in error pages: one layout, five texts.

use bytes::Bytes;
use http::StatusCode;

use super::template::escape;

const LAYOUT: &str = include_str!("layout.html");

pub(super) fn page(status: StatusCode, message: &str) -> Bytes {
    let reason = status.canonical_reason().unwrap_or_default();
    let Some((title, text)) = content(status) else {
        return format!("<h1>{} {reason}</h1>", status.as_u16()).into();
    };
    let text = match (status, message) {
        (StatusCode::SERVICE_UNAVAILABLE, message) if !message.is_empty() => escape(message),
        _ => text.to_owned(),
    };
    let number = status.as_str();
    // The message comes last, so that placeholders in it are not replaced.
    LAYOUT.replace("@STATUS@", number).replace("@TITLE@", title).replace("@TEXT@", &text).into()
}

fn content(status: StatusCode) -> Option<(&'static str, &'static str)> {
    Some(match status {
        StatusCode::NOT_FOUND => (
            "Not Found",
            "<strong>This page doesn’t exist.</strong> Check the address for a typo, or go back to where you came from.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "Request Too Large",
            "<strong>That is more than this site accepts.</strong> Try again with a smaller file.",
        ),
        StatusCode::BAD_GATEWAY => (
            "Bad Gateway",
            "<strong>The app sent an invalid response.</strong> Please try again in a moment.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => (
            "Service Unavailable",
            "<strong>This site is unavailable for the moment.</strong> It may be under maintenance. Please try again later.",
        ),
        StatusCode::GATEWAY_TIMEOUT => (
            "Gateway Timeout",
            "<strong>The app took too long to respond.</strong> Please try again in a moment.",
        ),
        _ => return None,
    })
}
