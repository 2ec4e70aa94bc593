//! A change outside a deploy (`app stop`, `prune`, …). It holds the deploy lock, and works on all servers in
//! parallel and independently.

use std::collections::BTreeMap;

use bowline_core::commands::Scope;
use bowline_core::observed::Observed;
use bowline_core::plan::change::{After, Basis, Given, Stage};
use bowline_core::selection::Selection;

use crate::call::Call;
use crate::error::{Cause, Failure, RunError};
use crate::event::{Event, Phase};
use crate::hooks::{self, Facts};
use crate::proxy::life::hook;
use crate::run::fleet::Fleet;
use crate::run::lock::Lock;
use crate::run::observe::observe;
use crate::run::work::Crew;
use crate::world::Gathered;

pub(crate) struct Change<'a> {
    call: Call<'a>,
    selection: Selection<'a>,
    fleet: Fleet,
    scope: Scope,
    observed: BTreeMap<String, Observed>,
    lock: Option<Lock>,
    gathered: Gathered,
}

/// The result of a piece of work: a human-readable line, empty if there is nothing to say, or the failure.
pub(crate) type Done = Result<String, Failure>;

impl<'a> Change<'a> {
    /// Connects, takes the lock on the first selected server, then observes and claims every server.
    pub(crate) async fn of(call: Call<'a>, selection: Selection<'a>) -> Result<Self, RunError> {
        let config = call.config();
        let scope = call.scope().await;
        let (fleet, mut failures) = call.connect_to_any(&selection.hosts).await?;
        let total = selection.hosts.len();
        let version = call.version().await.unwrap_or_else(|_| "unknown".into());
        let lock = Lock::for_run(call.world, &fleet, &selection.hosts, &scope, &version).await?;
        call.world.events.emit(Event::Phase(Phase::Observe(fleet.hosts().count())));
        let (observed, unseen) = observe(&fleet, &scope, &config.repository(), true).await;
        failures.extend(unseen);
        let gathered = Gathered { outputs: Vec::new(), failures, total };
        Ok(Self { call, selection, fleet, scope, observed, lock, gathered })
    }

    pub(crate) fn basis<'s>(&'s self, given: &'s Given<'s>) -> Basis<'s> {
        let (config, selection) = (self.call.config(), &self.selection);
        Basis { config, given, scope: &self.scope, selection, observed: &self.observed }
    }

    /// Carries out stages in order. Stops at an interrupt, a lost lock, or a failure that the next stage forbids.
    ///
    /// # Errors
    /// When a hook fails.
    pub(crate) async fn carry_out(&mut self, stages: &[Stage]) -> Result<(), RunError> {
        for stage in stages {
            let wanted = stage.after == After::Anything || self.gathered.failures.is_empty();
            if self.call.world.stop.is_set() || !wanted {
                break;
            }
            if let Some(failure) = self.lost() {
                self.gathered.failures.push(failure);
                break;
            }
            self.hook("pre", stage).await?;
            let crew = Crew { call: self.call, fleet: &self.fleet, observed: &self.observed };
            let part = crew.stage(stage).await;
            self.gathered.outputs.extend(part.outputs);
            self.gathered.failures.extend(part.failures);
            self.hook("post", stage).await?;
        }
        Ok(())
    }

    async fn hook(&self, when: &str, stage: &Stage) -> Result<(), RunError> {
        let Some(kind) = stage.reboots else { return Ok(()) };
        let version = self.call.version().await.unwrap_or_default();
        let hosts: Vec<&str> = stage.pieces.iter().map(|piece| piece.host.as_str()).collect();
        let facts = Facts { locked: true, ..Facts::of(&self.scope, &version, &hosts) };
        hooks::run(self.call, &hook(self.call, kind, when), &facts).await
    }

    /// The failure if the lock was lost. Servers then reject steps, but work on this machine would continue.
    fn lost(&self) -> Option<Failure> {
        let lock = self.lock.as_ref()?;
        let why = lock.lost().borrow().clone()?;
        Some(Failure::new(&lock.host, None, "hold the deploy lock", Cause::LockLost { why }))
    }

    /// Releases the lock and returns the results, or an error if the run was interrupted, because the change may
    /// then be incomplete.
    pub(crate) async fn end(self) -> Result<Gathered, RunError> {
        if let Some(lock) = self.lock {
            lock.give_back(self.call.world).await;
        }
        if self.call.world.stop.is_set() { Err(RunError::interrupted()) } else { Ok(self.gathered) }
    }
}
