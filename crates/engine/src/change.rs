//! The commands that change something outside of a deploy (`app stop`, `app maintenance`, …).
//!
//! What they do is decided in `core`, from what was observed: [`change`] carries it out under the lock, [`plan`] only shows it.

use bowline_core::plan::change::{self as planning, Basis, Change as Plan, Given, Intent};
use bowline_core::selection::Selection;

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::error_pages;
use crate::proxy::any_role;
use crate::run::change::Change;
use crate::run::observe::{Looked, look_at, tell_locks};
use crate::run::work::refused;
use crate::world::Gathered;

/// A plan, and what is wrong.
pub struct Planned {
    pub plan: Plan,
    /// The servers that it leaves out because Bowline couldn't reach them, and what can't be done on others.
    pub wrong: Option<RunError>,
}

/// Does what a command wants.
pub async fn change(call: Call<'_>, intent: &Intent) -> Result<Gathered> {
    let (selection, given) = prepare(call, intent)?;
    let mut change = Change::of(call, selection).await?;
    let plan = planning::plan(intent, change.basis(&given));
    change.carry_out(&plan).await;
    change.end().await
}

/// What [`change`] would do now. Changes nothing anywhere.
pub async fn plan(call: Call<'_>, intent: &Intent) -> Result<Planned> {
    let (selection, given) = prepare(call, intent)?;
    let Looked { selection, observed, mut failures, .. } = look_at(call, selection).await?;
    let total = selection.hosts.len();
    if observed.is_empty() {
        return Err(RunError::Servers { failures, total, standing: Vec::new() });
    }
    tell_locks(call, &observed);
    let scope = &call.scope_to_look();
    let basis =
        Basis { config: call.config(), given: &given, scope, selection: &selection, observed: &observed };
    let plan = planning::plan(intent, basis);
    failures.extend(plan.pieces().filter_map(refused));
    let incomplete = !failures.is_empty();
    let wrong = incomplete.then(|| RunError::Servers { failures, total, standing: Vec::new() });
    Ok(Planned { plan, wrong })
}

/// Everything that needs no connection.
fn prepare<'a>(call: Call<'a>, intent: &Intent) -> Result<(Selection<'a>, Given)> {
    let selection = Selection::new(call.config(), &call.options.filters)?;
    if matches!(intent, Intent::Pause(_) | Intent::Resume) {
        any_role(&selection)?;
    }
    let page = match intent {
        Intent::Pause(_) => error_pages::maintenance(call)?,
        _ => None,
    };
    Ok((selection, Given { page }))
}
