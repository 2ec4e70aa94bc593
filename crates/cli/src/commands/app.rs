//! `app …`: those that have no room of their own are here.

use bowline_engine as engine;

use bowline_core::plan::Kind;
use bowline_engine::listing::Listing;
use bowline_engine::remove::Removal;

use super::details::{self, show_all};
use super::{deploy, exec, logs, remove};
use crate::args::{App, Confirm, MaintenanceArgs};
use crate::exit::Ended;
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;

/// Runs one of them.
pub(super) async fn run(settings: &mut Settings, what: App) -> Result<u8, Ended> {
    match what {
        App::Boot => deploy::run(settings, Kind::Boot).await,
        App::Exec(args) => exec::run(settings, args).await,
        App::Logs(args) => logs::run(settings, args).await,
        App::Details => details::list(settings, Listing::Running).await,
        App::Version => details::versions(settings).await,
        App::Start => start(settings).await,
        App::Stop => stop(settings).await,
        App::Maintenance(args) => maintenance(settings, args).await,
        App::Live => live(settings).await,
        App::Containers => details::list(settings, Listing::Containers).await,
        App::Images => details::list(settings, Listing::Images).await,
        App::StaleContainers { stop } => stale(settings, stop).await,
        App::Remove(confirm) => remove::run(settings, &Removal::App, confirm).await,
        App::RemoveContainer { version } => {
            remove::run(settings, &Removal::Container(version), Confirm { confirmed: true }).await
        }
        App::RemoveContainers(confirm) => remove::run(settings, &Removal::Containers, confirm).await,
        App::RemoveImages(confirm) => remove::run(settings, &Removal::Images, confirm).await,
    }
}

/// Starts the app.
async fn start(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::app::start(&session.world, &session.project, &settings.options).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

/// Stops it.
async fn stop(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::app::stop(&session.world, &session.project, &settings.options).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

/// Puts a page in its place.
async fn maintenance(settings: &Settings, args: MaintenanceArgs) -> Result<u8, Ended> {
    let MaintenanceArgs { message, retry_after, drain_timeout } = args;
    let request = engine::maintenance::Request { message, retry_after, drain_timeout };
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended =
        engine::maintenance::begin(&session.world, &session.project, &settings.options, &request).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

/// Takes the page away.
async fn live(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::maintenance::end(&session.world, &session.project, &settings.options).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

/// Shows or stops what runs beside the container that serves.
async fn stale(settings: &Settings, stop: bool) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::app::stale(&session.world, &session.project, &settings.options, stop).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}
