//! The PROXY protocol, versions 1 and 2: the header in which a load balancer passes on its client's address.
//!
//! With `--proxy-protocol`, the plane calls [`read`] on a new connection, before TLS or HTTP. It reads exactly the
//! header and not a byte more, so that the stream can be handed on as it is. A connection without a valid header is
//! refused: accepting both kinds would let every client choose its own address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The source of a connection, according to a valid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The balancer itself (a health check), or a kind of connection without an address: the peer's address counts.
    Balancer,
    /// The client that the balancer forwards.
    Client(SocketAddr),
}

/// Why a header was refused. The connection is closed without a response.
#[derive(Debug)]
pub enum Error {
    /// The bytes are not a header, for this reason.
    Malformed(&'static str),
    TimedOut(Duration),
    /// The connection ended or failed before the header was complete.
    Io(io::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Malformed(what) => write!(f, "invalid PROXY header: {what}"),
            Error::TimedOut(limit) => write!(f, "no PROXY header within {} ms", limit.as_millis()),
            Error::Io(e) => write!(f, "the connection ended before its PROXY header: {e}"),
        }
    }
}

impl std::error::Error for Error {}

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its line end.
const LONGEST_LINE: usize = 107;
/// Version 2 allows any number of extensions. No balancer sends a header longer than this.
const LONGEST_BODY: usize = 4096;

/// Reads the header from the start of a connection, within `limit`.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S, limit: Duration) -> Result<Source, Error> {
    tokio::time::timeout(limit, read_header(stream)).await.unwrap_or(Err(Error::TimedOut(limit)))
}

async fn read_header<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Source, Error> {
    // The shortest header of either version is longer than the signature.
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await.map_err(Error::Io)?;
    if start == SIGNATURE {
        read_binary(stream).await
    } else if start.starts_with(b"PROXY ") {
        read_line(stream, &start).await
    } else {
        Err(Error::Malformed("the connection doesn't start with a PROXY header"))
    }
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut S, start: &[u8]) -> Result<Source, Error> {
    let mut line = Vec::with_capacity(LONGEST_LINE);
    line.extend_from_slice(start);
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(Error::Malformed("the line is too long"));
        }
        line.push(stream.read_u8().await.map_err(Error::Io)?);
    }
    parse_line(&line[..line.len() - 2])
}

async fn read_binary<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Source, Error> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(Error::Io)?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if length > LONGEST_BODY {
        return Err(Error::Malformed("the header is too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(Error::Io)?;
    parse_binary(head[0], head[1], &body)
}

/// Parses a line of version 1 without its line end: `PROXY TCP4 192.0.2.1 198.51.100.7 56324 443`.
fn parse_line(line: &[u8]) -> Result<Source, Error> {
    let line = std::str::from_utf8(line).map_err(|_| Error::Malformed("the line is not text"))?;
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(Source::Balancer),
        ["PROXY", "TCP4", from, to, port, to_port] => {
            let (from, _to): (Ipv4Addr, Ipv4Addr) = (address(from)?, address(to)?);
            port_number(to_port)?;
            Ok(Source::Client((from, port_number(port)?).into()))
        }
        ["PROXY", "TCP6", from, to, port, to_port] => {
            let (from, _to): (Ipv6Addr, Ipv6Addr) = (address(from)?, address(to)?);
            port_number(to_port)?;
            Ok(client(IpAddr::V6(from), port_number(port)?))
        }
        _ => Err(Error::Malformed("the line is malformed")),
    }
}

fn address<A: std::str::FromStr>(word: &str) -> Result<A, Error> {
    word.parse().map_err(|_| Error::Malformed("an address is invalid"))
}

fn port_number(word: &str) -> Result<u16, Error> {
    let plain = !word.is_empty()
        && word.bytes().all(|b| b.is_ascii_digit())
        && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain).ok_or(Error::Malformed("a port is invalid"))
}

/// Parses version 2 after its signature. `body` contains the addresses and extensions.
fn parse_binary(version_and_command: u8, family: u8, body: &[u8]) -> Result<Source, Error> {
    match version_and_command {
        0x20 => return Ok(Source::Balancer),
        0x21 => {}
        0x22..=0x2f => return Err(Error::Malformed("the command is unknown")),
        _ => return Err(Error::Malformed("the version is unknown")),
    }
    match family {
        0x11 => {
            let [a, b, c, d, _, _, _, _, high, low] = *first(body)?;
            fits(body, 12)?;
            Ok(client(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low])))
        }
        0x21 => {
            fits(body, 36)?;
            let from = Ipv6Addr::from(*first::<16>(body)?);
            let [high, low] = *first::<2>(&body[32..])?;
            Ok(client(from.into(), u16::from_be_bytes([high, low])))
        }
        // No address (0x00), datagrams and Unix sockets: the specification says to use the real connection's.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Ok(Source::Balancer),
        _ => Err(Error::Malformed("the address family is unknown")),
    }
}

