//! Traefik discovers containers by itself. So Bowline asks Traefik where it routes, and controls it through the health
//! of containers.

mod api;
mod cord;
pub(crate) mod life;
mod listed;
mod maintenance;
pub(crate) mod settle;
mod trouble;

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bowline_core::commands::app::IfHealthy;
use bowline_core::observed::Observed;
use bowline_core::plan::step::Step;
use bowline_core::proxy::traefik::container::{API_PORT, will_have_api};
use bowline_core::proxy::traefik::labels::Route;
use bowline_core::proxy::traefik::life::Routes;
use bowline_core::proxy::traefik::{self, Answer, OnServer};
use bowline_core::proxy::{self, Attach, Detach, Maintain};
use tokio::time::Instant;

use super::{At, Proxy, Seen, Serves, Target};
use crate::error::{Cause, Failure};
use crate::run::change::Done;
pub(crate) use api::Client;
#[cfg(test)]
pub(crate) use api::read_any;
use settle::explained;

pub(super) struct Traefik<'a> {
    at: At<'a>,
    plan: Option<&'a OnServer>,
    runs: Mutex<Option<Client>>,
}

pub(crate) fn step(step: traefik::Step) -> Step {
    Step::Proxy(proxy::Step::Traefik(step))
}

/// A client for the API of a running Traefik; `None` if Traefik doesn't run.
fn client(api: traefik::Api) -> Option<Client> {
    match api {
        traefik::Api::At(api) => Some(Client { api: Some(api) }),
        traefik::Api::Silent => Some(Client { api: None }),
        traefik::Api::AfterStart => None,
    }
}

impl<'a> Traefik<'a> {
    /// The Traefik of a plan. `plan` is `None` if no role on that server is behind it.
    pub(super) fn planned(at: At<'a>, plan: Option<&'a OnServer>) -> Self {
        Self { at, plan, runs: Mutex::new(plan.and_then(|plan| client(plan.api))) }
    }

    pub(super) fn observed(at: At<'a>, observed: &Observed) -> Self {
        Self { at, plan: None, runs: Mutex::new(traefik::running(observed).and_then(client)) }
    }

    fn client(&self) -> Option<Client> {
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn down(reason: String) -> Cause {
    Cause::Other { reason, hint: Some("`traefik boot` boots it".into()) }
}

#[async_trait(?Send)]
impl Proxy for Traefik<'_> {
    async fn ensure(&self) -> Result<(), Failure> {
        let Some(OnServer { ensure: Some(ensure), api, .. }) = self.plan else { return Ok(()) };
        let routes = Routes { own: Route::default(), has_api: *api == traefik::Api::AfterStart };
        let client = settle::start(self.at, ensure, routes).await?;
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        Ok(())
    }

    async fn take_over(&self) -> Result<Option<u64>, Failure> {
        let Some(wanted) = self.plan.and_then(|plan| plan.take_over.as_ref()) else { return Ok(None) };
        let At { fleet, host } = self.at;
        let step = step(traefik::Step::TakeOver(wanted.clone()));
        let answer: Answer = fleet.ask(host, None, &step).await.map_err(explained)?;
        let has_api = will_have_api(&wanted.ensure.traefik);
        let api = answer.address().filter(|_| has_api).map(|ip| SocketAddr::new(ip, API_PORT));
        let client = Client { api };
        *self.runs.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        let began = Instant::now();
        let heard = client.hears_docker(self.at, &wanted.ensure.route()).await;
        heard.map_err(|cause| settle::deaf(host, cause))?;
        let deaf_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(answer.gap_ms.map(|gap| gap + deaf_ms))
    }

    async fn attach(&self, to: &Attach, container: Target<'_>) -> Result<Seen, Cause> {
        let Attach::Traefik(route) = to else { return Ok(Seen::Routed) };
        let Some(client) = self.client() else {
            let name = &route.container;
            return Err(down(format!("{name} is running, but Traefik is not: no request reaches it")));
        };
        client.routes_to(self.at, route, container.addresses).await
    }

    async fn detach(&self, role: &str, container: &Detach) -> Result<IfHealthy, Failure> {
        match container {
            Detach::Traefik(cut) => {
                cord::Cutting { at: self.at, role, traefik: self.client() }.cut(cut).await
            }
            Detach::None | Detach::Kamal(_) => Ok(IfHealthy::Stop),
        }
    }

    async fn maintain(&self, role: &str, how: &Maintain) -> Done {
        let Maintain::Traefik(turn) = how else { return Ok(String::new()) };
        maintenance::turn(self.client().unwrap_or_default(), self.at, role, turn).await
    }

    async fn serves(&self) -> Serves {
        let routed = match self.client() {
            Some(client) => client.routed(self.at).await,
            None => None,
        };
        routed.map_or(Serves::Unknown, |routed| Serves::To(routed.addresses))
    }
}
