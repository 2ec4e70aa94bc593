//! `prune all`, `prune containers`, `prune images`.

use bowline_core::commands::prune::Parts;
use bowline_engine as engine;

use super::details::show_all;
use crate::args::Prune;
use crate::exit::Ended;
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;

/// Prunes.
pub(super) async fn run(settings: &Settings, what: Prune) -> Result<u8, Ended> {
    let (parts, retain) = match what {
        Prune::All(retain) => (Parts::All, retain.retain),
        Prune::Containers(retain) => (Parts::Containers, retain.retain),
        Prune::Images => (Parts::Images, None),
    };
    let session = Session::open(settings, Sort::Query, false).await?;
    let retain = retain.map(usize::from);
    let ended =
        engine::prune::prune(&session.world, &session.project, &settings.options, parts, retain).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}
