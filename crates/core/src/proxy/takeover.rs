//! Replaces one kind of proxy with another: `upgrade` and `downgrade`.
//!
//! Only one proxy can have a server's ports. So the new one *waits* first: it runs next to the old one without ports, and the
//! app's new containers are registered with it. Problems show at this point, while the old one serves. One script then moves
//! the ports, and moves them back if the new proxy doesn't come up with all its services. The old proxy stays, stopped, until it
//! is certain which of the two remains.

use std::fmt;
use std::str::FromStr;

use super::{ProxyKind, Refusal, Site, Takes, kamal, traefik};
use crate::commands::answer::{Unreadable, lines, sent};
use crate::commands::network::FAILED as PROXY_FAILED;
use crate::commands::replacement::Replacement;
use crate::commands::{Scope, ask};
use crate::observed::Container;
use crate::plan::deploy::PlanError;
use crate::shell::{Line, Script, quote};

/// The label of a proxy's container that waits.
pub const WAITS: &str = "bowline.waits";

/// How long a proxy may take to stop, in seconds: it waits for open requests.
const STOP_WAIT_S: u32 = 30;

/// Whether a proxy's container publishes its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// It does, as configured.
    Published,
    /// It waits for those of another one.
    Unpublished,
}

/// From which kind to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From Traefik to kamal-proxy.
    Upgrade,
    /// Back.
    Downgrade,
}

impl Direction {
    /// The command.
    pub fn command(self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
        }
    }

    /// The kind that serves before.
    pub fn from(self) -> ProxyKind {
        match self {
            Self::Upgrade => ProxyKind::Traefik,
            Self::Downgrade => ProxyKind::Kamal,
        }
    }

    /// The kind that serves afterwards.
    pub fn to(self) -> ProxyKind {
        match self {
            Self::Upgrade => ProxyKind::Kamal,
            Self::Downgrade => ProxyKind::Traefik,
        }
    }

    /// The containers of both.
    fn containers(self) -> [&'static str; 2] {
        match self {
            Self::Upgrade => [traefik::NAME, kamal::NAME],
            Self::Downgrade => [kamal::NAME, traefik::NAME],
        }
    }

    /// What the new one's container is called before it has the ports, and what the one that waited is called afterwards.
    fn beside(self) -> [&'static str; 2] {
        match self {
            Self::Upgrade => kamal::container::BESIDE,
            Self::Downgrade => traefik::container::BESIDE,
        }
    }
}

/// Refuses a proxy that would want the ports of one of another kind that runs: `direction` puts it in that one's place.
pub(super) fn needs_no_ports_of_another(
    site: &Site<'_>,
    direction: Direction,
    wanted: &[u16],
) -> Result<(), PlanError> {
    let [from, to] = direction.containers();
    let (host, here) = (site.host, |name| site.observed.proxy(name));
    let command = direction.command();
    if here(to).is_some_and(Container::waits) {
        return Err(Refusal {
            message: format!(
                "{} on {host} is still waiting for the ports of {}",
                direction.to().name(),
                direction.from().name()
            ),
            hint: format!("`bowline {command}` did not finish: run it again"),
        }
        .into());
    }
    let runs = |container: &&Container| container.status == "running";
    let taken =
        here(from).filter(runs).and_then(|other| other.published().find(|port| wanted.contains(port)));
    match taken.filter(|_| here(to).filter(runs).is_none()) {
        None => Ok(()),
        Some(port) => Err(Refusal {
            message: format!(
                "{} on {host} uses port {port}, which {} needs",
                direction.from().name(),
                direction.to().name()
            ),
            hint: format!("`bowline {command}` replaces it with {}", direction.to().name()),
        }
        .into()),
    }
}

/// What differs between proxies that take over: shell lines.
pub(super) struct Parts {
    /// They define `make NAME`.
    pub make: String,
    /// They define `answers` and `names`, and the functions of `container.sh`.
    pub functions: String,
    /// They say what there is to say at the end.
    pub told: String,
}

/// The script of a proxy that takes over: it prints `@gap`, and then what it has to say itself.
pub(super) fn script(direction: Direction, scope: &Scope, parts: &Parts) -> String {
    let [from, to] = direction.containers();
    let [next, old] = direction.beside();
    let replacement =
        Replacement { name: to, next, old, gives: from, stop_wait: Some(STOP_WAIT_S), failed: PROXY_FAILED };
    format!(
        "{fence}{replacement}{make}{functions}bowline_from={from}\n{audit}{take_over}{told}",
        fence = scope.fence(),
        replacement = replacement.functions(),
        make = parts.make,
        functions = parts.functions,
        audit = scope.audit(None, &format!("Replaced {from} with {to}")),
        take_over = sent(include_str!("takeover.sh")),
        told = parts.told,
    )
}

/// Looks who would be off the air without the proxy before, and starts that one again if a run that was cut off has left the server
/// without any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The run.
    pub scope: Scope,
    /// From which kind to which.
    pub direction: Direction,
    /// The services that this app has at a kamal-proxy.
    pub services: Vec<String>,
}

