//! `traefik …`.

use bowline_core::commands::traefik::Action;
use bowline_engine::traefik as engine;

use super::details::show_all;
use super::logs;
use crate::args::Traefik;
use crate::exit::{self, Ended};
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::{Sort, confirm};

/// Does what is asked for.
pub(super) async fn run(settings: &Settings, what: Traefik) -> Result<u8, Ended> {
    if let Some(question) = question(&what)
        && !confirm::ask(question)?
    {
        return Ok(exit::FAILED);
    }
    let lines = match &what {
        Traefik::Logs(args) => logs::lines(args.clone())?,
        _ => Default::default(),
    };
    let session = Session::open(settings, Sort::Query, lines.follow).await?;
    let (world, project, options) = (&session.world, &session.project, &settings.options);
    let ended = match what {
        Traefik::Boot => engine::boot(world, project, options).await,
        Traefik::Reboot { rolling, .. } => engine::reboot(world, project, options, rolling).await,
        Traefik::Start => engine::power(world, project, options, Action::Start).await,
        Traefik::Stop => engine::power(world, project, options, Action::Stop).await,
        Traefik::Restart => engine::power(world, project, options, Action::Restart).await,
        Traefik::Details => session.query(engine::details(world, project, options)).await,
        Traefik::Logs(_) => session.query(engine::logs(world, project, options, &lines)).await,
        Traefik::Remove(_) => engine::remove(world, project, options).await,
    };
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

/// What is asked before it is done.
fn question(what: &Traefik) -> Option<&'static str> {
    match what {
        Traefik::Reboot { confirm, rolling } if !confirm.confirmed => Some(if *rolling {
            "Each server in turn takes no requests for a moment. Are you sure?"
        } else {
            "All servers at once take no requests for a moment (`--rolling`: one after the other). Are you sure?"
        }),
        Traefik::Remove(confirm) if !confirm.confirmed => {
            Some("This removes Traefik where no app is left for it to route to. Are you sure?")
        }
        _ => None,
    }
}
