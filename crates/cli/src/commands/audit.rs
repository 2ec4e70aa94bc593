//! `audit`: who did what.

use super::details::show_all;
use crate::exit::Ended;
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;
use bowline_engine as engine;

/// Shows the last lines of each server's audit log.
pub(super) async fn run(settings: &Settings, lines: usize) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended =
        session.query(engine::audit::audit(&session.world, &session.project, &settings.options, lines)).await;
    let outputs = session.close(ended)?;
    show_all(settings, &outputs)
}
