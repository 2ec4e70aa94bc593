//! Commands that change the proxy itself.

use super::container::{Ensure, Power, Remove, Replace};
use super::upgrade::Look;
use super::{Step, ensure, version};
use crate::error::PlanError;
use crate::proxy::life::{Act, Here};

#[derive(Debug, Clone, PartialEq)]
pub enum Life {
    Boot(Box<Ensure>),
    Reboot(Box<Ensure>),
    Upgrade(Box<Ensure>),
    Power(Power),
    Remove(Remove),
}

pub(in crate::proxy) fn life(here: Here<'_>, act: Act) -> Result<Life, PlanError> {
    let Here { config, scope, host, .. } = here;
    let ensure = Box::new(ensure(config, scope, host));
    if act.makes() {
        version::makes(host, &ensure)?;
    }
    Ok(match act {
        Act::Boot => Life::Boot(ensure),
        Act::Reboot => Life::Reboot(ensure),
        Act::Upgrade => Life::Upgrade(ensure),
        Act::Power(action) => Life::Power(Power { scope: scope.clone(), action }),
        Act::Remove => Life::Remove(Remove { scope: scope.clone(), force: false }),
        Act::ForceRemove => Life::Remove(Remove { scope: scope.clone(), force: true }),
    })
}

impl Life {
    /// The first step. Others may follow from its answer.
    pub(in crate::proxy) fn step(&self) -> Step {
        match self {
            Life::Boot(ensure) => Step::Ensure(ensure.clone()),
            Life::Reboot(ensure) => Step::Replace(Box::new(Replace { ensure: ensure.as_ref().clone() })),
            Life::Upgrade(ensure) => Step::Look(Box::new(Look { ensure: ensure.as_ref().clone() })),
            Life::Power(power) => Step::Power(power.clone()),
            Life::Remove(remove) => Step::Remove(remove.clone()),
        }
    }
}
