//! `traefik boot|reboot|start|stop|restart|remove|details|logs`: the proxy that all apps of a server share.

use bowline_core::commands::{Action, logs, policy, registry};
use bowline_core::plan::deploy::PlanError;
use bowline_core::plan::secrets::Secrets;
use bowline_core::plan::step::Step;
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::traefik::container::{
    self, Ensure, Power, Replace, Verdict, has_api, own_route, will_have_api,
};
use bowline_core::proxy::traefik::labels::Route;
use bowline_core::proxy::traefik::{self as core, Answer, Api, NAME, secrets as of};
use bowline_core::selection::Selection;
use futures_util::future::join_all;

use crate::error::{Cause, Failure, RunError};
use crate::hooks::{self, Facts};
use crate::logs::{follow_all, until_stopped};
use crate::proxy::traefik::settle::{Started, came_up, client_at, deaf, explained, gives_way, settle};
use crate::proxy::traefik::{Client, no_role, remove_from, step};
use crate::proxy::{At, behind};
use crate::run::change::{Change, Told};
use crate::run::fleet::{Fleet, run_all};
use crate::run::retire::tell_returns;
use crate::world::{Gathered, Options, Project, World};

/// The servers of a selection that have a role behind Traefik.
fn routed<'a>(selection: &Selection<'a>) -> Result<Vec<&'a str>, RunError> {
    let hosts = behind(selection, ProxyKind::Traefik);
    if hosts.is_empty() { Err(no_role()) } else { Ok(hosts) }
}

/// `traefik boot`: makes sure it runs.
pub async fn boot(world: &World, project: &Project, options: &Options) -> Result<Gathered, RunError> {
    let secrets = secrets(world, project).await?;
    on_each(world, project, options, async |change: &Change<'_>, host: &str| {
        let ensure = ensure(change, &secrets, host).map_err(|error| unusable(&error, host))?;
        log_in(change, &secrets, host).await?;
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
pub async fn power(
    world: &World,
    project: &Project,
    options: &Options,
    action: Action,
) -> Result<Gathered, RunError> {
    on_each(world, project, options, async |change: &Change<'_>, host: &str| {
        let restart = policy::configured(&project.config.traefik.options);
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
    on_each(world, project, options, remove_from).await
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
    let at = At { fleet: &change.fleet, host };
    let running = change.observed.get(host).and_then(core::running);
    let before = match running {
        Some(Api::At(api)) => Client { api: Some(api) }.routed(at).await,
        _ => None,
    };
    let before = before.unwrap_or_default();
    let ensure = ensure(change, secrets, host).map_err(|error| unusable(&error, host))?;
    log_in(change, secrets, host).await?;
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
async fn secrets(world: &World, project: &Project) -> Result<Secrets, RunError> {
    let names = [of::of_env(&project.config), of::of_pull(&project.config)].concat();
    project.secrets(world, &names).await
}

/// Lets a server into that registry: no deploy may have been there yet.
async fn log_in(change: &Change<'_>, secrets: &Secrets, host: &str) -> Result<(), Failure> {
    let login = of::login(&change.project.config, secrets).map_err(|error| unusable(&error, host))?;
    let Some(login) = login else { return Ok(()) };
    let step = Step::Run("log in to the registry", registry::login(&login));
    change.fleet.run(host, None, &step).await.map(drop)
}

/// Traefik as the configuration wants it; every server gets the same.
fn ensure(change: &Change<'_>, secrets: &Secrets, host: &str) -> Result<Ensure, PlanError> {
    core::ensure(&change.project.config, secrets, &change.scope, host)
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
        let routed = &behind(&change.selection, ProxyKind::Traefik);
        let one = |host| async move {
            if routed.contains(&host) { work(change, host).await } else { Ok(String::new()) }
        };
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
    let step = |host: &&str| ((*host).to_string(), None, Step::Run("list", container::details()));
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
    let step = || Step::Wait("show the log", logs::logs(NAME, lines), logs::LONGEST_S);
    let there: Vec<&str> = hosts.into_iter().filter(|host| fleet.has(host)).collect();
    if !lines.follow {
        let steps = there.into_iter().map(|host| (host.to_string(), None, step())).collect();
        return Ok(run_all(&fleet, steps, failures, total).await);
    }
    let steps = there.into_iter().map(|host| (host.to_string(), NAME.to_string(), step())).collect();
    let failed = until_stopped(world, follow_all(&fleet, steps)).await?;
    Ok(Gathered { outputs: Vec::new(), failures: failures.into_iter().chain(failed).collect(), total })
}
