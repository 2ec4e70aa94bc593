//! The commands that change something outside a deploy (`app stop`, `traefik reboot`, …).
//!
//! `core` plans the change from what was observed. [`change`] carries the plan out under the lock, [`plan`] only
//! returns it.

use bowline_config::Config;
use bowline_core::plan::change::{self as planning, Basis, Change as Plan, Given, Intent, Removal, env};
use bowline_core::proxy::ProxyKind;
use bowline_core::selection::{Accessories, Filters, Selection};

use crate::accessory::{self, Values};
use crate::call::Call;
use crate::error::{Result, RunError};
use crate::error_pages;
use crate::proxy::{any_role, behind};
use crate::run::change::Change;
use crate::run::observe::{Looked, look_at, note_locks};
use crate::run::work::refused;
use crate::world::Gathered;

pub struct Planned {
    pub plan: Plan,
    /// The servers that Bowline couldn't reach, and the pieces of the plan that can't be carried out.
    pub wrong: Option<RunError>,
}

pub async fn change(call: Call<'_>, intent: &Intent) -> Result<Gathered> {
    let (selection, mut given) = prepare(call, intent)?;
    given.secrets = call.project.secrets(call.world, &secrets(call, intent, &selection, &given)).await?;
    complete(call, intent, &selection, &mut given, Values::Known).await?;
    let mut change = Change::of(call, selection).await?;
    let plan = planning::plan(intent, change.basis(&given));
    let carried_out = change.carry_out(&plan.stages).await;
    let gathered = change.end().await;
    carried_out.and(gathered)
}

pub async fn plan(call: Call<'_>, intent: &Intent) -> Result<Planned> {
    let (selection, mut given) = prepare(call, intent)?;
    given.secrets = call.project.stand_ins(&secrets(call, intent, &selection, &given))?;
    complete(call, intent, &selection, &mut given, Values::StandIns).await?;
    let Looked { selection, observed, mut failures, .. } = look_at(call, selection).await?;
    let total = selection.hosts.len();
    if observed.is_empty() {
        return Err(RunError::servers(failures, total));
    }
    note_locks(call, &observed);
    let scope = &call.scope_to_look();
    let basis =
        Basis { config: call.config(), given: &given, scope, selection: &selection, observed: &observed };
    let plan = planning::plan(intent, basis);
    failures.extend(plan.pieces().filter_map(refused));
    let wrong = (!failures.is_empty()).then(|| RunError::servers(failures, total));
    Ok(Planned { plan, wrong })
}

/// Prepares what needs neither a connection nor secrets.
fn prepare<'a>(call: Call<'a>, intent: &Intent) -> Result<(Selection<'a>, Given<'a>)> {
    let (config, filters) = (call.config(), &call.options.filters);
    match intent {
        Intent::Pause(_) | Intent::Resume => {
            let selection = Selection::new(config, filters)?;
            any_role(&selection)?;
            let pauses = matches!(intent, Intent::Pause(_));
            let page = if pauses { error_pages::maintenance(call)? } else { None };
            Ok((selection, Given { page, ..Given::default() }))
        }
        Intent::Accessories(name, ..) => {
            let accessories = Accessories::new(config, filters, name)?;
            let selection = Selection { roles: Vec::new(), hosts: accessories.hosts_to_lock() };
            Ok((selection, Given { accessories, ..Given::default() }))
        }
        Intent::Remove(Removal::Everything) => {
            let (mut selection, accessories) = Selection::whole(config, filters)?;
            if selection.roles.is_empty() {
                selection.hosts = accessories.hosts_to_lock();
            }
            Ok((selection, Given { accessories, ..Given::default() }))
        }
        Intent::BootConfig(_) => about(call, ProxyKind::Kamal),
        Intent::Proxies(kind, ..) => about(call, *kind),
        _ => Ok((Selection::new(config, filters)?, Given::default())),
    }
}

/// Adds what depends on the values of secrets.
async fn complete<'a>(
    call: Call<'a>,
    intent: &Intent,
    selection: &Selection<'a>,
    given: &mut Given<'a>,
    values: Values,
) -> Result<()> {
    match intent {
        Intent::Accessories(_, deed, _) if deed.makes() => accessory::complete(call, given, values).await?,
        Intent::PushEnv => given.env = env::files(call.config(), selection, Some(&given.secrets))?,
        Intent::DeleteEnv => given.env = env::files(call.config(), selection, None)?,
        _ => {}
    }
    Ok(())
}

/// Checks that the configuration has what an intent is about.
pub fn check(config: &Config, filters: &Filters, intent: &Intent) -> Result<()> {
    match intent {
        Intent::BootConfig(_) => behind(config, filters, ProxyKind::Kamal).map(|_| ()),
        Intent::Proxies(kind, ..) => behind(config, filters, *kind).map(|_| ()),
        _ => Ok(()),
    }
}

/// Selects the servers for a change of their proxies.
fn about<'a>(call: Call<'a>, kind: ProxyKind) -> Result<(Selection<'a>, Given<'a>)> {
    let (selection, behind) = behind(call.config(), &call.options.filters, kind)?;
    Ok((selection, Given { behind, ..Given::default() }))
}

fn secrets(call: Call<'_>, intent: &Intent, selection: &Selection<'_>, given: &Given<'_>) -> Vec<String> {
    match intent {
        Intent::Accessories(_, deed, _) => accessory::secrets(call, *deed, &given.accessories),
        Intent::Proxies(kind, act, _) => act.secrets(call.config(), *kind),
        Intent::PushEnv => env::secrets(call.config(), selection),
        _ => Vec::new(),
    }
}
