//! `proxy details|logs|boot-config get`: shows kamal-proxy, which all apps of a server share.

use bowline_core::commands::logs::Lines;
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::kamal::{NAME, boot_config as files};

use crate::call::Call;
use crate::error::RunError;
use crate::proxy::life;
use crate::world::Gathered;

const KIND: ProxyKind = ProxyKind::Kamal;

/// Shows the proxy's container and routes.
pub async fn details(call: Call<'_>) -> Result<Gathered, RunError> {
    life::details(call, KIND).await
}

pub async fn logs(call: Call<'_>, lines: &Lines) -> Result<Gathered, RunError> {
    life::logs(call, (KIND, NAME), lines).await
}

pub async fn boot_config(call: Call<'_>) -> Result<Gathered, RunError> {
    life::ask(call, KIND, &files::get()).await
}
