//! Decodes chunked bodies.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The longest line before a chunk, with its extensions, in bytes.
const MAX_LINE: usize = 4 << 10;
/// Bytes of all trailers together.
const MAX_TRAILERS: usize = 16 << 10;
/// The maximum number of trailers.
const TRAILERS: usize = 64;

/// What the next byte of a body belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plane) enum Decoder {
    /// The line with the size of the next chunk.
    Size,
    /// A chunk with this many bytes left.
    Data(u64),
    /// The line end after a chunk.
    DataEnd,
    /// What follows the last chunk.
    Trailers,
}

/// The result of decoding the available bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Decoded {
    Data(Bytes),
    /// The end of the body, with its trailers.
    End(Option<HeaderMap>),
    Partial,
}

impl Decoder {
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Decoded> {
        loop {
            match *self {
                Self::Size => {
                    let Some(size) = size(buffer)? else { return Ok(Decoded::Partial) };
                    *self = if size == 0 { Self::Trailers } else { Self::Data(size) };
                }
                Self::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Decoded::Partial);
                    }
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let left = left - length as u64;
                    *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                    return Ok(Decoded::Data(buffer.split_to(length).freeze()));
                }
                Self::DataEnd => match buffer.get(..2) {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        *self = Self::Size;
                    }
                    Some(_) => return Err(malformed("a chunk is longer than its size")),
                    None => return Ok(Decoded::Partial),
                },
                Self::Trailers => return trailers(buffer),
            }
        }
    }
}

fn size(buffer: &mut BytesMut) -> io::Result<Option<u64>> {
    let Some(end) = buffer.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if buffer.len() < MAX_LINE { Ok(None) } else { Err(malformed("a chunk's line is too long")) };
    };
    let line = buffer.split_to(end + 1);
    match httparse::parse_chunk_size(&line) {
        Ok(httparse::Status::Complete((_, size))) if line[0].is_ascii_hexdigit() => Ok(Some(size)),
        _ => Err(malformed("a chunk without a valid size")),
    }
}

fn trailers(buffer: &mut BytesMut) -> io::Result<Decoded> {
    let mut headers = [httparse::EMPTY_HEADER; TRAILERS];
    let (length, trailers) = match httparse::parse_headers(buffer, &mut headers) {
        Ok(httparse::Status::Complete((length, headers))) => (length, to_map(headers)?),
        Ok(httparse::Status::Partial) if buffer.len() < MAX_TRAILERS => return Ok(Decoded::Partial),
        Ok(httparse::Status::Partial) => return Err(malformed("too many trailers")),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    buffer.advance(length);
    Ok(Decoded::End((!trailers.is_empty()).then_some(trailers)))
}

fn to_map(headers: &[httparse::Header<'_>]) -> io::Result<HeaderMap> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        let (Ok(name), Ok(value)) = (name, value) else { return Err(malformed("an invalid trailer")) };
        map.append(name, value);
    }
    Ok(map)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Decodes a body that arrives in pieces of this many bytes: its data, its trailers, and what follows it.
#[cfg(any(test, feature = "fuzzing"))]
fn decode(body: &[u8], piece: usize) -> io::Result<(Vec<u8>, Option<HeaderMap>, BytesMut)> {
    let (mut decoder, mut buffer, mut data) = (Decoder::Size, BytesMut::new(), Vec::new());
    let mut pieces = body.chunks(piece);
    loop {
        match decoder.decode(&mut buffer)? {
            Decoded::Data(bytes) => data.extend_from_slice(&bytes),
            Decoded::End(trailers) => {
                buffer.extend(pieces.flatten());
                return Ok((data, trailers, buffer));
            }
            Decoded::Partial => {
                buffer.extend_from_slice(pieces.next().ok_or(io::ErrorKind::UnexpectedEof)?);
            }
        }
    }
}

/// Whether a chunked body can be decoded. Checks that decoding it at once or one byte at a time is the same.
///
/// # Panics
/// If it is not.
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::panic, unreachable_pub, reason = "a property for tests, which bin/fuzz reaches too")]
pub fn read_the_same_in_pieces(bytes: &[u8]) -> bool {
    let whole = decode(bytes, bytes.len().max(1)).ok();
    assert_eq!(decode(bytes, 1).ok(), whole);
    whole.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbled_chunks_are_the_same_however_they_come() {
        let mut random = crate::seeded::Random::new(7);
        let mut read = 0_u32;
        for _ in 0..2_000 {
            let mut body =
                b"5;a=b\r\nhello\r\n00A \r\n, world!!!\r\n0\r\nX-Sum: 1\r\nX-B:2\r\n\r\nnext".to_vec();
            random.mutate(&mut body);
            read += u32::from(read_the_same_in_pieces(&body));
        }
        assert!(read > 50, "only {read} were read");
    }

    #[test]
    fn chunks_are_put_together_however_they_come() {
        let body = b"5;a=b\r\nhello\r\n00A \r\n, world!!!\r\n0\r\nX-Sum: 1\r\n\r\nnext";
        for piece in 1..=body.len() {
            let (data, trailers, rest) = decode(body, piece).unwrap();
            assert_eq!((&data[..], &rest[..]), (&b"hello, world!!!"[..], &b"next"[..]), "{piece}");
            assert_eq!(trailers.unwrap()["x-sum"], "1");
        }
        assert_eq!(decode(b"0\r\n\r\n", 1).unwrap(), (Vec::new(), None, BytesMut::new()));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for body in [
            "5\r\nhelloX\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "\r\n5\r\nhello\r\n0\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "5 5\r\nhello\r\n0\r\n\r\n",
            "11111111111111111\r\nhello\r\n0\r\n\r\n",
            "0\r\nX-A : 1\r\n\r\n",
            "0\r\nnonsense\r\n\r\n",
        ] {
            for piece in [1, body.len()] {
                let error = decode(body.as_bytes(), piece).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{body:?}");
            }
        }
    }

    #[test]
    fn lines_and_trailers_have_an_end() {
        let line = format!("5;{}", "x".repeat(MAX_LINE));
        let trailers = format!("0\r\nX-A: {}", "x".repeat(MAX_TRAILERS));
        for body in [line, trailers] {
            assert_eq!(decode(body.as_bytes(), 1000).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        assert!(decode(b"5\r\nhel", 100).is_err());
    }
}
