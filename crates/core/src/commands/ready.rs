//! Waits on the server until a container that was just started is ready or has failed.

mod reason;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::answer::{self, Line, Unreadable};
use super::events;
use super::status::Status;
use crate::names::NETWORK;
use crate::proxy;
pub use reason::{NotReady, is_port_taken, start_failed};

/// The number of log lines to fetch from a failed container.
const LOG_LINES: usize = 50;
/// The number of a failed container's exits to fetch.
const ENDS: usize = 20;
/// The number of restarts by Docker after which a container has failed.
const RESTARTS: u32 = 3;

/// When a started container counts as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// When its health check succeeds. Without one, if it still runs after a delay.
    Healthy,
    /// When it runs. Its proxy checks the rest.
    Started,
}

/// Shell lines that follow the container `$bowline_id`, which was just started, for at most `timeout` seconds. Without a
/// health check, it is ready if it still runs after `delay` seconds. Requests reach it on `network`. The lines need
/// [`super::ask::functions`] and print an [`Answer`], with each state as it changes.
pub(super) fn wait(ready: Ready, timeout: u64, delay: u64, network: &str) -> String {
    follow(ready, timeout, delay, network, ("''", RESTARTS))
}

/// Shell lines that define the functions of [`wait`] for a container whose proxy decides when it is ready.
pub(crate) fn registered(timeout: u64) -> String {
    functions(timeout, 0, NETWORK, ("''", RESTARTS))
}

/// Like [`wait`], for a container that was ready when Docker had restarted it this many times. If it exited since, it has
/// failed. Without a health check, there is no delay.
pub(super) fn still(ready: Ready, timeout: u64, delay: u64, network: &str, restarts: u32) -> String {
    follow(ready, timeout, delay, network, (&restarts.to_string(), restarts.saturating_add(1)))
}

/// `restarts` has the number of restarts at which the container was seen running, as a shell word, and the number at which
/// it has failed.
fn follow(ready: Ready, timeout: u64, delay: u64, network: &str, restarts: (&str, u32)) -> String {
    let ready = match ready {
        Ready::Healthy => "",
        Ready::Started => "bowline_ready=started\n",
    };
    functions(timeout, delay, network, restarts) + ready + &events::follow()
}

fn functions(timeout: u64, delay: u64, network: &str, (seen, most): (&str, u32)) -> String {
    format!(
        "{network}bowline_ready=\nbowline_timeout={timeout}\nbowline_delay={delay}\nbowline_seen={seen}\nbowline_most={most}\n\
         bowline_ends={ENDS}\nbowline_log_lines={LOG_LINES}\nbowline_not_ready={not_ready}\n{since}{look}",
        network = proxy::shared_network(network),
        not_ready = Status::NotReady,
        since = events::SINCE,
        look = answer::sent(include_str!("ready.sh")),
    )
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// `running`, `restarting`, `exited`, …
    pub status: String,
    /// `starting`, `healthy`, `unhealthy`; `none` without a health check.
    pub health: String,
    /// Its last exit code.
    pub code: i64,
    pub restarts: u32,
    /// Whether it was killed because memory ran out.
    pub out_of_memory: bool,
}

impl State {
    pub fn running(health: &str, restarts: u32) -> Self {
        Self { status: "running".into(), health: health.into(), code: 0, restarts, out_of_memory: false }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, health, code, restarts, out_of_memory } = self;
        write!(f, "{status} {health} {code} {restarts} {out_of_memory}")
    }
}

impl FromStr for State {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split(' ').collect();
        let [status, health, code, restarts, out_of_memory] = words[..] else {
            return Err("not the five words of a state");
        };
        Ok(Self {
            status: status.into(),
            health: health.into(),
            code: code.parse().map_err(|_| "no exit code")?,
            restarts: restarts.parse().map_err(|_| "no number of restarts")?,
            out_of_memory: out_of_memory.parse().map_err(|_| "neither true nor false")?,
        })
    }
}

/// Answers while a container starts, as they arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The container was created or started, and has this id.
    Id(String),
    State(State),
    /// The container runs, and is ready if it still runs after this many seconds.
    Delay(u64),
    /// The container is ready and has these addresses.
    Ready(Vec<IpAddr>),
}

impl Event {
    /// Returns `None` for any other line.
    fn read(line: Line<'_>) -> Result<Option<Self>, Unreadable> {
        // For a network without an address, Docker prints a word that is no IP address.
        let addresses = || line.rest.split(' ').filter_map(|word| word.parse().ok()).collect();
        Ok(Some(match line.word {
            "id" => Event::Id(line.some()?.into()),
            "state" => Event::State(line.value()?),
            "delay" => Event::Delay(line.value()?),
            "ready" => Event::Ready(addresses()),
            _ => return Ok(None),
        }))
    }

    /// Parses a line as it arrives. Returns `None` for an invalid line too, because parsing the complete answer reports it.
    pub fn heard(line: &str) -> Option<Self> {
        Self::read(Line::read(line)?).ok()?
    }

