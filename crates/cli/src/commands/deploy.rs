//! `setup`, `deploy`, `redeploy`, `rollback`, `app boot`: the runs that put a version on servers.

use bowline_core::plan::Kind;

use crate::exit::{self, Ended};
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;
use bowline_engine as engine;

/// Deploys, redeploys or boots.
pub(super) async fn run(settings: &Settings, kind: Kind) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Change, false).await?;
    let ended = engine::deploy::deploy(&session.world, &session.project, &settings.options, kind).await;
    session.close(ended)?;
    Ok(exit::DONE)
}

/// Sets new servers up and deploys.
pub(super) async fn set_up(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Change, false).await?;
    let ended = engine::setup::setup(&session.world, &session.project, &settings.options).await;
    session.close(ended)?;
    Ok(exit::DONE)
}

/// Rolls back to this version, or to `--version`'s, or to the one before.
pub(super) async fn back(settings: &Settings, version: Option<String>) -> Result<u8, Ended> {
    let version = version.or_else(|| settings.options.version.clone());
    let session = Session::open(settings, Sort::Change, false).await?;
    let ended = engine::deploy::rollback(&session.world, &session.project, &settings.options, version).await;
    session.close(ended)?;
    Ok(exit::DONE)
}
