//! Durations in Go's formats: `1m30s` on command lines, nanoseconds in files.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Writes a duration as nanoseconds (for `#[serde(with = "duration")]`).
pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i64(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

/// Reads nanoseconds. Negative values count as zero.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let nanos = Option::<i64>::deserialize(from)?.unwrap_or_default();
    Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or_default()))
}

/// Parses a duration such as `300ms`, `1m30s`, `1.5h` or `0`. Negative ones count as zero.
pub fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
        None => return Err(invalid()),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos = 0_f64;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let amount: f64 = rest[..number].parse().map_err(|_| invalid())?;
        rest = &rest[number..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        nanos += amount * unit_nanos(&rest[..unit], text)?;
        rest = &rest[unit..];
    }
    if nanos > i64::MAX as f64 {
        return Err(invalid());
    }
    Ok(if negative { Duration::ZERO } else { Duration::from_nanos(nanos.round() as u64) })
}

fn unit_nanos(unit: &str, text: &str) -> Result<f64, String> {
    Ok(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        "" => return Err(format!("time: missing unit in duration {text:?}")),
        _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
    })
}

/// Formats a duration as Go does: `30s`, `1m30s`, `1.5s`, `250ms`, `0s`.
pub fn text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    for (unit, size) in [("ns", 1_u32), ("µs", 1_000), ("ms", 1_000_000)] {
        if nanos < u128::from(size) * 1000 {
            return format!("{}{unit}", nanos as f64 / f64::from(size));
        }
    }
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    let seconds = seconds as f64 + f64::from(duration.subsec_nanos()) / 1e9;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_reads() {
        for (text, millis) in [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1.5s", 1500),
            ("0", 0),
            ("250ms", 250),
            ("1h", 3_600_000),
            ("+2s", 2000),
            ("-1s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("30").unwrap_err(), r#"time: missing unit in duration "30""#);
        assert_eq!(parse("3x").unwrap_err(), r#"time: unknown unit "x" in duration "3x""#);
        for text in ["", "s", "-", "1..2s", "x"] {
            assert_eq!(parse(text).unwrap_err(), format!("time: invalid duration {text:?}"));
        }
    }

    #[test]
    fn what_go_prints() {
        for text in ["30s", "1m30s", "1.5s", "250ms", "0s", "1h0m0s", "10ns"] {
            assert_eq!(self::text(parse(text).unwrap()), text);
        }
    }
}