impl Survey {
    /// Prints [`Others`].
    pub fn script(&self) -> Script {
        let [from, to] = self.direction.containers();
        let others = match self.direction {
            Direction::Upgrade => self.behind_traefik(),
            Direction::Downgrade => self.behind_kamal_proxy(),
        };
        Script::new(format!(
            "{fence}{ask}bowline_from={from} bowline_to={to} bowline_failed={PROXY_FAILED} bowline_look={look}\n{survey}{others}",
            fence = self.scope.fence(),
            ask = ask::functions(),
            look = quote(&format!("{{{{.State.Running}}}} {{{{index .Config.Labels \"{WAITS}\"}}}}")),
            survey = sent(include_str!("takeover/survey.sh")),
        ))
    }

    /// Containers with a router of Traefik's that are not this app's, and not accessories of it that move too.
    fn behind_traefik(&self) -> String {
        let label = |name: &str| format!("{{{{.Label {name:?}}}}}");
        let format = format!("{{{{.Names}}}}|{}|{}|{{{{.Labels}}}}", label("service"), label("destination"));
        let list = Line::new("docker").words(["container", "ls", "--format", &format]);
        let names = &self.scope.names;
        let awk = format!(
            "index(moves, \" \" $1 \" \") || $1 == \"{}\" || $2 == service && $3 == destination || /traefik\\.enable=false/ {{ next }} \
             /traefik\\.(http|tcp|udp)\\.routers\\./ {{ print \"@other \" $1 }}",
            traefik::NAME,
        );
        let awk = Line::new("awk")
            .words(["-F|", "-v", &format!("service={}", names.service())])
            .words(["-v", &format!("destination={}", names.destination().unwrap_or_default())])
            .words(["-v", &format!("moves= {} ", self.services.join(" "))])
            .word(&awk);
        format!("bowline_list=$({list}) || exit\nprintf '%s\\n' \"$bowline_list\" | {awk}\n")
    }

    /// Services of a kamal-proxy that are not this app's.
    fn behind_kamal_proxy(&self) -> String {
        let awk = Line::new("awk")
            .words(["-v", &format!("ours= {} ", self.services.join(" "))])
            .word("$1 != \"\" && !index(ours, \" \" $1 \" \") { print \"@other \" $1 }");
        format!("{}services 2>/dev/null | {awk}\n", kamal::service::services())
    }
}

/// Who else is behind the proxy before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others(pub Vec<String>);

impl FromStr for Others {
    type Err = Unreadable;

    fn from_str(answer: &str) -> Result<Self, Unreadable> {
        let others = lines(answer).filter(|line| line.word == "other");
        others.map(|line| line.some().map(str::to_owned)).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|name| writeln!(f, "@other {name}"))
    }
}

/// Decides which of the two goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// The run.
    pub scope: Scope,
    /// From which kind to which.
    pub direction: Direction,
    /// What becomes of them.
    pub verdict: Verdict,
    /// The services that this app has at a kamal-proxy.
    pub services: Vec<String>,
}

/// What becomes of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The new one has the ports for good: the one before is removed.
    Stays,
    /// The new one goes, and the one before takes requests again.
    GivesBack,
    /// The new one is not wanted after all. It goes if it waits.
    GivesUp,
}

impl Settle {
    /// In a few words.
    pub fn describe(&self) -> String {
        let [from, to] = self.direction.containers();
        match self.verdict {
            Verdict::Stays => format!("remove {from}"),
            Verdict::GivesBack => format!("start {from} again"),
            Verdict::GivesUp => format!("remove the waiting {to}"),
        }
    }

    /// How long it takes, in seconds.
    pub(super) fn takes(&self) -> Takes {
        Takes::Seconds(60)
    }

    /// The script.
    pub fn script(&self) -> Script {
        let [from, to] = self.direction.containers();
        let [next, old] = self.direction.beside();
        let remove = |words: &[&str]| {
            Line::new("docker").words(["container", "rm", "--force"]).words(words.iter().copied())
        };
        let does = match self.verdict {
            Verdict::Stays => format!(
                "{}{} >/dev/null 2>&1\n! docker container inspect {from} >/dev/null 2>&1 || exit {PROXY_FAILED}\n{}",
                match self.direction {
                    Direction::Upgrade => String::new(),
                    Direction::Downgrade => kamal::takeover::forget(&self.services),
                },
                remove(&[from, old, next]),
                match self.direction {
                    Direction::Upgrade => traefik::container::forget_env(),
                    Direction::Downgrade => String::new(),
                }
            ),
            Verdict::GivesBack => format!(
                "{}ask_name {from} '{{{{.ID}}}}' || {{ echo 'there is no {from} to go back to' >&2; exit {PROXY_FAILED}; }}\n\
                 {} >/dev/null 2>&1\ndocker container start {from} >/dev/null || exit {PROXY_FAILED}\n{}",
                ask::functions(),
                remove(&[to, old, next]),
                self.scope.audit(None, &format!("Started {from} again")),
            ),
            Verdict::GivesUp => format!(
                "{}ask_name {to} '{{{{index .Config.Labels \"{WAITS}\"}}}}' && [ -n \"$bowline_said\" ] || exit 0\n\
                 {} >/dev/null 2>&1\n:\n",
                ask::functions(),
                remove(&[to, old, next]),
            ),
        };
        Script::new(self.scope.fence() + &does)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_else_is_there_is_read_back() {
        let others = Others(vec!["blog-web-1".into(), "shop".into()]);
        assert_eq!(others.to_string().parse(), Ok(others));
        assert_eq!("".parse(), Ok(Others::default()));
        assert!("@other \n".parse::<Others>().is_err());
    }
}
