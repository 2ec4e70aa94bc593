//! From a parsed head to headers that share the bytes it came in.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Headers of one head.
pub(in crate::plane) const MAX_HEADERS: usize = 128;
/// The largest head.
pub(in crate::plane) const MAX_HEAD: usize = 64 << 10;

/// Room for the headers of one head.
pub(in crate::plane) type Room<'a> = [MaybeUninit<httparse::Header<'a>>; MAX_HEADERS];

/// Room that nothing is in yet.
pub(in crate::plane) const fn room<'a>() -> Room<'a> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// A part of a message that is not what it should be.
#[derive(Debug, Clone, Copy)]
pub(in crate::plane) struct Invalid;

/// Names, and where in a head their values are.
pub(in crate::plane) struct Fields(Vec<(HeaderName, Range<usize>)>);

/// Where in `head` a part of it is.
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

    /// The same as a map. `head` is what they were parsed from.
    pub(in crate::plane) fn into_map(self, head: &Bytes) -> Result<HeaderMap, Invalid> {
        let mut map = HeaderMap::with_capacity(self.0.len() + 8);
        for (name, at) in self.0 {
            let value = HeaderValue::from_maybe_shared(head.slice(at)).map_err(|_| Invalid)?;
            map.append(name, value);
        }
        Ok(map)
    }
}
