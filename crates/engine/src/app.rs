//! `app start`, `stop`, `stale-containers`: the app's containers, outside of a deploy.

use bowline_core::commands::app;
use bowline_core::names::Names;
use bowline_core::observed::Container;
use bowline_core::plan::{retire as planning, step::Step};

use crate::call::Call;
use crate::error::{Cause, Failure, Result};
use crate::proxy::{self, At, Target, wait_for};
use crate::run::change::{Change, Place, Told};
use crate::run::health;
use crate::run::observe::look;
use crate::run::retire::retire;
use crate::world::{Gathered, HostOutput};

const NO_STALE: &str = "no stale containers";

/// `app start`: starts each role's container again: the version named, else the one that served last.
pub async fn start(call: Call<'_>) -> Result<Gathered> {
    let mut change = Change::begin(call).await?;
    let version = call.options.version.as_deref();
    let part = change.each_role(|place| start_one(&change, place, version)).await;
    change.keep(part);
    change.end().await
}

async fn start_one(change: &Change<'_>, place: Place<'_>, version: Option<&str>) -> Told {
    let names = &change.scope.names;
    let role = &place.role.name;
    let failed = |doing: &str, cause: Cause| Failure {
        host: place.host.host.clone(),
        role: Some(role.clone()),
        doing: doing.into(),
        cause,
    };
    let latest = place.observed.images.get(&change.call.config().latest_image());
    let mut containers = place.observed.of_role(names, role);
    let found = match version {
        Some(version) => containers.find(|container| container.version(names, role) == version),
        None => match place.observed.current(names, role, &change.call.config().latest_image()) {
            Some(running) => Some(running),
            None => {
                let all: Vec<&Container> = containers.collect();
                all.iter().find(|c| Some(&c.image_id) == latest).or(all.first()).copied()
            }
        },
    };
    let Some(container) = found else {
        let what = version.map_or_else(String::new, |version| format!(" of version {version}"));
        return Err(failed(
            "start the app",
            Cause::Told {
                reason: format!("there is no container{what} to start"),
                hint: Some("`app containers` lists the existing ones; `app boot` creates a new one".into()),
            },
        ));
    };
    if container.is_running() {
        return Ok(format!("{} runs already", container.name));
    }
    let start = planning::restart(change.call.config(), &change.scope, place.role, container);
    let step = Step::Start(Box::new(start.clone()));
    let host = &place.host.host;
    let output = change.fleet.run_watched(host, Some(role), &step, &|_| {}).await?;
    let addresses = health::outcome(&start.name, start.timeout, output)
        .map_err(|cause| failed(&step.describe(), cause))?;
    let ready = Target { role: Some(role), id: &start.id, addresses: &addresses };
    let attached = change.proxy(place).attach(&start.attach, ready).await;
    attached.map_err(|cause| failed(&wait_for(start.attach.kind()), cause))?;
    Ok(format!("started {}", start.name))
}

/// `app stop`: every running container, after its open requests have finished.
pub async fn stop(call: Call<'_>) -> Result<Gathered> {
    let mut change = Change::begin(call).await?;
    let part = change.each_role(|place| stop_all(&change, place)).await;
    change.keep(part);
    change.end().await
}

/// Stops a role's selected running containers, one after the other, and returns their names.
async fn stop_those(
    change: &Change<'_>,
    place: Place<'_>,
    wanted: impl Fn(&Container) -> bool,
) -> Result<Vec<String>, Failure> {
    let role = &place.role.name;
    let mut stopped = Vec::new();
    let running =
        place.observed.of_role(&change.scope.names, role).filter(|container| container.is_running());
    for container in running.filter(|container| wanted(container)) {
        let retirement = planning::retirement(change.call.config(), &change.scope, place.role, container);
        let proxy = change.proxy_of(retirement.detach.kind(), place);
        retire(&change.fleet, &place.host.host, role, &retirement, proxy.as_ref()).await?;
        stopped.push(container.name.clone());
    }
    Ok(stopped)
}

fn told(stopped: &[String], otherwise: &str) -> String {
    if stopped.is_empty() { otherwise.into() } else { format!("stopped {}", stopped.join(", ")) }
}

pub(crate) async fn stop_all(change: &Change<'_>, place: Place<'_>) -> Told {
    let stopped = stop_those(change, place, |_| true).await?;
    if !stopped.is_empty() {
        let role = place.role.name.as_str();
        let step = Step::Run("write to the audit log", app::stopped(&change.scope, role));
        change.fleet.run(&place.host.host, Some(role), &step).await?;
    }
    Ok(told(&stopped, "nothing runs"))
}

/// `app stale-containers`: lists running containers other than the one that serves, and with `stop`, stops them.
pub async fn stale(call: Call<'_>, stop: bool) -> Result<Gathered> {
    if !stop {
        return list_stale(call).await;
    }
    let mut change = Change::begin(call).await?;
    let part = change.each_role(|place| stop_stale(&change, place)).await;
    change.keep(part);
    let part = change.each_server(|host| stop_orphans(&change, host)).await;
    change.keep(part);
    change.end().await
}

/// Stops the containers on a server whose roles are no longer in the configuration.
pub(crate) async fn stop_orphans(change: &Change<'_>, host: &str) -> Told {
    let config = change.call.config();
    let Some(observed) = change.observed.get(host).filter(|_| change.is_whole(host)) else {
        return Ok(String::new());
    };
    let mut stopped = Vec::new();
    for (role, container) in planning::orphans(config, &change.scope.names, host, observed) {
        if !container.is_running() {
            continue;
        }
        let retirement = planning::orphan(config, &change.scope, role, container);
        let at = At { fleet: &change.fleet, host };
        let proxy = proxy::observed(retirement.detach.kind(), at, observed);
        retire(&change.fleet, host, role, &retirement, proxy.as_ref()).await?;
        stopped.push(container.name.clone());
    }
    Ok(if stopped.is_empty() { String::new() } else { told(&stopped, "") })
}

async fn stop_stale(change: &Change<'_>, place: Place<'_>) -> Told {
    let latest = change.call.config().latest_image();
    let current = place.observed.current(&change.scope.names, &place.role.name, &latest);
    let current = current.map(|container| &container.id);
    let stopped = stop_those(change, place, |container| Some(&container.id) != current).await?;
    Ok(told(&stopped, NO_STALE))
}

async fn list_stale(call: Call<'_>) -> Result<Gathered> {
    let looked = look(call).await?;
    let config = call.config();
    let names = Names::of(config);
    let mut orphans = Vec::new();
    for (host, observed) in looked.observed.iter().filter(|_| call.options.filters.roles.is_empty()) {
        let found = planning::orphans(config, &names, host, observed).into_iter();
        let running = found.filter(|(_, container)| container.is_running());
        let told =
            running.map(|(role, container)| format!("{} (there is no role {role} here)", container.name));
        let told: Vec<String> = told.collect();
        if !told.is_empty() {
            orphans.push(HostOutput::said(host, None, &told.join("\n")));
        }
    }
    let mut gathered = looked.told(|role, observed| {
        let current = observed.current(&names, role, &config.latest_image()).map(|container| &container.id);
        let stale: Vec<String> = observed
            .of_role(&names, role)
            .filter(|container| container.is_running() && Some(&container.id) != current)
            .map(|container| format!("{} (version {})", container.name, container.version(&names, role)))
            .collect();
        match stale.len() {
            0 => NO_STALE.into(),
            _ => format!("{}\n`app stale-containers --stop` stops them", stale.join("\n")),
        }
    });
    gathered.outputs.extend(orphans);
    Ok(gathered)
}
