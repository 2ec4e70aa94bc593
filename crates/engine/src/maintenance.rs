//! `app maintenance`, `app live`: a page in the app's place, and back.
//!
//! Each step goes on only once Traefik is seen to have followed, so that no request meets nobody: the page answers
//! before the app is left, and the app is routed before the page goes.

use bowline_core::proxy::ProxyKind;
use std::net::IpAddr;

use bowline_core::commands::maintenance::{self, Begin, End};
use bowline_core::commands::traefik::{Route, overlay, route_labels};
use bowline_core::observed::Container;
use bowline_core::plan::step::Step;
use bowline_core::selection::Selection;

use crate::error::{Cause, Failure, RunError};
use crate::event::Event;
use crate::proxy::Proxy;
use crate::run::change::{Change, Place, Told, check_proxies};
use crate::traefik::routed;
use crate::world::{Gathered, Options, Project, World};

/// The largest page, in bytes: it goes into a file that Traefik reads whole.
const LARGEST: usize = 1 << 20;

/// What the page says, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The text.
    pub message: Option<String>,
    /// `Retry-After`.
    pub retry_after: u32,
    /// How long requests that the app has may take; `drain_timeout` unless given.
    pub drain_timeout: Option<u64>,
}

/// `app maintenance`: every request gets 503 and a page from now on; those that the app has are waited for.
pub async fn begin(
    world: &World,
    project: &Project,
    options: &Options,
    request: &Request,
) -> Result<Gathered, RunError> {
    check(project, options)?;
    let own = own_page(world, project)?;
    let page = maintenance::page(own.as_deref(), request.message.as_deref().unwrap_or(maintenance::MESSAGE));
    let mut change = Change::begin(world, project, options).await?;
    let part = change.each_role(|place| begin_one(&change, place, request, &page)).await;
    change.keep(part);
    change.end().await
}

/// `app live`: the app answers again.
pub async fn end(world: &World, project: &Project, options: &Options) -> Result<Gathered, RunError> {
    check(project, options)?;
    let mut change = Change::begin(world, project, options).await?;
    let part = change.each_role(|place| end_one(&change, place)).await;
    change.keep(part);
    change.end().await
}

/// Only what Traefik routes to can be stood in for.
fn check(project: &Project, options: &Options) -> Result<(), RunError> {
    check_proxies(project, options)?;
    routed(&Selection::new(&project.config, &options.filters)?).map(drop)
}

/// `503.html` of `error_pages_path`, if the project has one.
fn own_page(world: &World, project: &Project) -> Result<Option<String>, RunError> {
    let Some(directory) = &project.config.error_pages_path else { return Ok(None) };
    let path = format!("{}/503.html", directory.trim_end_matches('/'));
    let wrong = |reason: String, hint: &str| RunError::Local {
        what: "maintenance page".into(),
        reason,
        hint: Some(hint.into()),
        standing: Vec::new(),
    };
    let page = world.local.read(&path).map_err(|reason| wrong(reason, "it should be UTF-8 text"))?;
    match page {
        Some(page) if page.len() > LARGEST => Err(wrong(
            format!("{path} has {} bytes; {LARGEST} are the most", page.len()),
            "leave images to another server",
        )),
        page => Ok(page),
    }
}

async fn begin_one(change: &Change<'_>, place: Place<'_>, request: &Request, page: &str) -> Told {
    if ProxyKind::of(place.role) != ProxyKind::Traefik {
        return Ok(String::new());
    }
    let (host, role) = (&place.host.host, &place.role.name);
    let Some(proxy) = Change::proxy(place) else {
        let hint = Some("`traefik boot` boots it".into());
        return Err(failed(place, Cause::Told { reason: "Traefik does not run".into(), hint }));
    };
    let (labels, configured) = labels(change, place);
    let route = Route::new(
        &format!("the maintenance page of {role}"),
        labels.iter().map(|(key, value)| (key, value)),
    );
    let step = Step::Maintenance(Box::new(Begin {
        scope: change.scope.clone(),
        role: role.clone(),
        labels,
        configured,
        page: page.to_owned(),
        retry_after: request.retry_after,
    }));
    let output = change.fleet.run(host, Some(role), &step).await?;
    let page = addresses(&output.stdout);
    let routed = proxy.routes_to(&change.fleet, host, &route, &page).await;
    routed.map_err(|cause| failed(place, cause))?;
    leave(change, place, proxy, true).await?;
    let busy = idle(change, place, request).await?;
    Ok(match busy {
        0 => "in maintenance; no request is under way in the app".into(),
        _ => "in maintenance; the app still has open requests".into(),
    })
}

