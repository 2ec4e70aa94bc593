//! What the commands for one kind of proxy share: the choice of servers, and their order.

use bowline_core::commands::logs::{self, Lines};
use bowline_core::commands::registry::{self, Login};
use bowline_core::plan::deploy::PlanError;
use bowline_core::plan::step::Step;
use bowline_core::proxy::ProxyKind;
use bowline_core::shell::Script;
use futures_util::future::join_all;

use super::behind;
use crate::call::Call;
use crate::error::{Cause, Failure, RunError};
use crate::hooks::{self, Facts};
use crate::logs::{follow_all, until_stopped};
use crate::run::change::{Change, Told};
use crate::run::fleet::run_all;
use crate::world::Gathered;

/// Changes all servers in parallel.
pub(crate) async fn on_each(
    call: Call<'_>,
    kind: ProxyKind,
    work: impl AsyncFn(&Change<'_>, &str) -> Told,
) -> Result<Gathered, RunError> {
    let (selection, served) = behind(call.config(), &call.options.filters, kind)?;
    let mut change = Change::of(call, selection).await?;
    let part = {
        let (change, work) = (&change, &work);
        let served = &served;
        let one = |host| async move {
            if served.contains(&host) { work(change, host).await } else { Ok(String::new()) }
        };
        change.each_server(one).await
    };
    change.keep(part);
    change.end().await
}

/// Lets a server into the registry that the proxy's image is in: no deploy may have been there yet.
pub(crate) async fn log_in(
    change: &Change<'_>,
    login: Result<Option<Login>, PlanError>,
    host: &str,
) -> Result<(), Failure> {
    let Some(login) = login.map_err(|error| unusable(&error, host))? else { return Ok(()) };
    let step = Step::Run("log in to the registry", registry::login(&login));
    change.fleet.run(host, None, &step).await.map(drop)
}

/// A configuration that can't be carried out on a server.
pub(crate) fn unusable(error: &PlanError, host: &str) -> Failure {
    Failure {
        host: host.into(),
        role: None,
        doing: "read the configuration".into(),
        cause: Cause::Told { reason: error.to_string(), hint: None },
    }
}

/// Changes all servers in parallel or (`rolling`) one after the other, with the hooks of a reboot around each turn. After a failure,
/// no other turn starts.
pub(crate) async fn in_groups(
    call: Call<'_>,
    (kind, rolling): (ProxyKind, bool),
    work: impl AsyncFn(&Change<'_>, &str) -> Told,
) -> Result<Gathered, RunError> {
    let (selection, served) = behind(call.config(), &call.options.filters, kind)?;
    let hosts: Vec<String> = served.into_iter().map(Into::into).collect();
    let mut change = Change::of(call, selection).await?;
    let there: Vec<String> = hosts.into_iter().filter(|host| change.observed.contains_key(host)).collect();
    let groups: Vec<Vec<String>> =
        if rolling { there.into_iter().map(|host| vec![host]).collect() } else { vec![there] };
    let mut hook_failed = None;
    for group in groups {
        if !change.goes_on() {
            break;
        }
        if let Some(failure) = change.lost() {
            change.keep(Gathered { failures: vec![failure], ..Gathered::default() });
            break;
        }
        match one_group(&change, (kind, &group), &work).await {
            Ok(part) => change.keep(part),
            Err(error) => {
                hook_failed = Some(error);
                break;
            }
        }
    }
    let gathered = change.end().await;
    hook_failed.map_or(gathered, Err)
}

async fn one_group(
    change: &Change<'_>,
    (kind, group): (ProxyKind, &[String]),
    work: &impl AsyncFn(&Change<'_>, &str) -> Told,
) -> Result<Gathered, RunError> {
    let call = change.call;
    let version = call.version().await.unwrap_or_default();
    let facts = Facts { locked: true, ..Facts::of(&change.scope, &version, group) };
    hooks::run(call, &hook(call, kind, "pre"), &facts).await?;
    let told = join_all(group.iter().map(|host| work(change, host))).await;
    let part = change.told(group.iter().map(|host| (host.clone(), None)).zip(told));
    hooks::run(call, &hook(call, kind, "post"), &facts).await?;
    Ok(part)
}

/// The hook around a reboot of the proxy. If the project has no hook of this name, the name of the other generation of Kamal is
/// used, so that a hook for a load balancer always runs.
pub(crate) fn hook(call: Call<'_>, kind: ProxyKind, when: &str) -> String {
    let path = &call.config().hooks_path;
    let there = |name: &str| call.world.local.executable(&format!("{path}/{name}")).is_some();
    let [own, other] = match kind {
        ProxyKind::Traefik => ["traefik", "proxy"],
        ProxyKind::Kamal | ProxyKind::None => ["proxy", "traefik"],
    }
    .map(|proxy| format!("{when}-{proxy}-reboot"));
    if !there(&own) && there(&other) { other } else { own }
}

/// Its container on each server.
pub(crate) async fn details(call: Call<'_>, kind: ProxyKind) -> Result<Gathered, RunError> {
    let script = kind.details().map(|(_, script)| script).unwrap_or_default();
    ask(call, kind, &script).await
}

/// The output of a script on each server.
pub(crate) async fn ask(call: Call<'_>, kind: ProxyKind, script: &Script) -> Result<Gathered, RunError> {
    let (_, hosts) = behind(call.config(), &call.options.filters, kind)?;
    let (fleet, failures) = call.connect(&hosts).await?;
    let step = |host: &&str| ((*host).to_string(), None, Step::Run("list", script.clone()));
    let steps = hosts.iter().filter(|host| fleet.has(host)).map(step).collect();
    Ok(run_all(&fleet, steps, failures, hosts.len()).await)
}

/// The log of its container on every server, once or followed until the run is interrupted.
pub(crate) async fn logs(
    call: Call<'_>,
    (kind, name): (ProxyKind, &str),
    lines: &Lines,
) -> Result<Gathered, RunError> {
    let (_, hosts) = behind(call.config(), &call.options.filters, kind)?;
    let (fleet, failures) = call.connect(&hosts).await?;
    let total = hosts.len();
    let step = || Step::Wait("show the log", logs::logs(name, lines), logs::LONGEST_S);
    let there: Vec<&str> = hosts.into_iter().filter(|host| fleet.has(host)).collect();
    if !lines.follow {
        let steps = there.into_iter().map(|host| (host.to_string(), None, step())).collect();
        return Ok(run_all(&fleet, steps, failures, total).await);
    }
    let steps = there.into_iter().map(|host| (host.to_string(), name.to_string(), step())).collect();
    let failed = until_stopped(call.world, follow_all(&fleet, steps)).await?;
    Ok(Gathered { outputs: Vec::new(), failures: failures.into_iter().chain(failed).collect(), total })
}
