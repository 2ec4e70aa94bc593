//! `healthcheck`: how Docker sees that a container can serve, and the cord that lets us say it no longer should.

use std::time::Duration;

use super::decode::{Field, Keys, Report};
use crate::shell::quote;

/// The resolved health check of a role (root and role merged).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// The command: `cmd`, or `curl -f http://localhost:PORT/PATH || exit 1`.
    pub cmd: String,
    /// `port` (3000): where the default command asks. Traefik takes the port that the image exposes.
    pub port: u16,
    /// `path` (`/up`).
    pub path: String,
    /// `interval` (1 s) between two checks.
    pub interval: Duration,
    /// `max_attempts`, if given: with n of them a container has 1+2+…+n seconds to get healthy.
    pub max_attempts: Option<u32>,
    /// `cord`.
    pub cord: Cord,
}

/// `cord`: the directory in the container whose file the health check asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cord {
    /// A path in the container; `/tmp/kamal-cord` unless given.
    At(String),
    /// `cord: false`.
    Off,
}

impl Default for Cord {
    fn default() -> Self {
        Cord::At("/tmp/kamal-cord".into())
    }
}

const KEYS: Keys =
    Keys { known: &["cmd", "port", "path", "interval", "max_attempts", "cord", "log_lines"], later: &[] };

/// What one `healthcheck` says, before root and role are merged.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    cmd: Option<String>,
    port: Option<u16>,
    path: Option<String>,
    interval: Option<Duration>,
    max_attempts: Option<u32>,
    cord: Option<Cord>,
}

impl Parts {
    pub(super) fn decode(field: &Field, report: &mut Report) -> Self {
        let Some(section) = field.section(&KEYS, report) else { return Self::default() };
        // Kamal has this key and reads it nowhere.
        section.get("log_lines").and_then(|field| field.integer(0, i64::MAX, report));
        let attempts = section.get("max_attempts").and_then(|field| field.integer(1, 400, report));
        Self {
            cmd: section.filled("cmd", report),
            port: section.get("port").and_then(|field| field.port(report)),
            path: section.filled("path", report),
            interval: section.get("interval").and_then(|field| interval(&field, report)),
            max_attempts: attempts.and_then(|attempts| u32::try_from(attempts).ok()),
            cord: section.get("cord").and_then(|field| Cord::decode(&field, report)),
        }
    }

    /// Whether it says how to check, so that a role without Traefik gets a health check.
    pub(super) fn says_how(&self) -> bool {
        self.cmd.is_some() || self.port.is_some() || self.path.is_some()
    }

    /// `max_attempts`, if given.
    pub(super) fn max_attempts(&self) -> Option<u32> {
        self.max_attempts
    }

    /// This over `base`.
    pub(super) fn over(self, base: &Parts) -> Self {
        Self {
            cmd: self.cmd.or_else(|| base.cmd.clone()),
            port: self.port.or(base.port),
            path: self.path.or_else(|| base.path.clone()),
            interval: self.interval.or(base.interval),
            max_attempts: self.max_attempts.or(base.max_attempts),
            cord: self.cord.or_else(|| base.cord.clone()),
        }
    }

    /// With the defaults. A container that Traefik sends nothing to is never cut off, so it has no cord.
    pub(super) fn resolve(self, traefik: bool) -> Healthcheck {
        let port = self.port.unwrap_or(3000);
        let path = self.path.unwrap_or_else(|| "/up".into());
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let url = quote(&format!("http://localhost:{port}{path}"));
        Healthcheck {
            cmd: self.cmd.unwrap_or_else(|| format!("curl -f {url} || exit 1")),
            port,
            path,
            interval: self.interval.unwrap_or(Duration::from_secs(1)),
            max_attempts: self.max_attempts,
            cord: if traefik { self.cord.unwrap_or_default() } else { Cord::Off },
        }
    }
}

impl Cord {
    fn decode(field: &Field, report: &mut Report) -> Option<Self> {
        let wanted = "an absolute path in the container, or false";
        if field.scalar().is_some_and(|scalar| scalar.plain && scalar.text == "false") {
            return Some(Cord::Off);
        }
        let path = field.scalar().map(|scalar| scalar.text.trim_end_matches('/'));
        match path.filter(|path| path.starts_with('/')) {
            Some(path) => Some(Cord::At(path.into())),
            None => {
                field.wrong_type(wanted, report);
                None
            }
        }
    }
}

/// `1s`, `500ms`, `1m30s`, or whole seconds.
fn interval(field: &Field, report: &mut Report) -> Option<Duration> {
    let text = field.scalar().map(|scalar| scalar.text.trim());
    let least = Duration::from_millis(1);
    match text.and_then(parse_duration).filter(|duration| *duration >= least) {
        Some(duration) => Some(duration),
        None => {
            let error =
                field.error("should be a duration").help("such as `1s`, `500ms`, `1m30s`, or whole seconds");
            report.push(error);
            None
        }
    }
}

/// Docker's notation for durations (`1h2m3.5s`), up to a day; whole seconds without a unit.
fn parse_duration(text: &str) -> Option<Duration> {
    let day = Duration::from_secs(86_400);
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into())).filter(|duration| *duration <= day);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit)?;
        let unit = match unit {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()?;
        total = total.checked_add(part).filter(|total| *total <= day)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [
            ("1s", Some(1000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1500)),
            ("1h", Some(3_600_000)),
            ("20", Some(20_000)),
            ("", None),
            ("s", None),
            ("5x", None),
            ("5 s", None),
            ("-1s", None),
            ("1e9h", None),
            ("99999999999999s", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