/// What Traefik goes by for this role, without the part that is no route: the labels of the container that serves, or
/// else the configuration's.
fn labels(change: &Change<'_>, place: Place<'_>) -> (Vec<(String, String)>, bool) {
    let names = &change.scope.names;
    let prefix = names.prefix(&place.role.name);
    let latest = change.project.config.latest_image();
    match place.observed.current(names, &place.role.name, &latest) {
        Some(serving) => {
            let own = serving.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            (maintenance::labels(&own, &prefix), false)
        }
        None => {
            let own = overlay(&route_labels(&prefix), &place.role.labels);
            (maintenance::labels(&own, &prefix), true)
        }
    }
}

/// Waits for the requests that the app has; tells how many containers still have some.
async fn idle(change: &Change<'_>, place: Place<'_>, request: &Request) -> Result<usize, Failure> {
    let seconds = request.drain_timeout.unwrap_or(change.project.config.drain_timeout.as_secs());
    let mut busy = 0;
    for container in running(change, place) {
        let step = Step::Wait("wait for open requests", maintenance::idle(&container.id, seconds), seconds);
        let output = change.fleet.run(&place.host.host, Some(&place.role.name), &step).await?;
        busy += usize::from(output.stdout.contains("@drain busy"));
    }
    Ok(busy)
}

fn running<'p>(change: &'p Change<'_>, place: Place<'p>) -> impl Iterator<Item = &'p Container> {
    let all: Vec<&Container> = place.observed.of_role(&change.scope.names, &place.role.name).collect();
    all.into_iter().filter(|container| container.is_running())
}

async fn end_one(change: &Change<'_>, place: Place<'_>) -> Told {
    if ProxyKind::of(place.role) != ProxyKind::Traefik {
        return Ok(String::new());
    }
    let (host, role) = (&place.host.host, &place.role.name);
    if !place.observed.maintenance.contains(role) {
        leave(change, place, Proxy { api: None }, false).await?;
        return Ok("was not in maintenance".into());
    }
    let latest = change.project.config.latest_image();
    let told = |reason: &str, hint: &str| {
        failed(place, Cause::Told { reason: reason.into(), hint: Some(hint.into()) })
    };
    let Some(app) = place.observed.current(&change.scope.names, role, &latest) else {
        let hint = "`app boot` boots it, `app start` starts it again; the page stays until then";
        return Err(told("the app does not run", hint));
    };
    let Some(proxy) = Change::proxy(place) else {
        return Err(told("Traefik does not run", "`traefik boot` boots it"));
    };
    let (route, addresses) = (Route::new(&app.name, &app.labels), app.addresses());
    let answers = proxy.routes_to(&change.fleet, host, &route, &addresses).await;
    answers.map_err(|cause| failed(place, cause))?;
    leave(change, place, proxy, false).await?;
    Ok("live".into())
}

/// Takes pages away; `others`: but for the one of this run.
async fn leave(change: &Change<'_>, place: Place<'_>, proxy: Proxy, others: bool) -> Result<(), Failure> {
    let (host, role) = (&place.host.host, &place.role.name);
    let end = End { scope: change.scope.clone(), role: role.clone(), others };
    let step = Step::EndPages(end.clone());
    let told = change.fleet.run(host, Some(role), &step).await?;
    if !told.stdout.contains("@address") && others {
        return Ok(());
    }
    for address in addresses(&told.stdout) {
        if let Err(cause) = proxy.let_go_of(&change.fleet, host, address).await {
            let text = format!("Traefik may still route to the maintenance page: {cause}");
            change.fleet.emit(Event::Note { host: Some(host.clone()), text });
        }
    }
    let step = Step::RemovePages(end);
    change.fleet.run(host, Some(role), &step).await.map(drop)
}

fn addresses(answer: &str) -> Vec<IpAddr> {
    answer.lines().filter_map(|line| line.strip_prefix("@address ")?.trim().parse().ok()).collect()
}

fn failed(place: Place<'_>, cause: Cause) -> Failure {
    Failure {
        host: place.host.host.clone(),
        role: Some(place.role.name.clone()),
        doing: "change to or from maintenance".into(),
        cause,
    }
}
