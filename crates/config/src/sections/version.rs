//! `minimum_version`: the oldest version of Kamal that a configuration works with.
//!
//! The key is about the format, not about Bowline's own version. Bowline knows the formats up to a certain version of
//! Kamal. It rejects a file for a later one, which may use keys with a meaning that Bowline doesn't know.

use crate::decode::{Field, Report};
use crate::given::given;

/// The latest version of Kamal whose format Bowline knows.
const KNOWN: (u64, u64) = (2, 12);

/// Reads `minimum_version`, and rejects a version later than [`KNOWN`].
pub(crate) fn minimum(root: &Field, report: &mut Report) -> Option<String> {
    let field = root.get("minimum_version")?;
    let text = field.text()?;
    if parse(&text).is_some_and(|version| version > KNOWN) {
        let (major, minor) = KNOWN;
        let error = field.error(&format!(
            "requires Kamal {}, but Bowline supports the format only up to Kamal {major}.{minor}",
            given(&text)
        ));
        report.push(error.help("lower it if the file uses no keys of a later Kamal"));
    }
    Some(text)
}

/// The first two numbers of a version in RubyGems' notation.
pub(crate) fn parse(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.trim().split(['.', '-']);
    let first = parts.next()?.parse().ok()?;
    let rest: Vec<&str> = parts.collect();
    let sound = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    rest.iter().all(sound).then(|| (first, rest.first().and_then(|part| part.parse().ok()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn versions_of_rubygems() {
        let cases = [
            ("2", Some((2, 0))),
            ("2.10", Some((2, 10))),
            ("1.9.2", Some((1, 9))),
            ("2.13.0.alpha", Some((2, 13))),
            ("2.0.0-rc1", Some((2, 0))),
            ("v2", None),
            ("2..0", None),
            ("latest", None),
            ("", None),
        ];
        for (text, version) in cases {
            assert_eq!(parse(text), version, "{text}");
        }
    }
}
