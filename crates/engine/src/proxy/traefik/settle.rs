//! Checks a Traefik that was just started: it stays if it gets its routes from Docker. Otherwise, the previous one comes
//! back.

use std::net::{IpAddr, SocketAddr};

use bowline_core::proxy::traefik::container::{API_PORT, Ensure, Settle, Verdict, explain};
use bowline_core::proxy::traefik::life::Routes;
use bowline_core::proxy::traefik::{self, Answer};

use super::{Client, step};
use crate::error::{Cause, Failure};
use crate::proxy::At;

/// Starts Traefik if it doesn't run, for a deploy or `traefik boot`, and checks that it gets its routes from Docker.
/// Removes a new one that doesn't, because later runs would take it for a working one.
pub(crate) async fn start(at: At<'_>, ensure: &Ensure, routes: Routes) -> Result<Client, Failure> {
    let start = step(traefik::Step::Ensure(Box::new(ensure.clone())));
    let answer: Answer = at.fleet.ask(at.host, None, &start).await.map_err(explained)?;
    let Some(address) = answer.address() else { return Ok(Client::default()) };
    let client = client_at(address, routes.has_api);
    let own = if answer.made { ensure.route() } else { routes.own };
    match client.hears_docker(at, &own).await {
        Ok(()) => Ok(client),
        Err(cause) if answer.made => Err(gives_way(at, ensure, None, cause).await),
        Err(cause) => Err(deaf(at.host, cause)),
    }
}

/// Removes the new Traefik, and starts the previous one if there was one. The failure says what came of that.
pub(crate) async fn gives_way(at: At<'_>, ensure: &Ensure, restart: Option<String>, cause: Cause) -> Failure {
    let mut failure = deaf(at.host, cause);
    let became = match settle(at, ensure, Verdict::GivesWay { restart }).await {
        Ok(answer) if answer.back => "the old one was started again".into(),
        Ok(_) => "it was removed".into(),
        Err(other) => format!("it could not be removed ({})", other.cause),
    };
    failure.cause = Cause::Other { reason: format!("{}; {became}", failure.cause), hint: failure.hint() };
    failure
}

pub(crate) async fn settle(at: At<'_>, ensure: &Ensure, verdict: Verdict) -> Result<Answer, Failure> {
    let settle = Settle { scope: ensure.scope.clone(), verdict };
    at.fleet.ask(at.host, None, &step(traefik::Step::Settle(settle))).await
}

pub(crate) fn deaf(host: &str, cause: Cause) -> Failure {
    Failure::new(host, None, "check Traefik's routing", cause)
}

pub(crate) fn client_at(address: IpAddr, has_api: bool) -> Client {
    Client { api: has_api.then(|| SocketAddr::new(address, API_PORT)) }
}

pub(crate) fn explained(mut failure: Failure) -> Failure {
    if let Cause::Command(output) = &failure.cause
        && let Some(status) = output.status()
        && let Some(explanation) = explain(status, &output.stdout, &output.stderr)
    {
        failure.cause = explanation.into();
    }
    failure
}
