//! `traefik boot|reboot|start|stop|restart|remove|details|logs`: the proxy that all apps of a server share.

use bowline_core::proxy::ProxyKind;
use std::net::{IpAddr, SocketAddr};

use bowline_core::commands::remove::{Remove, What};
use bowline_core::commands::traefik::{
    API_PORT, Action, BACK, Ensure, MADE, Power, Replace, Route, Settle, Verdict, has_api, own_route,
    will_have_api,
};
use bowline_core::commands::{listing, logs, policy, registry};
use bowline_core::names::TRAEFIK;
use bowline_core::plan::deploy::{self as planning, PlanError};
use bowline_core::plan::secrets::{Secrets, traefik_login, traefik_pull_secrets, traefik_secrets};
use bowline_core::plan::step::Step;
use bowline_core::selection::Selection;
use futures_util::future::join_all;

use crate::cord::tell_returns;
use crate::error::{Cause, Failure, RunError};
use crate::hooks::{self, Facts};
use crate::logs::{follow_all, until_stopped};
use crate::proxy::Proxy;
use crate::run::apply::explained;
use crate::run::change::{Change, Told};
use crate::run::fleet::{Fleet, run_all};
use crate::world::{Gathered, Options, Project, World};

/// The servers of a selection that have a role behind Traefik.
pub(crate) fn routed<'a>(selection: &Selection<'a>) -> Result<Vec<&'a str>, RunError> {
    let behind =
        |host: &&str| selection.roles_of(host).any(|(role, _)| ProxyKind::of(role) == ProxyKind::Traefik);
    let hosts: Vec<&str> = selection.hosts.iter().copied().filter(behind).collect();
    if hosts.is_empty() {
        return Err(RunError::Usage {
            message: "no role behind Traefik runs on these servers".into(),
            hint: Some("a role other than the primary one is behind it with `traefik: true`".into()),
        });
    }
    Ok(hosts)
}

/// `traefik boot`: makes sure it runs.
pub async fn boot(world: &World, project: &Project, options: &Options) -> Result<Gathered, RunError> {
    let secrets = secrets(world, project).await?;
    on_each(world, project, options, async |change: &Change<'_>, host: &str| {
        let ensure = ensure(change, &secrets, host).map_err(|error| unusable(&error, host))?;
        log_in(change, &secrets, host).await?;
        let output = change.fleet.run(host, None, &Step::Proxy(ensure.clone())).await.map_err(explained)?;
        let before = change.observed.get(host).and_then(|observed| observed.traefik.as_ref());
        let (own, has_api) = match before {
            Some(before) => (own_route(&before.labels, &before.args), has_api(&before.args)),
            None => (Route::default(), will_have_api(&ensure.traefik)),
        };
        came_up(&change.fleet, host, &ensure, Started { own, has_api, answer: &output.stdout }).await?;
        Ok("Traefik runs".into())
    })
    .await
}

/// `traefik start`, `stop`, `restart`.
pub async fn power(
    world: &World,
    project: &Project,
    options: &Options,
    action: Action,
) -> Result<Gathered, RunError> {
    on_each(world, project, options, async |change: &Change<'_>, host: &str| {
        let restart = policy::configured(&project.config.traefik.options);
        let step = Step::Power(Power { scope: change.scope.clone(), action, restart });
        let output = change.fleet.run(host, None, &step).await?;
        tell_returns(&change.fleet, host, TRAEFIK, &output.stdout);
        let running = change.observed.get(host).and_then(|observed| observed.traefik.as_ref());
        if let (Some(running), Some(address)) = (running, address(&output.stdout)) {
            let own = own_route(&running.labels, &running.args);
            let heard =
                proxy_at(address, has_api(&running.args)).hears_docker(&change.fleet, host, &own).await;
            heard.map_err(|cause| deaf(host, cause))?;
        }
        Ok(match action {
            Action::Start => "started Traefik",
            Action::Stop => "stopped Traefik",
            Action::Restart => "restarted Traefik",
        }
        .into())
    })
    .await
}

/// `traefik remove`: unless it has containers to route to.
pub async fn remove(world: &World, project: &Project, options: &Options) -> Result<Gathered, RunError> {
    on_each(world, project, options, async |change: &Change<'_>, host: &str| {
        let step = Step::Remove(Remove { scope: change.scope.clone(), what: What::Traefik });
        let output = change.fleet.run(host, None, &step).await?;
        Ok(match output.stdout.lines().find_map(|line| line.strip_prefix("@kept ")) {
            Some(others) => format!("Traefik stays: it routes to {}", others.trim()),
            None => "removed Traefik".into(),
        })
    })
    .await
}

