//! How Ruby's YAML reader, and so Kamal, reads a scalar without quotes.
//!
//! It reads `on` as a boolean, `0644` as an octal number, `1:30` as 5400, and `:word` as a symbol. Where a boolean or a
//! number is expected, Bowline does the same. Where a text is expected, Bowline keeps the file's text: `3.10` stays `3.10`,
//! although Kamal makes it `3.1`. [`Plain::changes`] reports the difference, for a warning.

/// The type that a plain scalar has in Ruby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    Boolean(bool),
    /// `None` if it is out of range.
    Integer(Option<i64>),
    /// `1:30`: base 60, as in YAML 1.1.
    Sexagesimal,
    Float,
    Date,
    Time,
    Symbol,
    Text,
}

impl Plain {
    /// Reads a plain scalar that isn't null. Tests the patterns in Ruby's order, because several match some texts.
    pub(crate) fn read(text: &str) -> Self {
        if let Some(value) = boolean(text) {
            return Plain::Boolean(value);
        }
        if text.contains('\n') || !text.starts_with(|c: char| c.is_ascii_digit() || "+-.:".contains(c)) {
            return Plain::Text;
        }
        if is_date(text) {
            return Plain::Date;
        }
        if is_time(text) {
            return Plain::Time;
        }
        if text.len() > 1 && text.starts_with(':') {
            return Plain::Symbol;
        }
        if is_sexagesimal(text) {
            return Plain::Sexagesimal;
        }
        if is_float(text) {
            return Plain::Float;
        }
        integer(text).map_or(Plain::Text, Plain::Integer)
    }

