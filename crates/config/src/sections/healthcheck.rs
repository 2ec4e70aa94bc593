//! `healthcheck`: how Docker checks that a container can serve requests, and the cord, whose removal makes that check
//! fail.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::decode::Field;
use crate::describe::{COUNT, Form, Keys, Like, QUOTABLE_PORT, Setting};

/// The resolved health check of a role (root and role merged).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Healthcheck {
    /// The command: `cmd`, or `curl -f http://localhost:PORT/PATH || exit 1`.
    pub cmd: String,
    /// `port` (3000): the port that the default command requests. Traefik uses the port that the image exposes.
    pub port: u16,
    pub path: String,
    /// `interval` (1 s): the time between two checks.
    #[serde(serialize_with = "interval")]
    pub interval: Duration,
    /// `max_attempts`, if given: with n of them, a container has 1+2+…+n seconds to become healthy.
    pub max_attempts: Option<u32>,
    pub cord: Cord,
}

/// `cord`: the directory in the container with the file that the health check looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cord {
    /// A path in the container; `/tmp/kamal-cord` unless given.
    At(String),
    /// `cord: false`.
    Off,
}

impl Serialize for Cord {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Cord::At(path) => to.serialize_str(path),
            Cord::Off => to.serialize_bool(false),
        }
    }
}

fn interval<S: Serializer>(interval: &Duration, to: S) -> Result<S::Ok, S::Error> {
    match interval.subsec_nanos() {
        0 => to.collect_str(&format_args!("{}s", interval.as_secs())),
        _ => to.collect_str(&format_args!("{}ms", interval.as_millis())),
    }
}

impl Default for Cord {
    fn default() -> Self {
        Cord::At("/tmp/kamal-cord".into())
    }
}

const DURATION: Like = Like {
    wanted: "a duration",
    help: "such as `1s`, `500ms`, `1m30s`, or whole seconds",
    reads: |text| parse_duration(text).is_some_and(|duration| duration >= Duration::from_millis(1)),
    pattern: "^[0-9]+$|^([0-9.]+(us|µs|ms|s|m|h))+$",
    words: &[],
    examples: &["1s", "500ms", "1m30s", "20"],
};

const DIRECTORY: Like = Like {
    wanted: "an absolute path in the container",
    help: "such as `/tmp/cord`, or `false` for no cord",
    reads: |text| text.starts_with('/') && !text.trim_end_matches('/').is_empty(),
    pattern: "^/+[^/]",
    words: &[],
    examples: &["/tmp/cord"],
};

pub(crate) const KEYS: Keys = Keys::new(
    "healthcheck",
    "How Docker checks that a container can serve requests. The keys of a role's `healthcheck` override the root's. A role without \
     Traefik has a health check only if it sets `cmd`, `port` or `path` itself.",
    &[
        Setting::new("cmd", Form::Filled, "the command that the container's shell runs; exit code 0 means healthy")
            .default("`curl -f http://localhost:PORT/PATH || exit 1`")
            .examples(&["\"wget -q -O /dev/null http://localhost:3000/up\""]),
        Setting::new("port", QUOTABLE_PORT, "the port that the default command requests").default("3000").examples(&["8080", "\"8080\""]),
        Setting::new("path", Form::Filled, "the path that the default command requests").default("`/up`").examples(&["/health"]),
        Setting::new("interval", Form::Like(&DURATION), "the time between two checks: `500ms`, `1m30s`, or whole seconds").default("`1s`"),
        Setting::new("max_attempts", Form::Integer(1, 400), "another way to set `deploy_timeout`: n attempts mean n(n+1)/2 seconds, at least 30"),
        Setting::new(
            "cord",
            Form::Either(&[Form::False, Form::Like(&DIRECTORY)]),
            "the directory in the container in which the cord file appears; `false` turns the cord off",
        )
        .default("`/tmp/kamal-cord`")
        .examples(&["/tmp/cord", "false"]),
        Setting::new("log_lines", COUNT, "how many log lines of a failed container to show")
            .no_effect("Bowline always shows the last lines. Kamal doesn't use the key either"),
    ],
)
.notes(
    "The [cord](deploying.md#when-the-old-version-stops) is a file that the health check also looks for. Bowline deletes it before it stops \
     an old container, so that Traefik stops sending requests there. Without a cord, Traefik keeps sending requests to a stopped container \
     until it notices, and those requests fail. With Docker 25 or later, Docker checks a new container every 200 ms until the \
     first success, whatever the `interval`.\n\n\
     `port` only affects the health check. Traefik sends requests to the port that the image `EXPOSE`s, or to the one in the label \
     `traefik.http.services.NAME.loadbalancer.server.port`.",
);

impl Healthcheck {
    /// A container without Traefik is never taken out of routing, so it has no cord.
    pub(crate) fn decode(section: &Field, traefik: bool) -> Self {
        let port = section.at("port").port().unwrap_or(3000);
        let path = section.at("path").text().unwrap_or_else(|| "/up".into());
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let url = format!("http://localhost:{port}{path}");
        let url = shlex::try_quote(&url).unwrap_or_default();
        let interval = section.at("interval").text().and_then(|text| parse_duration(text.trim()));
        let cord = Cord::decode(&section.at("cord")).unwrap_or_default();
        Self {
            cmd: section.at("cmd").text().unwrap_or_else(|| format!("curl -f {url} || exit 1")),
            port,
            path,
            interval: interval.unwrap_or(Duration::from_secs(1)),
            max_attempts: max_attempts(section),
            cord: if traefik { cord } else { Cord::Off },
        }
    }
}

pub(crate) fn max_attempts(section: &Field) -> Option<u32> {
    section.at("max_attempts").count().and_then(|attempts| u32::try_from(attempts).ok())
}

/// Whether a section says what to check. Only then does a role without Traefik get a health check.
pub(crate) fn sets_check(section: &Field) -> bool {
    ["cmd", "port", "path"].iter().any(|key| section.has(key))
}

impl Cord {
    fn decode(field: &Field) -> Option<Self> {
        match field.boolean() {
            Some(_) => Some(Cord::Off),
            None => Some(Cord::At(field.text()?.trim_end_matches('/').into())),
        }
    }
}

/// Parses Docker's notation for durations (`1h2m3.5s`), up to a day. A number without a unit is whole seconds.
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
