//! Headers of requests to targets and of responses to clients.

use std::time::SystemTime;

use http::header::{self, Entry};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::client::Client;
use crate::header_list::has_token;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TARGET: HeaderName = HeaderName::from_static("x-kamal-target");
/// Headers that targets trust because the proxy sets them.
const TRUSTED: [HeaderName; 4] = [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST, TARGET];
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that belong to one connection and are never passed on.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes headers that belong to the connection on which a message arrived.
///
/// `Connection` may name further headers, but not those that say where a message goes and how long it is. Otherwise,
/// a client could make two proxies interpret one message differently.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Whether `TE` asks for trailers, the only value that a proxy passes on.
pub(super) fn wants_trailers(headers: &HeaderMap) -> bool {
    has_token(headers, header::TE, "trailers")
}

/// The protocol that a request asks to switch to, if any.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrade = headers.get(header::UPGRADE)?;
    let asks = has_token(headers, header::CONNECTION, "upgrade");
    // With h2c, a client could send requests past all routing.
    let h2c = upgrade.as_bytes().to_ascii_lowercase().starts_with(b"h2c");
    (asks && !h2c).then(|| upgrade.clone())
}

/// The origin of a request, which the proxy describes to targets.
pub(super) struct Origin<'a> {
    pub(super) client: &'a Client,
    /// Whether the client's `X-Forwarded-*` headers are trusted.
    pub(super) forward: bool,
    pub(super) host: &'a HeaderValue,
    pub(super) target: &'a HeaderValue,
    /// A header with the client's address that replaces `X-Forwarded-For`.
    pub(super) client_ip_header: Option<&'a HeaderName>,
    pub(super) trailers: bool,
    pub(super) now: SystemTime,
}

/// Sets the proxy's headers on a request whose hop-by-hop headers have been removed.
pub(super) fn to_target(headers: &mut HeaderMap, origin: &Origin<'_>, new_id: impl FnOnce() -> HeaderValue) {
    let Origin { client, forward, .. } = *origin;
    headers.remove(header::FORWARDED);
    // The proxy itself sends `100 Continue` when it reads the body.
    headers.remove(header::EXPECT);
    if origin.host.is_empty() {
        // HTTP/1.0 clients may omit it, but targets get HTTP/1.1.
        headers.insert(header::HOST, origin.target.clone());
    }
    if origin.trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Entry::Vacant(entry) = headers.entry(REQUEST_ID) {
        entry.insert(new_id());
    }
    if let Entry::Vacant(entry) = headers.entry(REQUEST_START) {
        entry.insert(request_start(origin.now));
    }
    if let Some(address) = origin.client_ip_header.and_then(|name| headers.get(name)).cloned() {
        headers.insert(FORWARDED_FOR, address);
    }
    if forward {
        append(headers, FORWARDED_FOR, client.address_header());
        append(headers, TARGET, origin.target);
        let proto = HeaderValue::from_static(client.scheme.as_str());
        headers.entry(FORWARDED_PROTO).or_insert(proto);
        if let Entry::Vacant(entry) = headers.entry(FORWARDED_HOST) {
            entry.insert(origin.host.clone());
        }
    } else {
        remove_lookalikes(headers);
        headers.insert(FORWARDED_FOR, client.address_header().clone());
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(client.scheme.as_str()));
        headers.insert(FORWARDED_HOST, origin.host.clone());
        headers.insert(TARGET, origin.target.clone());
    }
}

/// Removes other spellings of the headers that the proxy sets. Apps that get headers as CGI variables can't tell
/// `X_Forwarded_For` from `X-Forwarded-For`.
fn remove_lookalikes(headers: &mut HeaderMap) {
    let reads_like = |name: &str, own: &HeaderName| {
        name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte }).eq(own.as_str().bytes())
    };
    let is_lookalike = |name: &&HeaderName| {
        let name = name.as_str();
        name.contains('_') && TRUSTED.iter().any(|own| reads_like(name, own))
    };
    let lookalikes: Vec<HeaderName> = headers.keys().filter(is_lookalike).cloned().collect();
    for name in lookalikes {
        headers.remove(name);
    }
}

