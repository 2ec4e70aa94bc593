//! `traefik boot|reboot|start|stop|restart|remove|details|logs`: the proxy that all apps of a server share.

use bowline_core::commands::logs::Lines;
use bowline_core::commands::{Action, policy};
use bowline_core::plan::deploy::PlanError;
use bowline_core::plan::secrets::Secrets;
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::traefik::container::{
    Ensure, Power, Replace, Verdict, has_api, own_route, will_have_api,
};
use bowline_core::proxy::traefik::labels::Route;
use bowline_core::proxy::traefik::{self as core, Answer, Api, NAME, secrets as of};

use crate::call::Call;
use crate::error::RunError;
use crate::proxy::traefik::settle::{Started, came_up, client_at, deaf, explained, gives_way, settle};
use crate::proxy::traefik::{Client, remove_from, step};
use crate::proxy::{At, life};
use crate::run::change::{Change, Told};
use crate::run::retire::tell_returns;
use crate::world::Gathered;

const KIND: ProxyKind = ProxyKind::Traefik;

/// `traefik boot`: makes sure it runs.
pub async fn boot(call: Call<'_>) -> Result<Gathered, RunError> {
    let secrets = secrets(call).await?;
    life::on_each(call, KIND, async |change: &Change<'_>, host: &str| {
        let ensure = ensure(change, &secrets, host).map_err(|error| life::unusable(&error, host))?;
        life::log_in(change, of::login(change.call.config(), &secrets), host).await?;
        let started = step(core::Step::Ensure(Box::new(ensure.clone())));
        let answer: Answer = change.fleet.ask(host, None, &started).await.map_err(explained)?;
        let before = change.observed.get(host).and_then(|observed| observed.proxy(NAME));
        let (own, has_api) = match before {
            Some(before) => (own_route(&before.labels, &before.args), has_api(&before.args)),
            None => (Route::default(), will_have_api(&ensure.traefik)),
        };
        let at = At { fleet: &change.fleet, host };
        came_up(at, &ensure, Started { own, has_api, answer }).await?;
        Ok("Traefik runs".into())
    })
    .await
}

/// `traefik start`, `stop`, `restart`.
pub async fn power(call: Call<'_>, action: Action) -> Result<Gathered, RunError> {
    life::on_each(call, KIND, async |change: &Change<'_>, host: &str| {
        let restart = policy::configured(&call.config().traefik.options);
        let power = Power { scope: change.scope.clone(), action, restart };
        let power = step(core::Step::Power(power));
        let answer: Answer = change.fleet.ask(host, None, &power).await?;
        tell_returns(&change.fleet, host, NAME, &answer.returns);
        let running = change.observed.get(host).and_then(|observed| observed.proxy(NAME));
        if let (Some(running), Some(address)) = (running, answer.address()) {
            let own = own_route(&running.labels, &running.args);
            let at = At { fleet: &change.fleet, host };
            let heard = client_at(address, has_api(&running.args)).hears_docker(at, &own).await;
            heard.map_err(|cause| deaf(host, cause))?;
        }
        Ok(format!("{} Traefik", action.done()))
    })
    .await
}

/// `traefik remove`: unless it has containers to route to.
pub async fn remove(call: Call<'_>) -> Result<Gathered, RunError> {
    life::on_each(call, KIND, remove_from).await
}

/// `traefik reboot`: a new one with the configuration as it is now, on all servers at once or (`rolling`) one after
/// the other. A server's apps are routed again before the next one's turn.
pub async fn reboot(call: Call<'_>, rolling: bool) -> Result<Gathered, RunError> {
    let secrets = secrets(call).await?;
    let reboot = async |change: &Change<'_>, host: &str| reboot_one(change, &secrets, host).await;
    life::in_groups(call, (KIND, rolling), reboot).await
}

async fn reboot_one(change: &Change<'_>, secrets: &Secrets, host: &str) -> Told {
    let at = At { fleet: &change.fleet, host };
    let running = change.observed.get(host).and_then(core::running);
    let before = match running {
        Some(Api::At(api)) => Client { api: Some(api) }.routed(at).await,
        _ => None,
    };
    let before = before.unwrap_or_default();
    let ensure = ensure(change, secrets, host).map_err(|error| life::unusable(&error, host))?;
    life::log_in(change, of::login(change.call.config(), secrets), host).await?;
    let (own, api) = (ensure.route(), will_have_api(&ensure.traefik));
    let replace = step(core::Step::Replace(Box::new(Replace { ensure: ensure.clone() })));
    let answer: Answer = change.fleet.ask(host, None, &replace).await.map_err(explained)?;
    if let Some(address) = answer.address() {
        let client = client_at(address, api);
        let routes = async {
            client.hears_docker(at, &own).await?;
            client.routes_again(at, &before).await
        };
        if let Err(cause) = routes.await {
            return Err(gives_way(at, &ensure, cause).await);
        }
    }
    settle(at, &ensure, Verdict::Stays).await?;
    Ok("rebooted Traefik".into())
}

/// The secrets of its env and of the registry that its image is in.
async fn secrets(call: Call<'_>) -> Result<Secrets, RunError> {
    let names = [of::of_env(call.config()), of::of_pull(call.config())].concat();
    call.project.secrets(call.world, &names).await
}

/// Traefik as the configuration wants it; every server gets the same.
fn ensure(change: &Change<'_>, secrets: &Secrets, host: &str) -> Result<Ensure, PlanError> {
    core::ensure(change.call.config(), secrets, &change.scope, host)
}

/// `traefik details`.
pub async fn details(call: Call<'_>) -> Result<Gathered, RunError> {
    life::details(call, KIND).await
}

/// `traefik logs`: of every server, once or followed until the run is interrupted.
pub async fn logs(call: Call<'_>, lines: &Lines) -> Result<Gathered, RunError> {
    life::logs(call, (KIND, NAME), lines).await
}
