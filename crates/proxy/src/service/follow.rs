//! Changes across an upgrade: former processes that still drain follow what the current process does to a service.
//!
//! They hold requests that wait for the end of a pause, and open requests to targets that a deploy replaces. They
//! save nothing and take no commands; the current process does.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, Service, Services, Table, TargetSet, TargetSetKind};
use crate::drain::{Afterwards, Limits, drain};
use crate::gate::{self, Gate};
use crate::lock;
use crate::log;
use crate::rollout::Split;
use crate::rules::Rules;
use crate::state;
use crate::target::Target;

/// A service after a change, for the processes that served before this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub service: String,
    /// The service as in the state file; `None` if it has been removed.
    pub record: Option<state::Service>,
    /// The limits for draining what the change replaces.
    pub drain: Limits,
}

/// Completes once the former processes have followed a change.
pub type Followed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Sends a change to the former processes.
pub(super) type Tell = Box<dyn Fn(Change) -> Followed + Send + Sync>;

/// Targets to drain, and whether they accept requests again.
type Aside = (Vec<Arc<Target>>, Afterwards);

impl Services {
    /// Calls `tell` with each change from now on.
    pub fn tell(&self, tell: impl Fn(Change) -> Followed + Send + Sync + 'static) {
        *lock(&self.0.tell) = Some(Box::new(tell));
    }

    /// Sends the current state of a service to the former processes.
    pub(super) fn tell_of(&self, table: &Table, name: &str, drain: Limits) -> Followed {
        let tell = lock(&self.0.tell);
        let Some(tell) = tell.as_ref() else { return Box::pin(std::future::ready(())) };
        let record = table.services.get(name).map(|service| super::table::service_to_file(service));
        tell(Change { service: name.to_owned(), record, drain })
    }

    /// Applies a change by the successor. Returns once the targets that it affects are drained here.
    pub async fn follow(&self, change: Change) {
        let limits = change.drain;
        let aside = self.adopt(&change).unwrap_or_else(|error| {
            let service: log::Field<'_> = ("service", &change.service);
            log::error("Error following a change of a service", &[service, ("error", &error)]);
            let service = self.table().services.get(&*change.service).cloned();
            let targets = service.iter().flat_map(|service| service.sets()).flat_map(|set| set.targets());
            vec![(targets.collect(), Afterwards::Restored)]
        });
        let mut drains = tokio::task::JoinSet::new();
        for (targets, afterwards) in aside {
            drains.spawn(drain(targets, limits, afterwards));
        }
        drains.join_all().await;
    }

    fn adopt(&self, change: &Change) -> Result<Vec<Aside>, Error> {
        let _changing = lock(&self.0.on_change);
        let mut table = Table { services: self.table().services.clone(), ..Table::default() };
        let old = table.services.remove(&*change.service);
        let mut aside = Vec::new();
        let mut opens = None;
        match &change.record {
            None => old.iter().flat_map(|old| old.sets()).for_each(|set| set.checks.stop()),
            Some(record) => {
                let service = self.service_of(record, old.as_deref())?;
                let state = gate::State::of_file(&record.pause_controller);
                if let Some(old) = &old {
                    aside = put_aside(old, &service, &state);
                }
                opens = Some((Arc::clone(&service.gate), state));
                table.services.insert(Arc::clone(&service.name), Arc::new(service));
            }
        }
        table.rebuild();
        self.0.table.store(Arc::new(table));
        // After the new table is installed, so that the requests that this lets through find the new targets.
        if let Some((gate, state)) = opens
            && gate.state() != state
        {
            gate.set(state);
        }
        Ok(aside)
    }

    /// Builds a service from the state file. Keeps the target sets of the old one that haven't changed.
    pub(super) fn service_of(&self, from: &state::Service, old: Option<&Service>) -> Result<Service, Error> {
        let mut options = from.options.clone();
        options.normalize();
        let rules = Rules::new(&options, &from.target_options).map_err(Error::Rules)?;
        let set = |kind: TargetSetKind, present: Option<&Arc<TargetSet>>| match present {
            Some(present) if present.is(from, kind) => Ok(Arc::clone(present)),
            _ => TargetSet::restored(from, kind, self.0.workers).map(Arc::new),
        };
        let active = set(TargetSetKind::Active, old.map(|old| &old.active))?;
        let rollout = (!from.rollout_targets.is_empty())
            .then(|| set(TargetSetKind::Rollout, old.and_then(|old| old.rollout.as_ref())))
            .transpose()?;
        Ok(Service {
            name: from.name.as_str().into(),
            options: Arc::new(options),
            target_options: Arc::new(from.target_options.clone()),
            rules: Arc::new(rules),
            active,
            rollout,
            split: from.rollout_controller.as_ref().map(|split| Arc::new(Split::of_file(split))),
            gate: old.map_or_else(
                || Arc::new(Gate::new(gate::State::of_file(&from.pause_controller))),
                |old| Arc::clone(&old.gate),
            ),
        })
    }
}

/// The targets that get no more requests after a change, or none for now.
fn put_aside(old: &Service, new: &Service, state: &gate::State) -> Vec<Aside> {
    let replaced = |set: &&Arc<TargetSet>| !new.sets().any(|kept| Arc::ptr_eq(kept, set));
    let retired = old.sets().filter(replaced).inspect(|set| set.checks.stop());
    let mut aside = vec![(retired.flat_map(|set| set.targets()).collect(), Afterwards::Gone)];
    if *state != gate::State::Running && old.gate.state() != *state {
        aside.push((new.sets().flat_map(|set| set.targets()).collect(), Afterwards::Restored));
    }
    aside
}
