//! Base64 in either alphabet: `gcloud` writes the one for URLs, other tools the usual one.

/// The bytes, or `None` if this is no base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for c in text.trim_end().trim_end_matches('=').bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.extend(u8::try_from(bits >> count & 0xff));
        }
    }
    // Six bits left over are no byte.
    (count < 6).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_with_and_without_padding() {
        let cases: [(&str, Option<&[u8]>); 8] = [
            ("", Some(b"")),
            ("aGk=", Some(b"hi")),
            ("aGk", Some(b"hi")),
            ("aGVsbG8h\n", Some(b"hello!")),
            ("++//", Some(&[0xfb, 0xef, 0xff])),
            ("--__", Some(&[0xfb, 0xef, 0xff])),
            ("a", None),
            ("a*==", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(decode(text).as_deref(), bytes, "{text}");
        }
    }
}
