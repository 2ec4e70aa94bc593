//! `accessory …`.

use bowline_core::commands::traefik::Action;
use bowline_core::config;
use bowline_core::selection::Accessories;
use bowline_engine::accessory as engine;
use bowline_engine::error::RunError;

use super::details::show_under;
use super::exec::{self, In};
use super::logs;
use crate::args::Accessory;
use crate::exit::{self, Ended};
use crate::session::{self, Session};
use crate::settings::Settings;
use crate::ui::results::Heading;
use crate::ui::{Sort, confirm};

/// Does what is asked for.
pub(super) async fn run(settings: &Settings, what: Accessory) -> Result<u8, Ended> {
    if !agreed(settings, &what).await? {
        return Ok(exit::FAILED);
    }
    let lines = match &what {
        Accessory::Logs { logs, .. } => logs::lines(logs.clone())?,
        _ => Default::default(),
    };
    let name = name_of(&what).to_owned();
    let session = Session::open_for(settings, Sort::Query, lines.follow, |config, filters| {
        Ok(Accessories::new(config, filters, &name)?.hosts().len())
    })
    .await?;
    let (world, project, options) = (&session.world, &session.project, &settings.options);
    let power = async |action| engine::power(world, project, options, &name, action).await;
    let ended = match &what {
        Accessory::Boot(_) => engine::boot(world, project, options, &name).await,
        Accessory::Reboot(_) => engine::reboot(world, project, options, &name, false).await,
        Accessory::Upgrade { rolling, .. } => engine::reboot(world, project, options, &name, *rolling).await,
        Accessory::Start(_) => power(Action::Start).await,
        Accessory::Stop(_) => power(Action::Stop).await,
        Accessory::Restart(_) => power(Action::Restart).await,
        Accessory::Logs { .. } => session.query(engine::logs(world, project, options, &name, &lines)).await,
        Accessory::Details(_) => session.query(engine::details(world, project, options, &name)).await,
        Accessory::PullImage(_) => engine::pull(world, project, options, &name).await,
        Accessory::Remove { .. } => engine::remove(world, project, options, &name).await,
        Accessory::Exec { exec, .. } => {
            return exec::carry_out(session, In::Accessory(&name), exec.clone()).await;
        }
    };
    let gathered = session.close(ended)?;
    show_under(settings, Heading::Accessory, &gathered)
}

fn name_of(what: &Accessory) -> &str {
    match what {
        Accessory::Boot(name)
        | Accessory::Reboot(name)
        | Accessory::Start(name)
        | Accessory::Stop(name)
        | Accessory::Restart(name)
        | Accessory::Details(name)
        | Accessory::PullImage(name) => &name.name,
        Accessory::Exec { name, .. } => name,
        Accessory::Upgrade { name, .. } | Accessory::Logs { name, .. } | Accessory::Remove { name, .. } => {
            &name.name
        }
    }
}

/// Whether it is wanted after all, if that is worth a question.
async fn agreed(settings: &Settings, what: &Accessory) -> Result<bool, Ended> {
    let (name, question): (_, fn(&Accessories<'_>) -> String) = match what {
        Accessory::Upgrade { name, confirm, .. } if !confirm.confirmed => (name, reboots),
        Accessory::Remove { name, confirm } if !confirm.confirmed => (name, removes),
        _ => return Ok(true),
    };
    let (project, _) = session::load_project(settings).await?;
    let accessories = Accessories::new(&project.config, &settings.options.filters, &name.name);
    let accessories = accessories.map_err(RunError::from)?;
    Ok(confirm::ask(&question(&accessories))?)
}

fn reboots(accessories: &Accessories<'_>) -> String {
    let names: Vec<&str> = accessories.placed.iter().map(|(accessory, _)| accessory.name.as_str()).collect();
    format!("This restarts {}: nothing answers there meanwhile.\nAre you sure?", names.join(", "))
}

fn removes(accessories: &Accessories<'_>) -> String {
    format!("This removes\n{}\nAre you sure?", lines(accessories))
}

/// What goes of each, and what of it can't be had again.
pub(super) fn lines(accessories: &Accessories<'_>) -> String {
    let one = |(accessory, hosts): &(&config::Accessory, Vec<&str>)| {
        let service = &accessory.service;
        let data: Vec<&str> = accessory
            .directories
            .iter()
            .filter(|directory| !directory.local.starts_with('/'))
            .map(|directory| directory.local.as_str())
            .collect();
        let data = match data.as_slice() {
            [] => String::new(),
            data => format!(" WITH THE DATA in {}", data.join(", ")),
        };
        format!("  {service} on {}: container, image and directory{data}", hosts.join(", "))
    };
    accessories.placed.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use bowline_core::config::{SourceFile, load};
    use bowline_core::selection::Filters;

    use super::*;

    #[test]
    fn the_question_says_where_data_goes() {
        let text = "service: shop\nimage: shop\nregistry: {username: u, password: p}\naccessories:\n  db: {image: i, hosts: [a, b], directories: ['data:/d', '/mnt/x:/x', 'more:/m']}\n  \
                    cache: {image: i, host: c}\n";
        let config = load(SourceFile::new("deploy.yml", text), None).unwrap().config;
        let accessories = Accessories::new(&config, &Filters::default(), "all").unwrap();
        assert_eq!(
            removes(&accessories),
            "This removes\n  shop-db on a, b: container, image and directory WITH THE DATA in data, more\n  \
             shop-cache on c: container, image and directory\nAre you sure?"
        );
    }
}
