//! Commands that change Traefik itself.

use super::container::{Ensure, Power, Remove, Replace, Settle, Verdict, has_api, own_route, will_have_api};
use super::labels::Route;
use super::{Api, NAME, Step, ensure, running};
use crate::commands::policy;
use crate::error::PlanError;
use crate::observed::Container;
use crate::proxy::life::{Act, Here};

#[derive(Debug, Clone, PartialEq)]
pub enum Life {
    Boot {
        ensure: Box<Ensure>,
        routes: Routes,
    },
    Reboot {
        ensure: Box<Ensure>,
        before: Option<Api>,
        /// The restart policy of the one before, which stopping takes from it.
        restart: Option<String>,
    },
    Power {
        power: Power,
        routes: Option<Routes>,
    },
    Remove(Remove),
}

/// What shows that Traefik receives Docker's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    /// The route in Traefik's own labels, if known.
    pub own: Route,
    pub has_api: bool,
}

pub(in crate::proxy) fn life(here: Here<'_>, act: Act) -> Result<Life, PlanError> {
    let Here { config, secrets, scope, observed, .. } = here;
    let ensure = || ensure(config, secrets, scope).map(Box::new);
    let routes = observed.proxy(NAME).map(|before| Routes {
        own: own_route(&before.labels, &before.args),
        has_api: has_api(&before.args),
    });
    Ok(match act {
        Act::Boot => {
            let ensure = ensure()?;
            let new = Routes { own: Route::default(), has_api: will_have_api(&ensure.traefik) };
            Life::Boot { ensure, routes: routes.unwrap_or(new) }
        }
        Act::Reboot | Act::Upgrade => {
            let restart = observed.proxy(NAME).and_then(Container::policy_before_stop).cloned();
            Life::Reboot { ensure: ensure()?, before: running(observed), restart }
        }
        Act::Power(action) => {
            let restart = policy::configured(&config.traefik.options);
            Life::Power { power: Power { scope: scope.clone(), action, restart }, routes }
        }
        Act::Remove | Act::ForceRemove => Life::Remove(Remove { scope: scope.clone() }),
    })
}

impl Life {
    pub(in crate::proxy) fn steps(&self) -> Vec<Step> {
        match self {
            Life::Boot { ensure, .. } => vec![Step::Ensure(ensure.clone())],
            Life::Reboot { ensure, .. } => {
                let stays = Settle { scope: ensure.scope.clone(), verdict: Verdict::Stays };
                let replace = Box::new(Replace { ensure: ensure.as_ref().clone() });
                vec![Step::Replace(replace), Step::Settle(stays)]
            }
            Life::Power { power, .. } => vec![Step::Power(power.clone())],
            Life::Remove(remove) => vec![Step::Remove(remove.clone())],
        }
    }
}
