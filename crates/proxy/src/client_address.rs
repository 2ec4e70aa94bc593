//! The client's address, with `--trusted-proxies`.
//!
//! A connection from a trusted range comes from another proxy, whose headers name the client. They are read from the
//! right, where the nearest proxy added its entry, up to the first address that is not trusted. Entries further left
//! come from the client and may be forged. `X-Forwarded-For` is used if present, otherwise `Forwarded` (RFC 7239).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;

/// A set of addresses, given as single addresses and as prefixes: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    V4 { network: u32, mask: u32 },
    V6 { network: u128, mask: u128 },
}

impl Ranges {
    /// Parses the values of a flag. The error doesn't name the flag.
    pub fn parse<S: AsRef<str>>(values: &[S]) -> Result<Self, String> {
        values.iter().map(|value| range(value.as_ref())).collect::<Result<_, _>>().map(Ranges)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the set contains an address. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| match (range, address) {
            (Range::V4 { network, mask }, IpAddr::V4(ip)) => u32::from(ip) & mask == *network,
            (Range::V6 { network, mask }, IpAddr::V6(ip)) => u128::from(ip) & mask == *network,
            _ => false,
        })
    }
}

fn range(text: &str) -> Result<Range, String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let invalid = || format!("'{text}' is not an IP address or a range such as 10.0.0.0/8");
    let address: IpAddr = address.parse().map_err(|_| invalid())?;
    let longest: u32 = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => longest,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|n| *n <= longest).ok_or_else(invalid)?
        }
        Some(_) => return Err(invalid()),
    };
    let (range, outside) = match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            (Range::V4 { network: u32::from(ip) & mask, mask }, u32::from(ip) & !mask != 0)
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            (Range::V6 { network: u128::from(ip) & mask, mask }, u128::from(ip) & !mask != 0)
        }
    };
    if outside {
        return Err(format!(
            "'{text}' has bits set outside its /{length} prefix: write {}",
            suggestion(&range, length)
        ));
    }
    Ok(range)
}

fn suggestion(range: &Range, length: u32) -> String {
    match range {
        Range::V4 { network, .. } => format!("{}/{length}", Ipv4Addr::from(*network)),
        Range::V6 { network, .. } => format!("{}/{length}", Ipv6Addr::from(*network)),
    }
}

/// The client's address: the peer's, unless the peer is trusted and names another.
pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &Ranges) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        return peer;
    }
    if headers.contains_key("x-forwarded-for") {
        let hops = headers.get_all("x-forwarded-for").iter().rev();
        walk(peer, hops.flat_map(|value| value.as_bytes().rsplit(|b| *b == b',').map(plain_hop)), trusted)
    } else if headers.contains_key(FORWARDED) {
        let hops = headers.get_all(FORWARDED).iter().rev();
        walk(
            peer,
            hops.flat_map(|value| parts_from_right(value.as_bytes(), b',').into_iter().map(forwarded_hop)),
            trusted,
        )
    } else {
        peer
    }
}

/// Follows the hops, nearest first, up to the first untrusted one. Stops before a hop that can't be parsed.
fn walk(peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>, trusted: &Ranges) -> IpAddr {
    let mut client = peer;
    for hop in hops {
        let Some(hop) = hop else { break };
        client = hop;
        if !trusted.contains(client) {
            break;
        }
    }
    client
}

fn plain_hop(bytes: &[u8]) -> Option<IpAddr> {
    node(std::str::from_utf8(bytes).ok()?.trim_matches([' ', '\t']))
}

/// Parses an address, with or without a port, in brackets or not.
fn node(text: &str) -> Option<IpAddr> {
    let address = if let Ok(ip) = text.parse::<IpAddr>() {
        ip
    } else if let Ok(socket) = text.parse::<SocketAddr>() {
        socket.ip()
    } else {
        text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into()
    };
    Some(address.to_canonical())
}

/// Splits a `Forwarded` header at separators outside quotes, from the right. An unbalanced quote from the client then
/// garbles only the client's part, not what a proxy appended.
fn parts_from_right(value: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut parts, mut end, mut quoted) = (Vec::new(), value.len(), false);
    for (at, byte) in value.iter().enumerate().rev() {
        if *byte == b'"' && !is_escaped(&value[..at]) {
            quoted = !quoted;
        } else if *byte == separator && !quoted {
            parts.push(&value[at + 1..end]);
            end = at;
        }
    }
    parts.push(&value[..end]);
    parts
}

fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