/// Joins the existing values and the new one: `a, b, value`.
fn append(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value.clone());
        return;
    }
    let mut joined: Vec<u8> = Vec::new();
    for part in headers.get_all(&name).iter().chain([value]) {
        if !joined.is_empty() {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(part.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(name, joined);
    }
}

fn request_start(now: SystemTime) -> HeaderValue {
    let millis = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    HeaderValue::from_str(&format!("t={millis}")).unwrap_or_else(|_| HeaderValue::from_static("t=0"))
}

/// Adds the prefix to the path of cookies, except for cookies of another domain.
pub(super) fn scope_cookies(headers: &mut HeaderMap, prefix: &str, host: &str) {
    let Entry::Occupied(mut cookies) = headers.entry(header::SET_COOKIE) else { return };
    for cookie in cookies.iter_mut() {
        let scoped = cookie.to_str().ok().and_then(|text| scoped(text, prefix, host));
        if let Some(value) = scoped.and_then(|text| HeaderValue::from_str(&text).ok()) {
            *cookie = value;
        }
    }
}

fn scoped(cookie: &str, prefix: &str, host: &str) -> Option<String> {
    let mut path = "";
    let mut kept = Vec::new();
    for (index, part) in cookie.split(';').enumerate() {
        let (name, value) = part.split_once('=').map_or((part.trim(), ""), |(n, v)| (n.trim(), v.trim()));
        if index > 0 && name.eq_ignore_ascii_case("domain") && !value.is_empty() {
            let domain = crate::router::without_port(value.trim_start_matches('.'));
            if !domain.eq_ignore_ascii_case(host) {
                return None;
            }
        }
        if index > 0 && name.eq_ignore_ascii_case("path") {
            path = value;
        } else {
            kept.push(part.trim());
        }
    }
    let path = path.trim_matches('/');
    let joined = if path.is_empty() { prefix.to_owned() } else { format!("{prefix}/{path}") };
    let (first, rest) = kept.split_first()?;
    let rest: String = rest.iter().map(|part| format!("; {part}")).collect();
    Some(format!("{first}; Path={joined}{rest}"))
}

pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then(|| value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Scheme;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn told(incoming: &[(&'static str, &str)], forward: bool) -> HeaderMap {
        let mut map = headers(incoming);
        let client = Client::new(([10, 0, 0, 9], 1).into(), 80, Scheme::Http, 0);
        remove_hop_by_hop(&mut map);
        let origin = Origin {
            client: &client,
            forward,
            host: &HeaderValue::from_static("a.test:81"),
            target: &HeaderValue::from_static("web:3000"),
            client_ip_header: None,
            trailers: false,
            now: SystemTime::UNIX_EPOCH,
        };
        to_target(&mut map, &origin, || HeaderValue::from_static("new"));
        map
    }

    #[test]
    fn untrusted_headers_are_replaced() {
        let map = told(
            &[
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil"),
                ("x-kamal-target", "other"),
                ("forwarded", "for=1.1.1.1"),
                ("x_forwarded_for", "1.1.1.1"),
                ("x-forwarded_proto", "https"),
                ("x_own", "kept"),
                ("expect", "100-continue"),
            ],
            false,
        );
        assert_eq!(map["x-forwarded-for"], "10.0.0.9");
        assert_eq!(map["x-forwarded-proto"], "http");
        assert_eq!(map["x-forwarded-host"], "a.test:81");
        assert_eq!(map["x-kamal-target"], "web:3000");
        assert_eq!(map["x_own"], "kept");
        assert!(!map.contains_key("x_forwarded_for") && !map.contains_key("x-forwarded_proto"));
        assert_eq!(map["x-request-start"], "t=0");
        assert_eq!(map["x-request-id"], "new");
        assert!(!map.contains_key("forwarded") && !map.contains_key("expect"));
    }

    #[test]
    fn trusted_headers_are_kept_and_extended() {
        let map = told(
            &[
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-for", "2.2.2.2"),
                ("x-forwarded-proto", "https"),
                ("x-kamal-target", "other:1"),
                ("x-request-id", "kept"),
                ("x-request-start", "t=5"),
            ],
            true,
        );
        assert_eq!(map["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 10.0.0.9");
        assert_eq!(map.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(map["x-forwarded-proto"], "https");
        assert_eq!(map["x-forwarded-host"], "a.test:81");
        assert_eq!(map["x-kamal-target"], "other:1, web:3000");
        assert_eq!(
            (&map["x-request-id"], &map["x-request-start"]),
            (&"kept".parse().unwrap(), &"t=5".parse().unwrap())
        );
    }

    #[test]
    fn a_client_cannot_name_away_what_the_proxy_sets() {
        let map = told(
            &[
                ("connection", "close, x-forwarded-for, x-secret, host, content-length"),
                ("x-forwarded-for", "1.1.1.1"),
                ("x-secret", "1"),
                ("host", "a.test"),
                ("content-length", "3"),
                ("te", "gzip"),
                ("upgrade", "h2c"),
                ("proxy-connection", "keep-alive"),
            ],
            false,
        );
        assert_eq!(map["x-forwarded-for"], "10.0.0.9");
        assert_eq!(
            (&map["host"], &map["content-length"]),
            (&"a.test".parse().unwrap(), &"3".parse().unwrap())
        );
        for gone in ["connection", "x-secret", "te", "upgrade", "proxy-connection"] {
            assert!(!map.contains_key(gone), "{gone}");
        }
    }

    #[test]
    fn an_upgrade_needs_both_headers_and_is_never_h2c() {
        let asks = |all: &[(&'static str, &str)]| upgrade(&headers(all)).is_some();
        assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]));
        assert!(!asks(&[("connection", "keep-alive"), ("upgrade", "websocket")]));
        assert!(!asks(&[("connection", "upgrade"), ("upgrade", "H2C")]));
    }

    #[test]
    fn cookies_get_the_prefix() {
        let of = |cookie: &str| scoped(cookie, "/api", "a.test").unwrap_or_else(|| cookie.to_owned());
        assert_eq!(of("a=1"), "a=1; Path=/api");
        assert_eq!(of("a=1; Path=/; HttpOnly"), "a=1; Path=/api; HttpOnly");
        assert_eq!(of("a=1; HttpOnly; path=/admin/"), "a=1; Path=/api/admin; HttpOnly");
        assert_eq!(of("a=1; Domain=a.test:80; Path=/x"), "a=1; Path=/api/x; Domain=a.test:80");
        assert_eq!(of("a=1; Domain=test; Path=/x"), "a=1; Domain=test; Path=/x");
    }

    #[test]
    fn cookies_of_a_request() {
        let map = headers(&[("cookie", "a=1; kamal-writer=5"), ("cookie", "b=\"2\"")]);
        assert_eq!(cookie(&map, "kamal-writer"), Some("5"));
        assert_eq!(cookie(&map, "b"), Some("2"));
        assert_eq!(cookie(&map, "c"), None);
    }
}
