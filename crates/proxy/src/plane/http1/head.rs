//! The head of a client's request.

use bytes::BytesMut;
use http::header::{self, HeaderMap};
use http::{Method, Request, StatusCode, Uri, Version};
use httparse::{ParserConfig, Status};

use crate::header_list::has_token;
use crate::plane::guard::check_framing;
use crate::plane::wire::Framing;
use crate::plane::wire::head::{self, Fields, MAX_HEAD, place};

/// The longest target of a request, in bytes.
const MAX_TARGET: usize = u16::MAX as usize - 1;

/// A request without its body, and what its head says about the connection.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: Request<()>,
    pub(super) framing: Framing,
    /// Whether the client may send another request on this connection.
    pub(super) keeps_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(super) expects: bool,
    pub(super) takes_trailers: bool,
}

/// Whether the bytes after the first `known` may have completed a head.
pub(super) fn may_be_complete(buffer: &[u8], known: usize) -> bool {
    let new = &buffer[known.saturating_sub(3).min(buffer.len())..];
    new.windows(2).any(|two| two == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}

/// Takes a head from the buffer. Returns `None` if it is incomplete. The error is the status to respond with.
pub(super) fn parse(buffer: &mut BytesMut) -> Result<Option<Head>, StatusCode> {
    let mut room = head::room();
    let mut parsed = httparse::Request::new(&mut []);
    let status = ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, buffer, &mut room);
    let length = match status {
        Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(Status::Partial) if buffer.len() <= MAX_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        Err(_) => return Err(StatusCode::BAD_REQUEST),
    };
    let target = parsed.path.unwrap_or_default();
    if target.len() > MAX_TARGET {
        return Err(StatusCode::URI_TOO_LONG);
    }
    let target = place(buffer, target.as_bytes());
    let bad = |_| StatusCode::BAD_REQUEST;
    let method = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes());
    let method = method.map_err(|_| StatusCode::BAD_REQUEST)?;
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let fields = Fields::of(buffer, parsed.headers).map_err(bad)?;
    let bytes = buffer.split_to(length).freeze();
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_maybe_shared(bytes.slice(target)).map_err(|_| StatusCode::BAD_REQUEST)?;
    *request.method_mut() = method;
    *request.version_mut() = version;
    *request.headers_mut() = fields.into_map(&bytes).map_err(bad)?;
    if version == Version::HTTP_10 && request.headers().contains_key(header::TRANSFER_ENCODING) {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(Some(of(request)))
}