fn first<const N: usize>(body: &[u8]) -> Result<&[u8; N], Error> {
    body.first_chunk().ok_or(Error::Malformed("the addresses are incomplete"))
}

fn fits(body: &[u8], needed: usize) -> Result<(), Error> {
    if body.len() < needed {
        return Err(Error::Malformed("the addresses are incomplete"));
    }
    Ok(())
}

fn client(ip: IpAddr, port: u16) -> Source {
    Source::Client(SocketAddr::new(ip.to_canonical(), port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    async fn read_from(bytes: &[u8]) -> (Result<Source, Error>, Vec<u8>) {
        let mut stream = bytes;
        let result = read(&mut stream, Duration::from_secs(5)).await;
        (result, stream.to_vec())
    }

    fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        header.extend(body);
        header
    }

    #[tokio::test]
    async fn reads_the_header_and_leaves_what_follows() {
        let v4 = version_2(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 4, 1, 0xbb, 4, 0, 1, 9]);
        let mut six = [0; 36];
        six[..16].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        six[32..34].copy_from_slice(&7u16.to_be_bytes());
        let v6 = version_2(0x21, 0x21, &six);
        let local = version_2(0x20, 0, b"anything");
        let cases: [(&[u8], Source); 8] = [
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
                Source::Client("192.0.2.1:56324".parse().unwrap()),
            ),
            (b"PROXY TCP6 2001:db8::1 ::1 7 443\r\n", Source::Client("[2001:db8::1]:7".parse().unwrap())),
            (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 7 443\r\n", Source::Client("192.0.2.1:7".parse().unwrap())),
            (b"PROXY UNKNOWN\r\n", Source::Balancer),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Source::Balancer),
            (&v4, Source::Client("192.0.2.1:56324".parse().unwrap())),
            (&v6, Source::Client("[2001:db8::1]:7".parse().unwrap())),
            (&local, Source::Balancer),
        ];
        for (header, source) in cases {
            let mut bytes = header.to_vec();
            bytes.extend(b"GET / HTTP/1.1\r\n");
            let (result, rest) = read_from(&bytes).await;
            assert_eq!(result.unwrap(), source, "{}", header.escape_ascii());
            assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{}", header.escape_ascii());
        }
    }

    #[tokio::test]
    async fn refuses_what_is_no_header() {
        let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
        let cases: [&[u8]; 14] = [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n",
            b"PROXY TCP4 192.0.2.256 198.51.100.7 56324 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 +1 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 01 443\r\n",
            b"PROXY TCP4 ::1 ::1 1 443\r\n",
            b"PROXY TCP9 192.0.2.1 198.51.100.7 1 443\r\n",
            b"PROXY  TCP4 192.0.2.1 198.51.100.7 1 443\r\n",
            b"PROXY TCP4 192.0.2.1 \xff 1 443\r\n",
            too_long.as_bytes(),
            &version_2(0x31, 0x11, &[0; 12]),
            &version_2(0x21, 0x11, &[0; 11]),
        ];
        for header in cases {
            let (result, _) = read_from(header).await;
            assert!(matches!(result, Err(Error::Malformed(_))), "{}: {result:?}", header.escape_ascii());
        }
        let (result, _) = read_from(b"PROXY TCP4 192").await;
        assert!(matches!(result, Err(Error::Io(_))), "{result:?}");
    }

    #[tokio::test]
    async fn gives_up_on_a_client_that_sends_nothing() {
        let (mut ours, _theirs) = tokio::io::duplex(64);
        let result = read(&mut ours, Duration::from_millis(10)).await;
        assert!(matches!(result, Err(Error::TimedOut(_))), "{result:?}");
    }

    #[tokio::test]
    async fn survives_mutated_headers() {
        let good = [
            b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n".to_vec(),
            version_2(0x21, 0x21, &[7; 40]),
            version_2(0x21, 0x11, &[7; 12]),
        ];
        let mut random = crate::seeded::Random::new(0x5eed);
        for round in 0..20_000 {
            let mut bytes = good[round % good.len()].clone();
            random.mutate(&mut bytes);
            let (result, rest) = read_from(&bytes).await;
            if result.is_ok() {
                assert!(rest.len() < bytes.len());
            }
        }
    }
}
