//! `--set-request-header` and `--set-response-header`: headers that a service sets, replaces or removes.
//!
//! A value is `Name: text`. Without a text, the header is removed. Headers that belong to the connection, the message
//! framing or the proxy itself can't be set, so that no rule can break a message or forge what targets trust.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The rules for one direction, in the given order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules(Vec<(HeaderName, Option<HeaderValue>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `--set-request-header`: on the way to the target.
    Request,
    /// `--set-response-header`: on the way to the client.
    Response,
}

impl HeaderRules {
    /// Parses the values of the flag. The error names the flag and the header, but never the value.
    pub fn parse<S: AsRef<str>>(direction: Direction, values: &[S]) -> Result<Self, String> {
        let rules = values.iter().map(|value| rule(direction, value.as_ref()));
        rules.collect::<Result<_, _>>().map(HeaderRules)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            match value {
                Some(value) => drop(headers.insert(name, value.clone())),
                None => drop(headers.remove(name)),
            }
        }
    }
}

fn rule(direction: Direction, text: &str) -> Result<(HeaderName, Option<HeaderValue>), String> {
    let flag = match direction {
        Direction::Request => "set-request-header",
        Direction::Response => "set-response-header",
    };
    let (name, value) = text.split_once(':').ok_or_else(|| format!("{flag}: expected 'Name: value'"))?;
    let name = HeaderName::try_from(name).map_err(|_| format!("{flag}: {name:?} is not a header name"))?;
    if is_ours(&name) || (direction == Direction::Request && is_trusted(&name)) {
        return Err(format!("{flag}: '{name}' is set by the proxy and can't be changed"));
    }
    let value = value.trim_matches([' ', '\t']);
    if value.is_empty() {
        return Ok((name, None));
    }
    let value = HeaderValue::from_str(value).map_err(|_| {
        format!("{flag}: the value of '{name}' contains characters that aren't allowed in a header")
    })?;
    Ok((name, Some(value)))
}

/// Hop-by-hop headers and message framing.
fn is_ours(name: &HeaderName) -> bool {
    const OURS: [HeaderName; 9] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::EXPECT,
    ];
    OURS.contains(name) || name == "keep-alive" || name == "proxy-connection"
}

fn is_trusted(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "host"
            | "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-proto"
            | "x-forwarded-host"
            | "x-kamal-target"
            | "x-request-start"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn map(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn sets_replaces_and_removes() {
        let rules = HeaderRules::parse(
            Direction::Response,
            &[
                "Strict-Transport-Security: max-age=63072000; includeSubDomains",
                "X-Frame-Options:DENY",
                "Server:",
                "X-Powered-By: ",
            ],
        )
        .unwrap();
        let mut headers = map(&[
            ("server", "Puma"),
            ("x-powered-by", "a"),
            ("x-powered-by", "b"),
            ("x-frame-options", "ALLOW"),
            ("etag", "1"),
        ]);
        rules.apply(&mut headers);
        assert_eq!(
            headers,
            map(&[
                ("strict-transport-security", "max-age=63072000; includeSubDomains"),
                ("x-frame-options", "DENY"),
                ("etag", "1")
            ])
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for (direction, text, error) in [
            (Direction::Request, "X-A", "set-request-header: expected 'Name: value'"),
            (Direction::Request, "X A: 1", "set-request-header: \"X A\" is not a header name"),
            (Direction::Request, ": 1", "set-request-header: \"\" is not a header name"),
            (
                Direction::Request,
                "Host: other",
                "set-request-header: 'host' is set by the proxy and can't be changed",
            ),
            (
                Direction::Request,
                "X-Forwarded-For: 1",
                "set-request-header: 'x-forwarded-for' is set by the proxy and can't be changed",
            ),
            (
                Direction::Response,
                "Content-Length: 1",
                "set-response-header: 'content-length' is set by the proxy and can't be changed",
            ),
            (
                Direction::Response,
                "transfer-encoding:",
                "set-response-header: 'transfer-encoding' is set by the proxy and can't be changed",
            ),
            (
                Direction::Response,
                "Keep-Alive: 5",
                "set-response-header: 'keep-alive' is set by the proxy and can't be changed",
            ),
            (
                Direction::Response,
                "X-A: 1\r\nSet-Cookie: stolen",
                "set-response-header: the value of 'x-a' contains characters that aren't allowed in a header",
            ),
        ] {
            assert_eq!(HeaderRules::parse(direction, &[text]).unwrap_err(), error);
        }
        assert!(HeaderRules::parse(Direction::Response, &["Host: odd but harmless"]).is_ok());
    }

    #[test]
    fn hostile_values_can_not_split_a_message() {
        let pieces = ["X-A", ":", " ", "\r\n", "\n", "\0", "value", "é", "\t", "Content-Length", "a,b"];
        let mut random = crate::seeded::Random::new(3);
        for _ in 0..10_000 {
            let text = random.text(&pieces, 8);
            let Ok(rules) = HeaderRules::parse(Direction::Response, &[&text]) else { continue };
            let mut headers = HeaderMap::new();
            rules.apply(&mut headers);
            assert!(!headers.contains_key("content-length"), "{text:?}");
            for value in headers.values() {
                assert!(!value.as_bytes().iter().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{text:?}");
            }
        }
    }
}