fn of(request: Request<()>) -> Head {
    let (version, headers) = (request.version(), request.headers());
    let connection = |token: &str| has_token(headers, header::CONNECTION, token);
    // A request with an invalid length gets a response like any refused request, and is the last on its connection.
    let sound = check_framing(version, headers).is_ok() && *request.method() != Method::CONNECT;
    let framing = if sound { framing(headers) } else { Framing::ENDED };
    let keeps_alive = match version {
        Version::HTTP_11 => !connection("close"),
        _ => connection("keep-alive") && !connection("close"),
    };
    let expects = version == Version::HTTP_11
        && !framing.is_ended()
        && headers.get(header::EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let takes_trailers = has_token(headers, header::TE, "trailers");
    Head { framing, keeps_alive: sound && keeps_alive, expects, takes_trailers, request }
}

fn framing(headers: &HeaderMap) -> Framing {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Framing::CHUNKED;
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    Framing::Length(length.unwrap_or(0))
}

/// Whether a request's head can be parsed. Checks that the result doesn't depend on how the bytes arrive, that no
/// complete head is left waiting, and that the bytes after the head stay in the buffer.
///
/// # Panics
/// If a check fails.
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::panic, unreachable_pub, reason = "a property for tests, which bin/fuzz reaches too")]
pub fn read_the_same_in_pieces(bytes: &[u8]) -> bool {
    let told = |parsed: &Result<Option<Head>, StatusCode>| format!("{parsed:?}");
    let mut whole = BytesMut::from(bytes);
    let at_once = parse(&mut whole);
    let mut buffer = BytesMut::new();
    let in_pieces = bytes.iter().find_map(|byte| {
        let known = buffer.len();
        buffer.extend_from_slice(&[*byte]);
        let due = known == 0 || buffer.len() > MAX_HEAD || may_be_complete(&buffer, known);
        let parsed = if due { parse(&mut buffer) } else { Ok(None) };
        (!matches!(parsed, Ok(None))).then_some(parsed)
    });
    match (&at_once, &in_pieces) {
        (Ok(Some(_)), Some(parsed @ Ok(Some(_)))) => {
            assert_eq!(told(&at_once), told(parsed));
            assert!(bytes.ends_with(&whole) && buffer.is_empty());
        }
        // An invalid head can be refused before it is complete.
        (Err(_), Some(Err(_)) | None) | (Ok(None), None) => {}
        _ => panic!("whole {at_once:?}, in pieces {in_pieces:?}"),
    }
    matches!(at_once, Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, StatusCode> {
        parse(&mut BytesMut::from(text))
    }

    fn sound(text: &str) -> Head {
        head(text).unwrap().unwrap()
    }

    #[test]
    fn garbled_heads_are_the_same_however_they_come() {
        let mut random = crate::seeded::Random::new(8);
        let mut read = 0_u32;
        for _ in 0..2_000 {
            let mut head = b"POST /a?b=%2F HTTP/1.1\r\nHost: a.test\nX-A:\r\nContent-Length: 3\r\nTE: trailers\r\n\r\nabcGET".to_vec();
            random.mutate(&mut head);
            read += u32::from(read_the_same_in_pieces(&head));
        }
        assert!(read > 50, "only {read} were read");
    }

    #[test]
    fn a_head_is_taken_out_and_the_rest_stays() {
        let mut buffer = BytesMut::from(
            "POST /a?b HTTP/1.1\r\nHost: a.test\r\nX-A:  1 \r\nContent-Length: 3\r\n\r\nabcGET",
        );
        let head = parse(&mut buffer).unwrap().unwrap();
        assert_eq!(&buffer[..], b"abcGET");
        assert_eq!(
            (head.request.method(), head.request.uri().to_string()),
            (&Method::POST, "/a?b".to_owned())
        );
        assert_eq!(
            (&head.request.headers()["x-a"], head.framing),
            (&"1".parse().unwrap(), Framing::Length(3))
        );
    }

    #[test]
    fn connections_are_kept_as_the_version_and_the_client_say() {
        for (version, connection, kept) in [
            ("1.1", "x", true),
            ("1.1", "TE, Close", false),
            ("1.0", "x", false),
            ("1.0", "Keep-Alive", true),
            ("1.0", "keep-alive, close", false),
        ] {
            let head = sound(&format!("GET / HTTP/{version}\r\nConnection: {connection}\r\n\r\n"));
            assert_eq!(head.keeps_alive, kept, "{version} {connection}");
        }
    }

    #[test]
    fn an_unsound_length_ends_the_connection() {
        for lengths in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 99999999999999999999999",
            "Transfer-Encoding: gzip, chunked",
        ] {
            let head = sound(&format!("POST / HTTP/1.1\r\n{lengths}\r\n\r\n"));
            assert!(!head.keeps_alive && head.framing.is_ended(), "{lengths}");
        }
    }

    #[test]
    fn what_is_no_request_gets_a_status() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_HEAD));
        for (text, status) in [
            ("GET / HTTP/2.0\r\n\r\n", 400),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nX A: 1\r\n\r\n", 400),
            ("GET <> HTTP/1.1\r\n\r\n", 400),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            (&long, 431),
        ] {
            assert_eq!(head(text).unwrap_err().as_u16(), status, "{text}");
        }
        assert!(head("GET / HTTP/1.1\r\nHost: a").unwrap().is_none());
    }

    #[test]
    fn the_end_of_a_head_is_seen_however_it_comes() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for known in 0..text.len() {
            assert!(may_be_complete(text, known) && !may_be_complete(&text[..text.len() - 1], known));
        }
        assert!(may_be_complete(b"GET / HTTP/1.1\n\n", 15));
    }
}
