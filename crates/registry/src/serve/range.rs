//! Parses the `Range` header.

use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slice {
    Whole,
    Part(Range<u64>),
    /// The range is outside the blob.
    Beyond,
}

impl Slice {
    /// Parses the header for a blob of `size` bytes. As HTTP allows, anything but a single range of bytes is ignored.
    pub(super) fn of(header: Option<&str>, size: u64) -> Self {
        let Some((first, last)) = header
            .and_then(|header| header.trim().strip_prefix("bytes="))
            .and_then(|range| range.trim().split_once('-'))
        else {
            return Self::Whole;
        };
        let slice = match (number(first), number(last)) {
            (Some(first), None) if last.is_empty() => first..size,
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
            (None, Some(length)) if first.is_empty() => size.saturating_sub(length)..size,
            _ => return Self::Whole,
        };
        if slice.is_empty() { Self::Beyond } else { Self::Part(slice) }
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_http_has_it() {
        let of = |header| Slice::of(Some(header), 10);
        assert_eq!(Slice::of(None, 10), Slice::Whole);
        assert_eq!(of("bytes=0-"), Slice::Part(0..10));
        assert_eq!(of("bytes=4-"), Slice::Part(4..10));
        assert_eq!(of("bytes=4-6"), Slice::Part(4..7));
        assert_eq!(of("bytes=4-400"), Slice::Part(4..10));
        assert_eq!(of("bytes=9-18446744073709551615"), Slice::Part(9..10));
        assert_eq!(of("bytes=-3"), Slice::Part(7..10));
        assert_eq!(of("bytes=-300"), Slice::Part(0..10));
        assert_eq!(of("bytes=10-"), Slice::Beyond);
        assert_eq!(of("bytes=-0"), Slice::Beyond);
        assert_eq!(Slice::of(Some("bytes=0-"), 0), Slice::Beyond);
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "items=0-1",
            "bytes=a-",
        ] {
            assert_eq!(of(header), Slice::Whole, "{header}");
        }
        assert_eq!(of("bytes=99999999999999999999-"), Slice::Whole);
    }
}
