//! `app stale-containers`: lists running containers other than the one that serves.

use bowline_core::plan::change::{self as planning, Basis, Given, Intent, Piece, Work};

use crate::call::Call;
use crate::error::Result;
use crate::run::observe::look;
use crate::world::{Gathered, HostOutput};

/// Lists the containers that [`Intent::StopStale`] would stop.
pub async fn stale(call: Call<'_>) -> Result<Gathered> {
    let looked = look(call).await?;
    let scope = call.scope_to_look();
    let (config, given) = (call.config(), &Given::default());
    let basis =
        Basis { config, given, scope: &scope, selection: &looked.selection, observed: &looked.observed };
    let plan = planning::plan(&Intent::StopStale, basis);
    let outputs =
        plan.pieces().map(|piece| HostOutput::said(&piece.host, piece.role.as_deref(), &describe(piece)));
    Ok(Gathered {
        outputs: outputs.collect(),
        failures: looked.failures,
        total: looked.selection.hosts.len(),
    })
}

fn describe(piece: &Piece) -> String {
    let Work::Retire { retire, .. } = &piece.work else { return piece.work.reason().unwrap_or_default() };
    let lines = retire.iter().map(|retire| match &piece.role {
        Some(_) => format!("{} (version {})", retire.stop.name, retire.version),
        None => format!("{} (there is no role {} here)", retire.stop.name, retire.stop.role),
    });
    let hint = piece.role.iter().map(|_| "`app stale-containers --stop` stops them".into());
    lines.chain(hint).collect::<Vec<_>>().join("\n")
}
