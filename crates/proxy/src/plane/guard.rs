//! Checks before routing: refuses requests that two parties could interpret differently.

use std::net::Ipv6Addr;

use http::header;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};

/// Returns the host that a request is for, or the status to refuse it with.
///
/// Afterwards, the request has exactly one `Host` header, or none if an HTTP/1.0 client sent none. If the URI has an
/// authority, that is the host (RFC 9112, section 3.2).
pub(super) fn host<B>(request: &mut Request<B>) -> Result<HeaderValue, StatusCode> {
    check_framing(request.version(), request.headers())?;
    if *request.method() == Method::CONNECT {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let mut given = request.headers().get_all(header::HOST).iter();
    let (first, second) = (given.next(), given.next());
    if second.is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    let host = match request.uri().authority() {
        Some(authority) if authority.as_str().contains('@') => return Err(StatusCode::BAD_REQUEST),
        Some(authority) => HeaderValue::from_str(authority.as_str()).map_err(|_| StatusCode::BAD_REQUEST)?,
        None => match first {
            Some(host) => host.clone(),
            // HTTP/1.0 has no `Host`.
            None if request.version() == Version::HTTP_10 => return Ok(HeaderValue::from_static("")),
            None => return Err(StatusCode::BAD_REQUEST),
        },
    };
    if !is_host(&host) {
        return Err(StatusCode::BAD_REQUEST);
    }
    if first != Some(&host) {
        request.headers_mut().insert(header::HOST, host.clone());
    }
    Ok(host)
}

/// Checks that the length of the body is given once and in one way.
pub(super) fn check_framing(version: Version, headers: &HeaderMap) -> Result<(), StatusCode> {
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        let chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if version != Version::HTTP_11
            || headers.contains_key(header::CONTENT_LENGTH)
            || encodings.next().is_some()
        {
            return Err(StatusCode::BAD_REQUEST);
        }
        if !chunked {
            return Err(StatusCode::NOT_IMPLEMENTED);
        }
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok();
    let sound = |value: &HeaderValue| value.to_str().is_ok_and(digits);
    if lengths.next().is_some() || length.is_some_and(|length| !sound(length)) {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(())
}

/// Whether a `Host` header is empty, or a host with an optional port.
fn is_host(host: &HeaderValue) -> bool {
    let Ok(text) = host.to_str() else { return false };
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, rest)) = rest.split_once(']') else { return false };
            (address.parse::<Ipv6Addr>().is_ok(), rest)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            (text[..end].bytes().all(name), &text[end..])
        }
    };
    let port = |port: &str| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    host && (rest.is_empty() || rest.strip_prefix(':').is_some_and(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(uri: &str, headers: &[(&str, &str)]) -> Result<String, u16> {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        let host = host(&mut request).map_err(|status| status.as_u16())?;
        assert_eq!(request.headers().get_all("host").iter().collect::<Vec<_>>(), [&host]);
        Ok(host.to_str().unwrap().to_owned())
    }

    #[test]
    fn one_host_is_asked_for() {
        assert_eq!(refused("/", &[("host", "a.test:80")]), Ok("a.test:80".into()));
        assert_eq!(refused("/", &[("host", "[::1]:80")]), Ok("[::1]:80".into()));
        assert_eq!(refused("http://b.test/x", &[("host", "a.test")]), Ok("b.test".into()));
        assert_eq!(refused("http://b.test/x", &[]), Ok("b.test".into()));
        assert_eq!(refused("/", &[]), Err(400));
        assert_eq!(refused("/", &[("host", "a.test"), ("host", "a.test")]), Err(400));
        for host in ["a.test/x", "a@b", "a b", "a,b", "a.test:80:80", "a.test:x", "%61.test", "[::1", "[x]"] {
            assert_eq!(refused("/", &[("host", host)]), Err(400), "{host}");
        }
        assert_eq!(refused("http://u@b.test/", &[]), Err(400));
    }

    #[test]
    fn one_length_is_said() {
        let with = |headers: &[(&str, &str)]| refused("http://a.test/", headers).err();
        assert_eq!(with(&[("content-length", "5")]), None);
        assert_eq!(with(&[("transfer-encoding", "chunked")]), None);
        assert_eq!(with(&[("transfer-encoding", "chunked"), ("content-length", "5")]), Some(400));
        assert_eq!(with(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]), Some(400));
        assert_eq!(with(&[("transfer-encoding", "gzip, chunked")]), Some(501));
        assert_eq!(with(&[("transfer-encoding", "xchunked")]), Some(501));
        assert_eq!(with(&[("content-length", "5"), ("content-length", "5")]), Some(400));
        for length in ["+5", "-5", "5, 5", "0x5", "", "99999999999999999999"] {
            assert_eq!(with(&[("content-length", length)]), Some(400), "{length}");
        }
    }
}
