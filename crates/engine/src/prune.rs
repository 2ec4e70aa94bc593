//! `prune`: removes old containers and images.

use bowline_core::commands::prune::{Parts, Prune};
use bowline_core::plan::step::Step;

use crate::call::Call;
use crate::error::Result;
use crate::run::change::{Change, Told};
use crate::world::Gathered;

/// Removes what each role no longer needs. `retain` overrides the configured number of stopped containers to keep.
pub async fn prune(call: Call<'_>, parts: Parts, retain: Option<usize>) -> Result<Gathered> {
    let mut change = Change::begin(call).await?;
    let part = change.each_server(|host| prune_one(&change, host, parts, retain)).await;
    change.keep(part);
    change.end().await
}

async fn prune_one(change: &Change<'_>, host: &str, parts: Parts, retain: Option<usize>) -> Told {
    let config = change.call.config();
    let step = Step::Prune(Prune {
        scope: change.scope.clone(),
        roles: change.selection.roles_of(host).map(|(role, _)| role.name.clone()).collect(),
        retain: retain.unwrap_or(config.retain_containers),
        repository: config.repository(),
        assets: Vec::new(),
        unread: Vec::new(),
        parts: Some(parts),
    });
    change.fleet.run(host, None, &step).await?;
    Ok(match parts {
        Parts::All => "pruned containers and images",
        Parts::Containers => "pruned containers",
        Parts::Images => "pruned images",
    }
    .into())
}
