//! `remove`, `app remove` and its parts: asked for once more before anything goes.

use bowline_core::selection::Selection;
use bowline_engine as engine;
use bowline_engine::error::RunError;
use bowline_engine::remove::Removal;

use super::details::show_all;
use crate::args::Confirm;
use crate::exit::{self, Ended};
use crate::session::{self, Session};
use crate::settings::Settings;
use crate::ui::{Sort, confirm};

/// Removes, if that is what is wanted.
pub(super) async fn run(settings: &Settings, removal: &Removal, confirm: Confirm) -> Result<u8, Ended> {
    if !confirm.confirmed {
        let (project, _) = session::load_project(settings).await?;
        let selection = Selection::new(&project.config, &settings.options.filters).map_err(RunError::from)?;
        if !confirm::ask(&question(removal, &project.config.names().app(), &selection.hosts))? {
            return Ok(exit::FAILED);
        }
    }
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::remove::remove(&session.world, &session.project, &settings.options, removal).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

fn question(removal: &Removal, app: &str, hosts: &[&str]) -> String {
    let what = match removal {
        Removal::Everything => {
            "all containers and images, the files on the servers, and Traefik where no other app needs it"
        }
        Removal::App => "all containers, images and files on the servers",
        Removal::Container(_) | Removal::Containers => {
            "all stopped containers: there is no version left to roll back to"
        }
        Removal::Images => "all images that no container needs",
    };
    let count = hosts.len();
    let servers = if count == 1 { "server" } else { "servers" };
    let named = match hosts {
        [first, second, third, _, ..] => format!("{first}, {second}, {third}, …"),
        few => few.join(", "),
    };
    format!("This removes {what}, of {app} on {count} {servers} ({named}).\nAre you sure?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_says_what_goes_and_where() {
        let text = question(&Removal::Images, "shop-staging", &["a", "b", "c", "d"]);
        assert_eq!(
            text,
            "This removes all images that no container needs, of shop-staging on 4 servers (a, b, c, …).\nAre you sure?"
        );
        assert!(question(&Removal::App, "shop", &["a"]).contains("on 1 server (a)"));
    }
}
