//! Turns a parsed head into headers that share its bytes.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

pub(in crate::plane) const MAX_HEADERS: usize = 128;
/// The maximum size of a head, in bytes.
pub(in crate::plane) const MAX_HEAD: usize = 64 << 10;

pub(in crate::plane) type Room<'a> = [MaybeUninit<httparse::Header<'a>>; MAX_HEADERS];

pub(in crate::plane) const fn room<'a>() -> Room<'a> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

#[derive(Debug, Clone, Copy)]
pub(in crate::plane) struct Invalid;

/// Header names, and the ranges of their values in the head.
pub(in crate::plane) struct Fields(Vec<(HeaderName, Range<usize>)>);

/// The range of `part` within `head`.
pub(in crate::plane) fn place(head: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(head.as_ptr() as usize);
    start..start + part.len()
}

impl Fields {
    pub(in crate::plane) fn of(head: &[u8], headers: &[httparse::Header<'_>]) -> Result<Self, Invalid> {
        let mut fields = Vec::with_capacity(headers.len());
        for header in headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| Invalid)?;
            fields.push((name, place(head, header.value)));
        }
        Ok(Self(fields))
    }

    /// Builds a map. `head` must be the bytes that the fields were parsed from.
    pub(in crate::plane) fn into_map(self, head: &Bytes) -> Result<HeaderMap, Invalid> {
        let mut map = HeaderMap::with_capacity(self.0.len() + 8);
        for (name, at) in self.0 {
            let value = HeaderValue::from_maybe_shared(head.slice(at)).map_err(|_| Invalid)?;
            map.append(name, value);
        }
        Ok(map)
    }
}