    /// The container's state, for display.
    pub fn describe(&self) -> Option<String> {
        match self {
            Event::State(State { status, health, code, restarts, .. }) => {
                let mut text = match (status.as_str(), health.as_str()) {
                    ("running", "none") => "running".to_string(),
                    ("running", health) => health.to_string(),
                    ("exited" | "restarting", _) => format!("{status} (exit code {code})"),
                    (status, _) => status.to_string(),
                };
                if *restarts != 0 {
                    text.push_str(&format!(", restarted {restarts}×"));
                }
                Some(text)
            }
            Event::Delay(seconds) => Some(format!("running, ready if it is still running in {seconds} s")),
            Event::Id(_) | Event::Ready(_) => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Id(id) => write!(f, "@id {id}"),
            Event::State(state) => write!(f, "@state {state}"),
            Event::Delay(seconds) => write!(f, "@delay {seconds}"),
            Event::Ready(addresses) => {
                write!(f, "@ready ")?;
                addresses.iter().try_for_each(|address| write!(f, "{address} "))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Why {
    #[default]
    Exited,
    /// It keeps exiting.
    Restarting,
    Gone,
    Timeout,
    /// Its proxy refused it.
    Refused,
}

answer::words!(Why: "exited" Exited, "restarting" Restarting, "gone" Gone, "timeout" Timeout, "refused" Refused);

/// A container that did not become ready, with what is known about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failed {
    pub why: Why,
    /// Its previous exits from Docker's events, separated by spaces: `oom`, `die=CODE`.
    pub ends: String,
    /// The addresses that it listens on, in the kernel's format (`0100007F:0BB8`). Empty if unknown.
    pub listening: String,
    pub command: String,
    pub log: Vec<String>,
    /// The exit codes and outputs of its last health checks.
    pub health: Vec<(i64, String)>,
    /// The proxy's message when it was asked to route to the container.
    pub said: String,
    /// The proxy's last check of the container, as the proxy logged it (a JSON object). Empty if there was none.
    pub probe: String,
}

impl Failed {
    pub fn new(why: Why) -> Self {
        Self { why, ..Self::default() }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, ends, listening, command, log, health, said, probe } = self;
        if *why == Why::Refused {
            writeln!(f, "@said {said}\n@probe {probe}")?;
        }
        writeln!(f, "@failed {why}\n@ended {ends}\n@listening {listening}\n@check {command}\n@log")?;
        log.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        let check =
            |(exit_code, output): &(i64, String)| Check { exit_code: *exit_code, output: output.clone() };
        let health = Health { log: Some(health.iter().map(check).collect()) };
        writeln!(f, "\n@health {}", serde_json::to_string(&health).map_err(|_| fmt::Error)?)
    }
}

/// What the script reports about a container: its states and its outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its id, if it was just created or started.
    pub id: Option<String>,
    pub states: Vec<State>,
    /// Its addresses, if it is ready.
    pub ready: Option<Vec<IpAddr>>,
    pub failed: Option<Failed>,
}

/// Splits an answer into its lines without the container's log, and the log. So a line of the log can't pass for an answer.
pub(in crate::commands) fn without_log(answer: &str) -> (Vec<Line<'_>>, Vec<&str>) {
    let lines: Vec<&str> = answer.lines().collect();
    let start = lines.iter().position(|line| *line == "@log").unwrap_or(lines.len());
    let end = lines.iter().rposition(|line| line.starts_with("@health ")).unwrap_or(lines.len()).max(start);
    let log = lines.get(start + 1..end).unwrap_or_default().to_vec();
    (lines[..start].iter().chain(&lines[end..]).filter_map(|line| Line::read(line)).collect(), log)
}

impl Answer {
    pub fn hear(&mut self, event: Event) {
        match event {
            Event::Id(id) => self.id = Some(id),
            Event::State(state) => self.states.push(state),
            Event::Ready(addresses) => self.ready = Some(addresses),
            Event::Delay(_) => {}
        }
    }

    pub fn addresses(self) -> Result<Vec<IpAddr>, Unreadable> {
        self.ready.ok_or(Unreadable::Missing("@ready"))
    }

    pub fn restarts(&self) -> u32 {
        self.states.last().map_or(0, |state| state.restarts)
    }
}

impl FromStr for Answer {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut answer = Self::default();
        let (lines, log) = without_log(text);
        let mut proxys = ("", "");
        for line in lines {
            match line.word {
                "said" => proxys.0 = line.rest,
                "probe" => proxys.1 = line.rest,
                _ => {}
            }
            if let Some(event) = Event::read(line)? {
                answer.hear(event);
            } else if line.word == "failed" {
                answer.failed = Some(Failed::new(line.value()?));
            } else if let Some(failed) = &mut answer.failed {
                match line.word {
                    "ended" => failed.ends = line.rest.into(),
                    "listening" => failed.listening = line.rest.into(),
                    "check" => failed.command = line.rest.into(),
                    "health" => failed.health = checks(line.rest),
                    _ => {}
                }
            }
        }
        if let Some(failed) = &mut answer.failed {
            (failed.said, failed.probe) = (proxys.0.into(), proxys.1.into());
            failed.log = log.iter().map(|line| (*line).to_owned()).collect();
            while failed.log.last().is_some_and(String::is_empty) {
                failed.log.pop();
            }
        }
        Ok(answer)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.iter().cloned().map(Event::Id);
        let events = id.chain(self.states.iter().cloned().map(Event::State));
        let mut events = events.chain(self.ready.iter().cloned().map(Event::Ready));
        events.try_for_each(|event| writeln!(f, "{event}"))?;
        self.failed.iter().try_for_each(|failed| failed.fmt(f))
    }
}

/// The longest health JSON that is parsed, in bytes. Docker keeps five checks of 4 KiB each.
const LONGEST: usize = 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Health {
    #[serde(rename = "Log", default)]
    log: Option<Vec<Check>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    exit_code: i64,
    output: String,
}

impl Default for Check {
    fn default() -> Self {
        Self { exit_code: -1, output: String::new() }
    }
}

/// The exit codes and outputs of the checks in Docker's health JSON. Invalid JSON counts as none, because they are only for
/// explanations.
fn checks(json: &str) -> Vec<(i64, String)> {
    if json.len() > LONGEST {
        return Vec::new();
    }
    let health = serde_json::from_str::<Health>(json).ok().and_then(|health| health.log);
    health.unwrap_or_default().into_iter().map(|check| (check.exit_code, check.output)).collect()
}
