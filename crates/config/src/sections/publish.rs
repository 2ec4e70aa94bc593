//! Values of `docker run --publish`: `[[ADDRESS:][PORT]:]PORT[/PROTOCOL]`, where a port can be a range.

use crate::decode::{Field, Report};
use crate::given::given;

/// Reports a port that doesn't exist.
pub(crate) fn check(field: &Field, report: &mut Report) {
    let Some(port) = field.text().and_then(|value| bad_port(&value)) else { return };
    let message = format!("there is no port {}: the last one is {}", given(port), u16::MAX);
    report.push(field.error(&message));
}

/// A number in the place of a port that is too large. The rest is left to Docker, and variables to the server.
fn bad_port(value: &str) -> Option<String> {
    // An IPv6 address has colons too, but is in brackets.
    let after = value.rsplit(']').next().unwrap_or_default();
    let ports = after.split('/').next().unwrap_or_default().rsplit(':').take(2);
    let numbers = ports.flat_map(|range| range.split('-'));
    let is_number = |text: &&str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    numbers.filter(is_number).find(|port| port.parse::<u16>().is_err()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_do_not_exist_are_found() {
        let cases = [
            ("80", None),
            ("127.0.0.1:65535:80/udp", None),
            ("[2001:db8::99999]:80:80", None),
            ("10.0.0.5::80", None),
            ("${PORT}:80", None),
            ("8000-8010:8000-8010", None),
            ("99999", Some("99999")),
            ("99999:80", Some("99999")),
            ("80:65536/tcp", Some("65536")),
            ("8000-70000:8000-70000", Some("70000")),
        ];
        for (value, port) in cases {
            assert_eq!(bad_port(value).as_deref(), port, "{value}");
        }
    }
}
