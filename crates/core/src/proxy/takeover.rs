//! Replaces one kind of proxy with another: `upgrade` and `downgrade`.
//!
//! Only one proxy can have a server's ports. So the new one *waits* first: it runs next to the old one without ports, and the
//! app's new containers are registered with it. Problems show at this point, while the old one serves. One script then moves
//! the ports, and moves them back if the new proxy doesn't come up with all its services. The old proxy stays, stopped, until it
//! is certain which of the two remains.

use std::fmt;
use std::str::FromStr;

use super::{ProxyKind, Site, kamal, traefik};
use crate::commands::answer::{Unreadable, lines, sent};
use crate::commands::network::FAILED as PROXY_FAILED;
use crate::commands::replacement::Replacement;
use crate::commands::{Scope, ask, policy};
use crate::error::{PlanError, Refusal};
use crate::observed::Container;
use crate::request::Direction;
use crate::shell::{Line, Script, quote};

/// Marks the container of a proxy that waits for the other one's ports.
pub const WAITS: &str = "bowline.waits";

/// How long a proxy may take to stop, in seconds: it waits for open requests.
const STOP_WAIT_S: u32 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    Published,
    /// None yet: it waits for the ports of another proxy.
    Unpublished,
}

impl Direction {
    pub fn command(self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
        }
    }

    pub fn from(self) -> ProxyKind {
        match self {
            Self::Upgrade => ProxyKind::Traefik,
            Self::Downgrade => ProxyKind::Kamal,
        }
    }

    pub fn to(self) -> ProxyKind {
        match self {
            Self::Upgrade => ProxyKind::Kamal,
            Self::Downgrade => ProxyKind::Traefik,
        }
    }

    /// The container names: from, to.
    fn containers(self) -> [&'static str; 2] {
        match self {
            Self::Upgrade => [traefik::NAME, kamal::NAME],
            Self::Downgrade => [kamal::NAME, traefik::NAME],
        }
    }

    /// Names of the new proxy's container before it has the ports, and of the waiting one after the switch.
    fn beside(self) -> [&'static str; 2] {
        match self {
            Self::Upgrade => kamal::container::BESIDE,
            Self::Downgrade => traefik::container::BESIDE,
        }
    }
}

/// Rejects a proxy that needs a port of a running proxy of another kind. The error suggests the command of `direction`.
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

/// Shell lines that differ between the proxies that take over.
pub(super) struct Parts {
    /// Define `make NAME`.
    pub make: String,
    /// Define `answers` and `names`, and the functions of `container.sh`.
    pub functions: String,
    /// Print further lines of the answer at the end.
    pub answer: String,
}

/// The script with which a proxy takes over the ports. It prints `@gap MILLISECONDS`, then the lines of `parts.answer`.
pub(super) fn script(direction: Direction, scope: &Scope, parts: &Parts) -> String {
    let [from, to] = direction.containers();
    let [next, old] = direction.beside();
    let replacement =
        Replacement { name: to, next, old, gives: from, stop_wait: Some(STOP_WAIT_S), failed: PROXY_FAILED };
    format!(
        "{fence}{replacement}{make}{functions}bowline_from={from}\n{audit}{take_over}{answer}",
        fence = scope.fence(),
        replacement = replacement.functions(),
        make = parts.make,
        functions = parts.functions,
        audit = scope.audit(None, &format!("Replaced {from} with {to}")),
        take_over = sent(include_str!("takeover.sh")),
        answer = parts.answer,
    )
}

/// Lists what else the old proxy serves. If an interrupted run left no proxy running, starts the old one again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    pub scope: Scope,
    pub direction: Direction,
    /// This app's services at kamal-proxy.
    pub services: Vec<String>,
}

impl Survey {
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

    /// Lists containers with a Traefik router, except this app's and its accessories that move too.
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

    /// Lists kamal-proxy's services that aren't this app's.
    fn behind_kamal_proxy(&self) -> String {
        let awk = Line::new("awk")
            .words(["-v", &format!("ours= {} ", self.services.join(" "))])
            .word("$1 != \"\" && !index(ours, \" \" $1 \" \") { print \"@other \" $1 }");
        format!("{}services 2>/dev/null | {awk}\n", kamal::service::services())
    }
}

/// What else the old proxy serves: names of containers or services.
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

/// Removes one of the two proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    pub scope: Scope,
    pub direction: Direction,
    pub verdict: Verdict,
    /// This app's services at kamal-proxy.
    pub services: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The new one keeps the ports. The old one is removed.
    Stays,
    /// The old one gets the ports back and starts. The new one is removed. `restart` is the restart policy that the old
    /// one had before it was stopped, unless it still has it.
    GivesBack { restart: Option<String> },
    /// The new one is no longer wanted. It is removed if it is still waiting.
    GivesUp,
}

impl Settle {
    pub fn describe(&self) -> String {
        let [from, to] = self.direction.containers();
        match self.verdict {
            Verdict::Stays => format!("remove {from}"),
            Verdict::GivesBack { .. } => format!("start {from} again"),
            Verdict::GivesUp => format!("remove the waiting {to}"),
        }
    }

    pub fn script(&self) -> Script {
        let [from, to] = self.direction.containers();
        let [next, old] = self.direction.beside();
        let remove = |words: &[&str]| {
            Line::new("docker").words(["container", "rm", "--force"]).words(words.iter().copied())
        };
        let does = match &self.verdict {
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
            Verdict::GivesBack { restart } => format!(
                "{}ask_name {from} '{{{{.ID}}}}' || {{ echo 'there is no {from} to go back to' >&2; exit {PROXY_FAILED}; }}\n\
                 {} >/dev/null 2>&1\n{}docker container start {from} >/dev/null || exit {PROXY_FAILED}\n{}",
                ask::functions(),
                remove(&[to, old, next]),
                policy::give_back(restart.as_ref(), from, PROXY_FAILED),
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
