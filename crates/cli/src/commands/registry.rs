//! `registry …`.

use bowline_engine::registry::{Where, check_login, log_in, log_out};

use super::details::show_all;
use crate::args::Registry;
use crate::exit::Ended;
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;

/// Does what is asked for.
pub(super) async fn run(settings: &Settings, what: Registry) -> Result<u8, Ended> {
    let (Registry::Login(skip) | Registry::Logout(skip) | Registry::Setup(skip) | Registry::Remove(skip)) =
        what;
    let place = Where { here: !skip.skip_local, servers: !skip.skip_remote };
    let session = Session::open(settings, Sort::Query, false).await?;
    let (world, project, options) = (&session.world, &session.project, &settings.options);
    let ended = match what {
        Registry::Login(_) => check_login(project, "log in to", "setup"),
        Registry::Logout(_) => check_login(project, "log out of", "remove"),
        Registry::Setup(_) | Registry::Remove(_) => Ok(()),
    };
    if let Err(error) = ended {
        return session.close(Err(error));
    }
    let ended = match what {
        Registry::Login(_) | Registry::Setup(_) => log_in(world, project, options, place).await,
        Registry::Logout(_) | Registry::Remove(_) => log_out(world, project, options, place).await,
    };
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}
