//! A Traefik that was just started: it stays if it hears from Docker, or gives way to the one before.

use std::net::{IpAddr, SocketAddr};

use bowline_core::proxy::traefik::container::{API_PORT, Ensure, Settle, Verdict, explain};
use bowline_core::proxy::traefik::labels::Route;
use bowline_core::proxy::traefik::{self, Answer};

use super::{Client, step};
use crate::error::{Cause, Failure};
use crate::proxy::At;

/// A Traefik that was started.
pub(crate) struct Started {
    /// Where it routes by its own labels, if it was there before and that is known.
    pub own: Route,
    /// Whether its API answers.
    pub has_api: bool,
    /// What the script said that started it.
    pub answer: Answer,
}

/// Sees that a Traefik which a deploy or `traefik boot` started hears from Docker. One that was just made and doesn't is
/// removed: it would be taken for a good one from then on.
pub(crate) async fn came_up(at: At<'_>, ensure: &Ensure, started: Started) -> Result<(), Failure> {
    let Some(address) = started.answer.address() else { return Ok(()) };
    let is_new = started.answer.made;
    let own = if is_new { ensure.route() } else { started.own };
    match client_at(address, started.has_api).hears_docker(at, &own).await {
        Ok(()) => Ok(()),
        Err(cause) if is_new => Err(gives_way(at, ensure, cause).await),
        Err(cause) => Err(deaf(at.host, cause)),
    }
}

/// Restores the previous Traefik, if there was one. The failure says what came of that.
pub(crate) async fn gives_way(at: At<'_>, ensure: &Ensure, cause: Cause) -> Failure {
    let mut failure = deaf(at.host, cause);
    let became = match settle(at, ensure, Verdict::GivesWay).await {
        Ok(answer) if answer.back => "the old one was started again".into(),
        Ok(_) => "it was removed".into(),
        Err(other) => format!("it could not be removed ({})", other.cause),
    };
    failure.cause = Cause::Told { reason: format!("{}; {became}", failure.cause), hint: failure.hint() };
    failure
}

pub(crate) async fn settle(at: At<'_>, ensure: &Ensure, verdict: Verdict) -> Result<Answer, Failure> {
    let settle = Settle { scope: ensure.scope.clone(), verdict, restart: ensure.restart() };
    at.fleet.ask(at.host, None, &step(traefik::Step::Settle(settle))).await
}

pub(crate) fn deaf(host: &str, cause: Cause) -> Failure {
    Failure { host: host.into(), role: None, doing: "see Traefik route".into(), cause }
}

pub(crate) fn client_at(address: IpAddr, has_api: bool) -> Client {
    Client { api: has_api.then(|| SocketAddr::new(address, API_PORT)) }
}

/// Why it could not be run, in the words of what it means.
pub(crate) fn explained(mut failure: Failure) -> Failure {
    if let Cause::Command(output) = &failure.cause
        && let Some(status) = output.status()
        && let Some(explanation) = explain(status, &output.stdout, &output.stderr)
    {
        failure.cause = explanation.into();
    }
    failure
}