    /// How Kamal changes a text before it passes it on, if it does.
    pub(crate) fn changes(self, text: &str) -> Option<&'static str> {
        let decimal = |text: &str| text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
        match self {
            Plain::Integer(_) if decimal(text) => None,
            Plain::Integer(_) if matches!(digits(text).as_bytes(), [b'0', b'0'..=b'9' | b'_', ..]) => {
                Some("Kamal reads this as an octal number (0644 becomes 420)")
            }
            Plain::Integer(_) => Some("Kamal reads this as a number and rewrites it (1_000 becomes 1000)"),
            Plain::Sexagesimal => Some("Kamal reads this as a base-60 number (1:30 becomes 5400)"),
            Plain::Float if plain_decimal(text) => None,
            Plain::Float => Some("Kamal reads this as a number and rewrites it (3.10 becomes 3.1)"),
            Plain::Time => Some("Kamal reads this as a time and rewrites it"),
            Plain::Symbol => Some("Kamal reads this as a symbol and drops the colon"),
            Plain::Boolean(_) | Plain::Date | Plain::Text => None,
        }
    }

    /// The name of its type, in Kamal's words if it has some.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Plain::Boolean(_) => "a boolean",
            Plain::Integer(_) => "an integer",
            Plain::Sexagesimal => "a base-60 number",
            Plain::Float => "a number with a fraction",
            Plain::Date => "a date",
            Plain::Time => "a time",
            Plain::Symbol => "a symbol",
            Plain::Text => "a string",
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn digits(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

/// `40_000`, `1,000`, `0x1f`, `0b1`, and octal with a leading zero. Also accepts YAML 1.2's `0o17`, a text in Ruby.
fn integer(text: &str) -> Option<Option<i64>> {
    let unsigned = digits(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let bare = unsigned.replace(['_', ','], "");
    let (radix, bare) = match bare.as_bytes() {
        [b'0', b'x', ..] => (16, bare.get(2..)?),
        [b'0', b'b', ..] => (2, bare.get(2..)?),
        [b'0', b'o', ..] => (8, bare.get(2..)?),
        [b'0', _, ..] => (8, bare.get(1..)?),
        _ => (10, bare.as_str()),
    };
    if bare.is_empty() || !bare.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    Some(i64::from_str_radix(bare, radix).ok().and_then(|value| value.checked_mul(sign)))
}

/// `1.5`, `1_000.5`, `.5`, `1.`, `1.5e+3`, infinities and NaN. Ruby requires the point.
fn is_float(text: &str) -> bool {
    let lower = digits(text).to_ascii_lowercase();
    if lower == ".inf" || text.eq_ignore_ascii_case(".nan") {
        return true;
    }
    let Some((whole, rest)) = lower.split_once('.') else { return false };
    let (fraction, exponent) = match rest.split_once('e') {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let all_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let whole_fits = whole.is_empty()
        || whole.starts_with(|c: char| c.is_ascii_digit()) && all_digits(&whole.replace(['_', ','], ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent.strip_prefix(['-', '+']).is_some_and(|digits| !digits.is_empty() && all_digits(digits))
    });
    whole_fits && all_digits(fraction) && exponent_fits && !(whole.is_empty() && fraction.is_empty())
}

/// Whether Ruby writes a fraction exactly as it read it.
fn plain_decimal(text: &str) -> bool {
    let bare = text.strip_prefix('-').unwrap_or(text);
    let Some((whole, fraction)) = bare.split_once('.') else { return false };
    let all_digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    all_digits(whole)
        && all_digits(fraction)
        && (whole == "0" || !whole.starts_with('0'))
        && (fraction == "0" || !fraction.ends_with('0'))
        && whole.len() + fraction.len() <= 15
        && !(whole == "0" && fraction.starts_with("0000"))
}

/// `[-+]N:NN` or `N:NN:NN`, possibly with a fraction. The later parts have one or two digits and are below 60.
fn is_sexagesimal(text: &str) -> bool {
    let unsigned = digits(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let later: Vec<&str> = parts.collect();
    let number = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '_');
    first.starts_with(|c: char| c.is_ascii_digit())
        && number(first)
        && number(fraction)
        && (1..=2).contains(&later.len())
        && later.iter().all(|part| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
}

/// `2024-01-31`.
fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut number = |lengths: std::ops::RangeInclusive<usize>, most: u32| {
        parts.next().is_some_and(|part| {
            lengths.contains(&part.len())
                && part.chars().all(|c| c.is_ascii_digit())
                && part.parse::<u32>().is_ok_and(|number| number <= most)
        })
    };
    number(4..=4, 9999) && number(1..=2, 12) && number(1..=2, 31) && parts.next().is_none()
}

/// `2024-01-31 12:30:00`, with `T` or blanks between date and time, and possibly a fraction and a zone.
fn is_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once([' ', 't', 'T']) else { return false };
    let clock: Vec<&str> = time.trim_start().splitn(3, ':').collect();
    let two = |text: &str| text.len() <= 2 && !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let [hours, minutes, rest] = clock.as_slice() else { return false };
    is_date(date) && two(hours) && two(minutes) && rest.get(..2).is_some_and(two)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each text as Ruby 3's Psych reads it (its `ScalarScanner#tokenize`).
    #[test]
    fn plain_scalars_as_ruby_reads_them() {
        use Plain::{Date, Float, Sexagesimal, Symbol, Text, Time};
        let boolean = Plain::Boolean;
        let integer = |value| Plain::Integer(Some(value));
        let cases = [
            ("true", boolean(true)),
            ("Yes", boolean(true)),
            ("ON", boolean(true)),
            ("false", boolean(false)),
            ("no", boolean(false)),
            ("Off", boolean(false)),
            ("y", Text),
            ("n", Text),
            ("0", integer(0)),
            ("42", integer(42)),
            ("+42", integer(42)),
            ("-42", integer(-42)),
            ("40_000_000", integer(40_000_000)),
            ("1,000", integer(1000)),
            ("0644", integer(0o644)),
            ("0600", integer(384)),
            ("0o644", integer(0o644)),
            ("0x1F", integer(31)),
            ("0b101", integer(5)),
            ("089", Text),
            ("0x", Text),
            ("99999999999999999999", Plain::Integer(None)),
            ("1.10", Float),
            ("3.1", Float),
            (".5", Float),
            ("1.", Float),
            ("-.inf", Float),
            (".NaN", Float),
            ("1.5e+3", Float),
            ("1.5e3", Text),
            ("1e3", Text),
            ("1.2.3", Text),
            ("1.1.1.1", Text),
            (".", Text),
            ("22:22", Sexagesimal),
            ("2222:22", Sexagesimal),
            ("1:30:15", Sexagesimal),
            ("1:30.5", Sexagesimal),
            ("3306:3306", Text),
            ("8080:80", Text),
            ("127.0.0.1:80:80", Text),
            ("1:60", Text),
            ("2024-01-02", Date),
            ("2024-13-02", Text),
            ("2024-01-02 03:04:05", Time),
            ("2024-01-02T03:04:05Z", Time),
            (":verbose", Symbol),
            (":8080", Symbol),
            (":", Text),
            ("10m", Text),
            ("-", Text),
            ("1 2", Text),
            ("text", Text),
            ("-x", Text),
            ("two\nlines", Text),
        ];
        for (text, plain) in cases {
            assert_eq!(Plain::read(text), plain, "{text}");
        }
    }

    /// Kamal changes a text exactly if the text that reaches a container differs between Kamal and Bowline.
    #[test]
    fn texts_that_kamal_writes_anew() {
        let kept =
            ["1", "-1", "0", "1.5", "0.5", "10.0", "2024-01-02", "yes", "1.2.3", "8080:80", "text", "1e3"];
        for text in kept {
            assert_eq!(Plain::read(text).changes(text), None, "{text}");
        }
        let changed = [
            "3.10",
            "1.",
            ".5",
            "01.5",
            "0644",
            "0x1f",
            "1_000",
            "+1",
            "22:22",
            ":a",
            "2024-01-02 03:04:05",
            "0.00001",
        ];
        for text in changed {
            assert!(Plain::read(text).changes(text).is_some(), "{text}");
        }
    }
}
