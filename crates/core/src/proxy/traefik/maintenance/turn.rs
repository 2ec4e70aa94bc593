//! Switches from the app to its maintenance page, and back.

use std::net::IpAddr;

use super::{Begin, End, Idle, MESSAGE, labels, page};
use crate::error::Refusal;
use crate::observed::{Container, Observed};
use crate::proxy::OfRole;
use crate::proxy::traefik::labels::{Route, route_labels};
use crate::proxy::traefik::{Step, running};
use crate::request::Page;
use bowline_config::{Pairs, merge_pairs};

#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// The page responds before the app stops getting requests.
    Begin {
        page: Begin,
        /// Removes earlier pages.
        leave: End,
        /// Waits for the app's open requests, one per container.
        idle: Vec<Idle>,
    },
    /// Traefik routes to the app before the page is removed.
    End {
        /// How requests get to the app, and its addresses. `None` if it isn't in maintenance.
        app: Option<(Route, Vec<IpAddr>)>,
        leave: End,
    },
}

impl Turn {
    pub(crate) fn steps(&self) -> Vec<Step> {
        match self {
            Turn::Begin { page, idle, .. } => {
                let begin = Step::BeginPage(Box::new(page.clone()));
                std::iter::once(begin).chain(idle.iter().cloned().map(Step::Idle)).collect()
            }
            Turn::End { app: None, .. } => Vec::new(),
            Turn::End { leave, .. } => vec![Step::EndPages(leave.clone()), Step::RemovePages(leave.clone())],
        }
    }
}

pub(in crate::proxy::traefik) fn begin(
    of: &OfRole<'_>,
    observed: &Observed,
    wanted: &Page,
    own: Option<&str>,
) -> Result<Turn, Refusal> {
    traefik_runs(observed)?;
    let (labels, configured) = page_labels(of, observed);
    let (scope, role) = (of.scope.clone(), of.role.name.clone());
    let message = wanted.message.as_deref().unwrap_or(MESSAGE);
    let page = Begin {
        scope: scope.clone(),
        role: role.clone(),
        labels,
        configured,
        page: page(own, message),
        retry_after: wanted.retry_after,
    };
    let seconds = wanted.drain_timeout.unwrap_or(of.config.drain_timeout.as_secs());
    let wait = |container: &Container| Idle { id: container.id.clone(), seconds };
    let all = observed.of_role(&of.scope.names, &of.role.name);
    let idle = all.filter(|container| container.is_running()).map(wait).collect();
    Ok(Turn::Begin { page, leave: End { scope, role, others: true }, idle })
}

pub(in crate::proxy::traefik) fn end(of: &OfRole<'_>, observed: &Observed) -> Result<Turn, Refusal> {
    let leave = End { scope: of.scope.clone(), role: of.role.name.clone(), others: false };
    if !observed.maintenance.contains(&of.role.name) {
        return Ok(Turn::End { app: None, leave });
    }
    let Some(app) = current(of, observed) else {
        return Err(Refusal {
            message: "the app is not running".into(),
            hint: "`app boot` boots it, `app start` starts it again; the page stays until then".into(),
        });
    };
    traefik_runs(observed)?;
    Ok(Turn::End { app: Some((Route::new(&app.name, &app.labels), app.addresses())), leave })
}

fn traefik_runs(observed: &Observed) -> Result<(), Refusal> {
    match running(observed) {
        Some(_) => Ok(()),
        None => {
            Err(Refusal { message: "Traefik is not running".into(), hint: "`traefik boot` boots it".into() })
        }
    }
}

fn current<'o>(of: &OfRole<'o>, observed: &'o Observed) -> Option<&'o Container> {
    observed.current(&of.scope.names, &of.role.name, &of.config.latest_image())
}

/// The labels of a role's page, based on those of the serving container, or else (`true`) on those in the configuration.
fn page_labels(of: &OfRole<'_>, observed: &Observed) -> (Pairs, bool) {
    let prefix = of.scope.names.prefix(&of.role.name);
    match current(of, observed) {
        Some(serving) => {
            let own = serving.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            (labels(&own, &prefix), false)
        }
        None => (labels(&merge_pairs(&route_labels(&prefix), &of.role.labels), &prefix), true),
    }
}
