//! Base64 in either alphabet: `gcloud` prints the one for URLs, other tools the standard one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// Returns `None` for invalid base64. Padding is optional, and white space is ignored.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut text = text.replace('-', "+").replace('_', "/");
    text.retain(|c| !c.is_ascii_whitespace());
    BASE64_STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()
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
