//! `remove`, and `app remove` with its parts. They ask for confirmation first.

use bowline_config::Config;
use bowline_core::names::Names;
use bowline_core::plan::change::{Intent, Removal};
use bowline_core::selection::{Accessories, Filters, NoMatch, Selection};
use bowline_engine::error::RunError;
use clap::Args;

use super::confirm::Confirm;
use super::{accessory, change_to};
use crate::exit::Ended;
use crate::invocation;
use crate::settings::Settings;

/// Remove the app, its accessories with their data directories, and the proxy unless another app needs it.
#[derive(Debug, Args)]
#[command(
    after_help = "Deletes the data of accessories: everything in their directories on the servers. Docker volumes and directories with an \
absolute path in the configuration stay, and so do the audit log in .kamal, the network, the proxy's volume with its certificates, and Docker itself.

Examples:
  bowline remove
  bowline remove -d staging -y"
)]
pub(crate) struct Remove {
    #[command(flatten)]
    confirm: Confirm,
}

impl Remove {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        asked(settings, Removal::Everything, self.confirm).await
    }
}

pub(super) async fn asked(settings: &Settings, removal: Removal, confirm: Confirm) -> Result<u8, Ended> {
    let question = async {
        let project = invocation::load_project(settings).await?;
        let (hosts, accessories) =
            concerned(&removal, &project.config, &settings.options.filters).map_err(RunError::from)?;
        Ok(question(&removal, &Names::of(&project.config).app(), &hosts, &accessories))
    };
    confirm.before(question, change_to(settings, &Intent::Remove(removal.clone()))).await
}

fn concerned<'c>(
    removal: &Removal,
    config: &'c Config,
    filters: &Filters,
) -> Result<(Vec<&'c str>, Accessories<'c>), NoMatch> {
    let (selection, accessories) = match removal {
        Removal::Everything => Selection::whole(config, filters)?,
        _ => (Selection::new(config, filters)?, Accessories::default()),
    };
    Ok((selection.hosts, accessories))
}

fn question(removal: &Removal, app: &str, hosts: &[&str], accessories: &Accessories<'_>) -> String {
    let what = match removal {
        Removal::Everything => {
            "all containers, images and files of {app}, and the proxy where no other app needs it"
        }
        Removal::App => "all containers, images and files of {app}",
        Removal::Container(_) | Removal::Containers => {
            "all stopped containers of {app}, so that there is no version left to roll back to,"
        }
        Removal::Images => "all images of {app} that no container uses",
    };
    let count = hosts.len();
    let servers = if count == 1 { "server" } else { "servers" };
    let named = match hosts {
        [first, second, third, _, ..] => format!("{first}, {second}, {third}, …"),
        few => few.join(", "),
    };
    let too = match accessories.placed.as_slice() {
        [] => String::new(),
        _ => format!("It also removes the accessories:\n{}\n", accessory::lines(accessories)),
    };
    let what = what.replace("{app}", app);
    format!("This removes {what} from {count} {servers} ({named}).\n{too}Are you sure?")
}

#[cfg(test)]
mod tests {
    use bowline_config::{SourceFile, load};

    use super::*;

    #[test]
    fn the_question_says_what_goes_and_where() {
        let none = Accessories::default();
        let text = question(&Removal::Images, "shop-staging", &["a", "b", "c", "d"], &none);
        assert_eq!(
            text,
            "This removes all images of shop-staging that no container uses from 4 servers (a, b, c, …).\nAre you sure?"
        );
        assert!(question(&Removal::App, "shop", &["a"], &none).contains("files of shop from 1 server (a)"));
    }

    #[test]
    fn everything_has_the_accessories_with_it() {
        let text = "service: shop\nimage: shop\nservers: [a]\nregistry: {username: u, password: p}\n\
                    accessories: {db: {image: i, host: d, directories: ['data:/d']}}\n";
        let config = load(SourceFile::new("deploy.yml", text), None).unwrap().config;
        let asked = |removal: Removal| {
            let (hosts, accessories) = concerned(&removal, &config, &Filters::default()).unwrap();
            question(&removal, "shop", &hosts, &accessories)
        };
        assert!(asked(Removal::Everything).contains(
            "from 2 servers (a, d).\nIt also removes the accessories:\n  shop-db on d: container, image and directory, including the data in data\n"
        ));
        assert!(!asked(Removal::App).contains("shop-db"));
    }
}
