//! `env push`, `env delete`.

use bowline_engine as engine;

use super::details::show_all;
use crate::args::Env;
use crate::exit::Ended;
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;

/// Runs one of them.
pub(super) async fn run(settings: &Settings, what: Env) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let (world, project, options) = (&session.world, &session.project, &settings.options);
    let ended = match what {
        Env::Push => engine::env::push(world, project, options).await,
        Env::Delete => engine::env::delete(world, project, options).await,
    };
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}
