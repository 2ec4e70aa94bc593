//! The maintenance page: a container beside the app that Traefik sends the app's requests to.
//!
//! Each step goes on only once Traefik is seen to have followed, so that no request is left without an answer: the page
//! answers before the app is left, and the app is routed before the page goes.

use bowline_config::lay_over;
use bowline_core::commands::app::{Drained, Stopped};
use bowline_core::observed::Container;
use bowline_core::plan::step::Step;
use bowline_core::proxy::traefik::labels::{Route, route_labels};
use bowline_core::proxy::traefik::maintenance::{self, Begin, End};
use bowline_core::proxy::traefik::{self, Answer};

use super::{Client, down, step};
use crate::error::{Cause, Failure};
use crate::maintenance::Page;
use crate::proxy::At;
use crate::run::change::{Change, Place, Told};

pub(super) async fn begin(
    client: Option<Client>,
    change: &Change<'_>,
    place: Place<'_>,
    page: &Page,
) -> Told {
    let (host, role) = (&place.host.host, &place.role.name);
    let Some(client) = client else {
        return Err(failed(place, down("Traefik does not run".into())));
    };
    let (labels, configured) = labels(change, place);
    let route = Route::new(
        &format!("the maintenance page of {role}"),
        labels.iter().map(|(key, value)| (key, value)),
    );
    let message = page.message.as_deref().unwrap_or(maintenance::MESSAGE);
    let begin = step(traefik::Step::BeginPage(Box::new(Begin {
        scope: change.scope.clone(),
        role: role.clone(),
        labels,
        configured,
        page: maintenance::page(page.own.as_deref(), message),
        retry_after: page.retry_after,
    })));
    let answer: Answer = change.fleet.ask(host, Some(role), &begin).await?;
    let routed = client.routes_to(at(change, place), &route, &answer.addresses).await;
    routed.map_err(|cause| failed(place, cause))?;
    leave(change, place, client, true).await?;
    let busy = idle(change, place, page).await?;
    Ok(match busy {
        0 => "in maintenance; no request is under way in the app".into(),
        _ => "in maintenance; the app still has open requests".into(),
    })
}

pub(super) async fn end(client: Option<Client>, change: &Change<'_>, place: Place<'_>) -> Told {
    let role = &place.role.name;
    if !place.observed.maintenance.contains(role) {
        leave(change, place, Client { api: None }, false).await?;
        return Ok("was not in maintenance".into());
    }
    let latest = change.call.config().latest_image();
    let Some(app) = place.observed.current(&change.scope.names, role, &latest) else {
        let hint = Some("`app boot` boots it, `app start` starts it again; the page stays until then".into());
        return Err(failed(place, Cause::Told { reason: "the app does not run".into(), hint }));
    };
    let Some(client) = client else {
        return Err(failed(place, down("Traefik does not run".into())));
    };
    let (route, addresses) = (Route::new(&app.name, &app.labels), app.addresses());
    let answers = client.routes_to(at(change, place), &route, &addresses).await;
    answers.map_err(|cause| failed(place, cause))?;
    leave(change, place, client, false).await?;
    Ok("live".into())
}

fn at<'a>(change: &'a Change<'_>, place: Place<'a>) -> At<'a> {
    At { fleet: &change.fleet, host: &place.host.host }
}

/// What Traefik goes by for this role, without the part that is no route: the labels of the container that serves, or
/// else the configuration's.
fn labels(change: &Change<'_>, place: Place<'_>) -> (Vec<(String, String)>, bool) {
    let names = &change.scope.names;
    let prefix = names.prefix(&place.role.name);
    let latest = change.call.config().latest_image();
    match place.observed.current(names, &place.role.name, &latest) {
        Some(serving) => {
            let own = serving.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            (maintenance::labels(&own, &prefix), false)
        }
        None => {
            let own = lay_over(&route_labels(&prefix), &place.role.labels);
            (maintenance::labels(&own, &prefix), true)
        }
    }
}

/// Waits for the requests that the app has; tells how many containers still have some.
async fn idle(change: &Change<'_>, place: Place<'_>, page: &Page) -> Result<usize, Failure> {
    let seconds = page.drain_timeout;
    let mut busy = 0;
    for container in running(change, place) {
        let step = Step::Wait("wait for open requests", maintenance::idle(&container.id, seconds), seconds);
        let stopped: Stopped = change.fleet.ask(&place.host.host, Some(&place.role.name), &step).await?;
        busy += usize::from(stopped.drain == Some(Drained::Busy));
    }
    Ok(busy)
}

fn running<'p>(change: &'p Change<'_>, place: Place<'p>) -> impl Iterator<Item = &'p Container> {
    let all: Vec<&Container> = place.observed.of_role(&change.scope.names, &place.role.name).collect();
    all.into_iter().filter(|container| container.is_running())
}

/// Takes pages away; `others`: but for the one of this run.
async fn leave(change: &Change<'_>, place: Place<'_>, client: Client, others: bool) -> Result<(), Failure> {
    let (host, role) = (&place.host.host, &place.role.name);
    let end = End { scope: change.scope.clone(), role: role.clone(), others };
    let ended: Answer =
        change.fleet.ask(host, Some(role), &step(traefik::Step::EndPages(end.clone()))).await?;
    if ended.addresses.is_empty() && others {
        return Ok(());
    }
    for address in ended.addresses {
        if let Err(cause) = client.let_go_of(at(change, place), address).await {
            at(change, place).note(format!("Traefik may still route to the maintenance page: {cause}"));
        }
    }
    change.fleet.run(host, Some(role), &step(traefik::Step::RemovePages(end))).await.map(drop)
}

fn failed(place: Place<'_>, cause: Cause) -> Failure {
    Failure {
        host: place.host.host.clone(),
        role: Some(place.role.name.clone()),
        doing: "change to or from maintenance".into(),
        cause,
    }
}
