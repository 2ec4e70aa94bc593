//! `details`, `app details`, `app containers`, `app images`, `app version`: what is there.

use bowline_engine::listing::Listing;
use bowline_engine::world::Gathered;

use crate::exit::{self, Ended};
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;
use crate::ui::results::{self, Heading};
use bowline_engine as engine;

/// Shows what is there.
pub(super) async fn list(settings: &Settings, listing: Listing) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = session
        .query(engine::listing::list(&session.world, &session.project, &settings.options, listing))
        .await;
    let outputs = session.close(ended)?;
    show_all(settings, &outputs)
}

/// Shows which version serves.
pub(super) async fn versions(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended =
        session.query(engine::listing::versions(&session.world, &session.project, &settings.options)).await;
    let outputs = session.close(ended)?;
    show_all(settings, &outputs)
}

/// Shows what servers printed of the app; it is a failure if one of them could not answer.
pub(super) fn show_all(settings: &Settings, gathered: &Gathered) -> Result<u8, Ended> {
    show_under(settings, Heading::App, gathered)
}

/// The same under another heading.
pub(super) fn show_under(settings: &Settings, heading: Heading, gathered: &Gathered) -> Result<u8, Ended> {
    results::show(settings, heading, &gathered.outputs);
    if let Some(error) = gathered.error() {
        return Err(error.into());
    }
    let well = gathered.outputs.iter().all(|output| output.output.success());
    Ok(if well { exit::DONE } else { exit::FAILED })
}