/// `traefik reboot`: a new one with the configuration as it is now, on all servers at once or (`rolling`) one after
/// the other. A server's apps are routed again before the next one's turn.
pub async fn reboot(
    world: &World,
    project: &Project,
    options: &Options,
    rolling: bool,
) -> Result<Gathered, RunError> {
    let selection = Selection::new(&project.config, &options.filters)?;
    let hosts: Vec<String> = routed(&selection)?.into_iter().map(Into::into).collect();
    let secrets = secrets(world, project).await?;
    let mut change = Change::begin(world, project, options).await?;
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
        match reboot_group(world, options, &change, &secrets, &group).await {
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

async fn reboot_group(
    world: &World,
    options: &Options,
    change: &Change<'_>,
    secrets: &Secrets,
    group: &[String],
) -> Result<Gathered, RunError> {
    let project = change.project;
    let facts = Facts {
        performer: change.scope.performer.clone(),
        version: crate::version::resolve(world, &project.config, options).await.unwrap_or_default(),
        hosts: group.to_vec(),
        locked: true,
        run: change.scope.run.clone(),
        runtime: None,
    };
    hooks::run(world, project, options, &hook(world, project, "pre"), &facts).await?;
    let told = join_all(group.iter().map(|host| reboot_one(change, secrets, host))).await;
    let part = change.told(group.iter().map(|host| (host.clone(), None)).zip(told));
    hooks::run(world, project, options, &hook(world, project, "post"), &facts).await?;
    Ok(part)
}

/// The hook around a reboot of the proxy. Kamal 2 has it by another name, and no project with ours is one of its: so that
/// one counts where there is none of ours, rather than that a load balancer isn't told.
fn hook(world: &World, project: &Project, when: &str) -> String {
    let path = &project.config.hooks_path;
    let there = |name: &str| world.local.executable(&format!("{path}/{name}")).is_some();
    let (ours, kamal_2s) = (format!("{when}-traefik-reboot"), format!("{when}-proxy-reboot"));
    if !there(&ours) && there(&kamal_2s) { kamal_2s } else { ours }
}

async fn reboot_one(change: &Change<'_>, secrets: &Secrets, host: &str) -> Told {
    let before = match change.api(host) {
        Some(api) => Proxy { api: Some(api) }.routed(&change.fleet, host).await,
        None => None,
    };
    let before = before.unwrap_or_default();
    let ensure = ensure(change, secrets, host).map_err(|error| unusable(&error, host))?;
    log_in(change, secrets, host).await?;
    let (own, api) = (ensure.route(), will_have_api(&ensure.traefik));
    let step = Step::ReplaceProxy(Box::new(Replace { ensure: ensure.clone() }));
    let output = change.fleet.run(host, None, &step).await.map_err(explained)?;
    if let Some(address) = address(&output.stdout) {
        let (proxy, fleet) = (proxy_at(address, api), &change.fleet);
        let routes = async {
            proxy.hears_docker(fleet, host, &own).await?;
            proxy.routes_again(fleet, host, &before).await
        };
        if let Err(cause) = routes.await {
            return Err(gives_way(fleet, &ensure, host, cause).await);
        }
    }
    settle(&change.fleet, &ensure, host, Verdict::Stays).await?;
    Ok("rebooted Traefik".into())
}

/// A Traefik that was started.
pub(crate) struct Started<'a> {
    /// Where it routes by its own labels, if it was there before and that is known.
    pub own: Route,
    /// Whether its API answers.
    pub has_api: bool,
    /// What the script said that started it.
    pub answer: &'a str,
}

/// Sees that a Traefik which a deploy or `traefik boot` started hears from Docker. One that was just made and doesn't is
/// removed: it would be taken for a good one from then on.
pub(crate) async fn came_up(
    fleet: &Fleet,
    host: &str,
    ensure: &Ensure,
    started: Started<'_>,
) -> Result<(), Failure> {
    let Some(address) = address(started.answer) else { return Ok(()) };
    let is_new = started.answer.lines().any(|line| line == MADE);
    let own = if is_new { ensure.route() } else { started.own };
    match proxy_at(address, started.has_api).hears_docker(fleet, host, &own).await {
        Ok(()) => Ok(()),
        Err(cause) if is_new => Err(gives_way(fleet, ensure, host, cause).await),
        Err(cause) => Err(deaf(host, cause)),
    }
}

/// Puts the Traefik before back, if there was one; the failure with what became of it.
async fn gives_way(fleet: &Fleet, ensure: &Ensure, host: &str, cause: Cause) -> Failure {
    let mut failure = deaf(host, cause);
    let became = match settle(fleet, ensure, host, Verdict::GivesWay).await {
        Ok(answer) if answer.contains(BACK) => "the old one was started again".into(),
        Ok(_) => "it was removed".into(),
        Err(other) => format!("it could not be removed ({})", other.cause),
    };
    failure.cause = Cause::Told { reason: format!("{}; {became}", failure.cause), hint: failure.hint() };
    failure
}

async fn settle(fleet: &Fleet, ensure: &Ensure, host: &str, verdict: Verdict) -> Result<String, Failure> {
    let step = Step::SettleProxy(Settle { scope: ensure.scope.clone(), verdict, restart: ensure.restart() });
    fleet.run(host, None, &step).await.map(|output| output.stdout)
}

fn deaf(host: &str, cause: Cause) -> Failure {
    Failure { host: host.into(), role: None, doing: "see Traefik route".into(), cause }
}

fn address(answer: &str) -> Option<IpAddr> {
    answer.lines().find_map(|line| line.strip_prefix("@address ")?.trim().parse().ok())
}

fn proxy_at(address: IpAddr, has_api: bool) -> Proxy {
    Proxy { api: has_api.then(|| SocketAddr::new(address, API_PORT)) }
}

/// The secrets of its env and of the registry that its image is in.
async fn secrets(world: &World, project: &Project) -> Result<Secrets, RunError> {
    let names = [traefik_secrets(&project.config), traefik_pull_secrets(&project.config)].concat();
    project.secrets(world, &names).await
}

/// Lets a server into that registry: no deploy may have been there yet.
async fn log_in(change: &Change<'_>, secrets: &Secrets, host: &str) -> Result<(), Failure> {
    let login = traefik_login(&change.project.config, secrets).map_err(|error| unusable(&error, host))?;
    let Some(login) = login else { return Ok(()) };
    let step = Step::Run("log in to the registry", registry::login(&login));
    change.fleet.run(host, None, &step).await.map(drop)
}

/// Traefik as the configuration wants it; every server gets the same.
fn ensure(change: &Change<'_>, secrets: &Secrets, host: &str) -> Result<Ensure, PlanError> {
    planning::ensure(&change.project.config, secrets, &change.scope, host)
}

fn unusable(error: &PlanError, host: &str) -> Failure {
    Failure {
        host: host.into(),
        role: None,
        doing: "read the configuration".into(),
        cause: Cause::Told { reason: error.to_string(), hint: None },
    }
}

async fn on_each(
    world: &World,
    project: &Project,
    options: &Options,
    work: impl AsyncFn(&Change<'_>, &str) -> Told,
) -> Result<Gathered, RunError> {
    routed(&Selection::new(&project.config, &options.filters)?)?;
    let mut change = Change::begin(world, project, options).await?;
    let part = {
        let (change, work) = (&change, &work);
        let routed = |host: &str| {
            change.selection.roles_of(host).any(|(role, _)| ProxyKind::of(role) == ProxyKind::Traefik)
        };
        let one =
            |host| async move { if routed(host) { work(change, host).await } else { Ok(String::new()) } };
        change.each_server(one).await
    };
    change.keep(part);
    change.end().await
}

/// `traefik details`.
pub async fn details(world: &World, project: &Project, options: &Options) -> Result<Gathered, RunError> {
    let selection = Selection::new(&project.config, &options.filters)?;
    let hosts = routed(&selection)?;
    hooks::pre_connect(world, project, options, &hosts).await?;
    let (fleet, failures) = Fleet::connect(world, project, &hosts).await?;
    let step = |host: &&str| ((*host).to_string(), None, Step::Run("list", listing::traefik()));
    let steps = hosts.iter().filter(|host| fleet.has(host)).map(step).collect();
    Ok(run_all(&fleet, steps, failures, hosts.len()).await)
}

/// `traefik logs`: of every server, or followed as they come until the run is stopped.
pub async fn logs(
    world: &World,
    project: &Project,
    options: &Options,
    lines: &logs::Lines,
) -> Result<Gathered, RunError> {
    let selection = Selection::new(&project.config, &options.filters)?;
    let hosts = routed(&selection)?;
    hooks::pre_connect(world, project, options, &hosts).await?;
    let (fleet, failures) = Fleet::connect(world, project, &hosts).await?;
    let total = hosts.len();
    let step = || Step::Wait("show the log", logs::logs(TRAEFIK, lines), logs::LONGEST_S);
    let there: Vec<&str> = hosts.into_iter().filter(|host| fleet.has(host)).collect();
    if !lines.follow {
        let steps = there.into_iter().map(|host| (host.to_string(), None, step())).collect();
        return Ok(run_all(&fleet, steps, failures, total).await);
    }
    let steps = there.into_iter().map(|host| (host.to_string(), TRAEFIK.to_string(), step())).collect();
    let failed = until_stopped(world, follow_all(&fleet, steps)).await?;
    Ok(Gathered { outputs: Vec::new(), failures: failures.into_iter().chain(failed).collect(), total })
}
