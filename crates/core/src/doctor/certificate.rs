//! When a certificate expires: the only field of X.509 that a deploy needs, read without a library.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The tag of the optional version field.
const VERSION: u8 = 0xa0;

/// The expiry time of the first certificate in a PEM text, or of one in plain base64, in seconds since 1970.
pub fn expiry(text: &str) -> Option<i64> {
    let body = match text.split_once("-----BEGIN CERTIFICATE-----") {
        Some((_, after)) => after.split_once("-----END CERTIFICATE-----")?.0,
        None => text,
    };
    let packed: String = body.split_whitespace().collect();
    let der = BASE64_STANDARD.decode(packed).ok()?;
    let (_, certificate, _) = element(&der)?;
    let (_, mut signed, _) = element(certificate)?;
    if signed.first() == Some(&VERSION) {
        signed = element(signed)?.2;
    }
    // The serial number, the algorithm and the issuer precede the validity.
    for _ in 0..3 {
        signed = element(signed)?.2;
    }
    let (kind, validity, _) = element(signed)?;
    if kind != SEQUENCE {
        return None;
    }
    let (_, _, rest) = element(validity)?;
    let (kind, end, _) = element(rest)?;
    time(kind, std::str::from_utf8(end).ok()?)
}

/// Splits off the first DER element: tag, content, remaining bytes.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((kind, content, after))
}

/// Parses `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(kind: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (kind, digits.len()) {
        (UTC_TIME, 12) => {
            let year: i64 = digits[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (digits[..4].parse().ok()?, &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    let clock = part(4)? * 3600 + part(6)? * 60 + part(8)?;
    (1..=12).contains(&month).then(|| days(year, month, day) * 86_400 + clock)
}

/// The number of days from 1970 to a date. Years begin in March, so that a leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Created with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=shop.example.com
    /// -days 90`. The expected time is from `openssl x509 -enddate`.
    const PEM: &str = include_str!("testing.pem");

    #[test]
    fn the_end_of_a_certificate_is_read() {
        assert_eq!(expiry(PEM), Some(1_803_805_756));
        let packed: String = PEM.lines().filter(|line| !line.starts_with("-----")).collect();
        assert_eq!(expiry(&packed), Some(1_803_805_756));
    }

    #[test]
    fn both_kinds_of_time_are_known() {
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "270102030405Z"), Some(1_798_859_045));
        assert_eq!(time(GENERALIZED_TIME, "20500301000000Z"), Some(2_529_705_600));
        for (kind, text) in [(UTC_TIME, "271302030405Z"), (UTC_TIME, "2701020304Z"), (0x02, "270102030405Z")]
        {
            assert_eq!(time(kind, text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for text in ["", "?", "MIIB", "MAMwAQE=", "-----BEGIN CERTIFICATE-----\nMIIB"] {
            assert_eq!(expiry(text), None, "{text}");
        }
    }
}
