//! `traefik details|logs`: shows the proxy that all apps of a server share.

use bowline_core::commands::logs::Lines;
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::traefik::NAME;

use crate::call::Call;
use crate::error::RunError;
use crate::proxy::life;
use crate::world::Gathered;

const KIND: ProxyKind = ProxyKind::Traefik;

pub async fn details(call: Call<'_>) -> Result<Gathered, RunError> {
    life::details(call, KIND).await
}

/// Shows the log of every server, once or followed until the run is interrupted.
pub async fn logs(call: Call<'_>, lines: &Lines) -> Result<Gathered, RunError> {
    life::logs(call, (KIND, NAME), lines).await
}
