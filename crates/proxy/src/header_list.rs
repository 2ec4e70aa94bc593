//! Headers whose value is a list of tokens.

use http::HeaderMap;
use http::header::AsHeaderName;

/// Whether a header lists a token, in any of its values.
pub(crate) fn has_token(headers: &HeaderMap, name: impl AsHeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}
