//! `app start`, `app stop`, `app stale-containers`.

use bowline_engine as engine;

use super::details::show_all;
use crate::exit::Ended;
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;

/// Starts the app.
pub(super) async fn start(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::app::start(&session.world, &session.project, &settings.options).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

/// Stops it.
pub(super) async fn stop(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::app::stop(&session.world, &session.project, &settings.options).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

/// Shows or stops what runs beside the container that serves.
pub(super) async fn stale(settings: &Settings, stop: bool) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::app::stale(&session.world, &session.project, &settings.options, stop).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}