/// The address after `for=` in an element, if it has one: names such as `unknown` and `_hidden` are not addresses.
fn forwarded_hop(element: &[u8]) -> Option<IpAddr> {
    let mut values = parts_from_right(element, b';').into_iter().filter_map(|pair| {
        let (name, value) = std::str::from_utf8(pair).ok()?.trim_matches([' ', '\t']).split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    node(value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = list.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_str(v).unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        map
    }

    fn client(peer: &str, list: &[(&'static str, &str)]) -> String {
        let trusted = Ranges::parse(&["10.0.0.0/8", "fd00::/8"]).unwrap();
        of(peer.parse().unwrap(), &headers(list), &trusted).to_string()
    }

    #[test]
    fn ranges_contain_what_they_say() {
        let ranges = Ranges::parse(&["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"]).unwrap();
        for inside in ["10.255.0.1", "::ffff:10.1.2.3", "192.0.2.1", "2001:db8:ffff::", "::1"] {
            assert!(ranges.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.0", "192.0.2.2", "2001:db9::", "::2", "0.0.0.1"] {
            assert!(!ranges.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(Ranges::parse(&["0.0.0.0/0"]).unwrap().contains("203.0.113.9".parse().unwrap()));
        assert!(!Ranges::parse(&["0.0.0.0/0"]).unwrap().contains("2001:db8::".parse().unwrap()));
        assert!(Ranges::parse(&["::/0"]).unwrap().contains("2001:db8::".parse().unwrap()));
    }

    #[test]
    fn nonsense_is_no_range() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/+8",
            "a",
            "10.0.0.0/8/8",
            " 10.0.0.1",
        ] {
            assert!(Ranges::parse(&[text]).unwrap_err().contains("is not an IP address"), "{text}");
        }
        assert_eq!(
            Ranges::parse(&["10.1.2.3/8"]).unwrap_err(),
            "'10.1.2.3/8' has bits set outside its /8 prefix: write 10.0.0.0/8"
        );
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        assert_eq!(
            client("192.0.2.9", &[("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7")]),
            "192.0.2.9"
        );
        assert_eq!(client("::ffff:192.0.2.9", &[]), "192.0.2.9");
    }

    #[test]
    fn a_trusted_peer_names_the_client() {
        for (list, expected) in [
            (&[][..], "10.0.0.1"),
            (&[("x-forwarded-for", "203.0.113.7")][..], "203.0.113.7"),
            (&[("x-forwarded-for", "198.51.100.1, 203.0.113.7, 10.0.0.2")], "203.0.113.7"),
            (
                &[("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.7,10.0.0.2")],
                "203.0.113.7",
            ),
            (&[("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            (&[("x-forwarded-for", "198.51.100.1, rubbish, 10.0.0.2")], "10.0.0.2"),
            (&[("x-forwarded-for", "")], "10.0.0.1"),
            (&[("x-forwarded-for", "203.0.113.7:4711")], "203.0.113.7"),
            (&[("x-forwarded-for", "[2001:db8::1]:4711")], "2001:db8::1"),
            (&[("x-forwarded-for", "[2001:db8::1]")], "2001:db8::1"),
            (&[("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.8")], "203.0.113.7"),
            (&[("forwarded", "for=203.0.113.7;proto=https")], "203.0.113.7"),
            (
                &[("forwarded", "for=198.51.100.1, FOR=\"[2001:db8::1]:4711\";by=10.0.0.1, for=10.0.0.2")],
                "2001:db8::1",
            ),
            (&[("forwarded", "for=198.51.100.1, for=unknown")], "10.0.0.1"),
            (&[("forwarded", "for=198.51.100.1, proto=https")], "10.0.0.1"),
            (&[("forwarded", "for=198.51.100.1;for=198.51.100.2")], "10.0.0.1"),
            (&[("forwarded", "for=\"198.51.100.1, for=203.0.113.7")], "203.0.113.7"),
            (&[("forwarded", "host=\"a\\\",for=198.51.100.1\";for=203.0.113.7")], "203.0.113.7"),
            (&[("forwarded", "host=\"a,for=198.51.100.1\";for=203.0.113.7")], "203.0.113.7"),
        ] {
            assert_eq!(client("10.0.0.1", list), expected, "{list:?}");
        }
    }

    #[test]
    fn a_forged_part_never_wins_over_what_a_trusted_proxy_wrote() {
        let pieces = [
            "for=",
            "198.51.100.66",
            ",",
            ";",
            "\"",
            "\\",
            " ",
            "[",
            "]",
            "::",
            "10.0.0.7",
            "=",
            "unknown",
            "proto=",
            "\t",
            "é",
        ];
        let mut random = crate::seeded::Random::new(2);
        for _ in 0..20_000 {
            let forged = random.text(&pieces, 12);
            let Ok(forged) = HeaderValue::from_bytes(forged.as_bytes()) else { continue };
            for (name, real) in [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7")] {
                let trusted = Ranges::parse(&["10.0.0.0/8"]).unwrap();
                let one_line = [forged.as_bytes(), b", ", real.as_bytes()].concat();
                let (mut lines, mut line) = (HeaderMap::new(), HeaderMap::new());
                lines.append(name, forged.clone());
                lines.append(name, HeaderValue::from_static(real));
                line.append(name, HeaderValue::from_bytes(&one_line).unwrap());
                for map in [lines, line] {
                    assert_eq!(
                        of("10.0.0.1".parse().unwrap(), &map, &trusted).to_string(),
                        "203.0.113.7",
                        "{map:?}"
                    );
                }
            }
        }
    }
}
