//! `remove`, `app remove` and its parts: remove the app from servers. Each part starts only if all parts before it
//! succeeded.

use std::collections::BTreeSet;

use bowline_core::commands::env::EnvFile;
use bowline_core::commands::remove::{Remove, Removed, What};
use bowline_core::plan::change::{Deed, Given, Turns};
use bowline_core::plan::retire::orphans;
use bowline_core::plan::step::Step;
use bowline_core::selection::{Accessories, Selection};

use crate::call::Call;
use crate::error::{Cause, Failure, Result};
use crate::run::change::{Change, Place, Told};
use crate::world::Gathered;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// The app, its accessories, and the proxy if nothing else uses it.
    Everything,
    /// The app. Running containers are stopped first.
    App,
    /// One stopped container of each role, selected by version.
    Container(String),
    Containers,
    Images,
}

pub async fn remove(call: Call<'_>, removal: &Removal) -> Result<Gathered> {
    if *removal == Removal::Everything {
        return remove_everything(call).await;
    }
    let mut change = Change::begin(call).await?;
    match removal {
        Removal::Everything | Removal::App => remove_all(&mut change, None).await,
        Removal::Container(version) => {
            let part = change.each_role(|place| remove_container(&change, place, version)).await;
            change.keep(part);
        }
        Removal::Containers => {
            let part = change.each_role(|place| remove_containers(&change, place)).await;
            change.keep(part);
        }
        Removal::Images => {
            let part = change.each_server(|host| remove_images(&change, host)).await;
            change.keep(part);
        }
    }
    change.end().await
}

/// Removes the app from the selected servers, and all accessories there. Some servers may run only accessories.
async fn remove_everything(call: Call<'_>) -> Result<Gathered> {
    let (mut selection, accessories) = Selection::whole(call.config(), &call.options.filters)?;
    if selection.roles.is_empty() {
        selection.hosts = accessories.hosts_to_lock();
    }
    let mut change = Change::of(call, selection).await?;
    remove_all(&mut change, Some(accessories)).await;
    change.end().await
}

/// Stops the app, then removes its containers, accessories, images and directory. After a failure, no further part
/// starts. The proxy is removed only if `accessories` is `Some`, even if it lists none.
async fn remove_all(change: &mut Change<'_>, accessories: Option<Accessories<'_>>) {
    let with_accessories = accessories.is_some();
    let given = Given { accessories: accessories.unwrap_or_default(), ..Given::default() };
    let basis = change.basis(&given);
    let (stop, stop_orphans, remove_proxies) = (basis.stop(), basis.stop_orphans(), basis.remove_proxies());
    let accessories = basis.accessories(Deed::Remove, Turns::Together);
    let part = change.stage(&stop).await;
    change.keep(part);
    if change.goes_on() {
        let part = change.stage(&stop_orphans).await;
        change.keep(part);
    }
    if change.goes_on() {
        let part = change.each_role(|place| remove_containers(change, place)).await;
        change.keep(part);
        let part = change.each_server(|host| remove_orphans(change, host)).await;
        change.keep(part);
    }
    if change.goes_on() {
        let part = change.each_role(|place| forget_secrets(change, place)).await;
        change.keep(part);
    }
    if with_accessories && change.goes_on() {
        // The accessories go first, because the proxy stays while it may still have requests for one.
        for stage in accessories.iter().chain([&remove_proxies]) {
            if !change.call.world.stop.is_set() {
                let part = change.stage(stage).await;
                change.keep(part);
            }
        }
    }
    if change.goes_on() {
        let part = change.each_server(|host| remove_images(change, host)).await;
        change.keep(part);
    }
    if change.goes_on() {
        let part = change.each_server(|host| remove_directory(change, host)).await;
        change.keep(part);
    }
}

async fn remove_container(change: &Change<'_>, place: Place<'_>, version: &str) -> Told {
    let names = &change.scope.names;
    let role = &place.role.name;
    let mut found = place.observed.of_role(names, role).filter(|c| c.version(names, role) == version);
    let Some(container) = found.next() else { return Ok(format!("no container of version {version}")) };
    let what = What::Container { role: role.clone(), name: container.name.clone() };
    if container.is_running() {
        return Err(Failure {
            host: place.host.host.clone(),
            role: Some(role.clone()),
            doing: format!("remove {}", container.name),
            cause: Cause::Told {
                reason: "it runs".into(),
                hint: Some("`app stop` stops it, and a deploy of another version retires it".into()),
            },
        });
    }
    removed(change, &place.host.host, Some(role), what, &format!("removed {}", container.name)).await
}

async fn remove_containers(change: &Change<'_>, place: Place<'_>) -> Told {
    let what = What::Containers(place.role.name.clone());
    removed(change, &place.host.host, Some(&place.role.name), what, "removed the stopped containers").await
}

/// Removes the containers of roles that the configuration no longer has on this server.
async fn remove_orphans(change: &Change<'_>, host: &str) -> Told {
    let (config, names) = (change.call.config(), &change.scope.names);
    let Some(observed) = change.observed.get(host).filter(|_| change.is_whole(host)) else {
        return Ok(String::new());
    };
    let roles: BTreeSet<&str> =
        orphans(config, names, host, observed).into_iter().map(|(role, _)| role).collect();
    for role in roles {
        removed(change, host, Some(role), What::Containers(role.into()), "").await?;
    }
    Ok(String::new())
}

/// Removes the role's file of secrets. Its directory may stay, for other roles or another app.
async fn forget_secrets(change: &Change<'_>, place: Place<'_>) -> Told {
    let role = place.role.name.as_str();
    let (scope, path) = (change.scope.clone(), change.scope.names.env_file(role));
    let step = Step::Env(EnvFile { scope, role: Some(role.into()), path, secret: None });
    change.fleet.run(&place.host.host, Some(role), &step).await.map(|_| String::new())
}

async fn remove_images(change: &Change<'_>, host: &str) -> Told {
    let config = change.call.config();
    if !config.hosts().contains(&host) {
        return Ok(String::new());
    }
    if !change.is_whole(host) {
        return Ok("images stay: other roles of this server need them".into());
    }
    let what = What::Images { repository: config.repository(), latest: config.latest_tag() };
    removed(change, host, None, what, "removed the images").await
}

async fn remove_directory(change: &Change<'_>, host: &str) -> Told {
    if !change.is_whole(host) {
        return Ok(String::new());
    }
    removed(change, host, None, What::Directory, "removed the app's directory").await
}

async fn removed(change: &Change<'_>, host: &str, role: Option<&str>, what: What, said: &str) -> Told {
    let step = Step::Remove(Remove { scope: change.scope.clone(), what });
    let removed: Removed = change.fleet.ask(host, role, &step).await?;
    Ok(match removed.shared {
        Some(others) => format!("the app's directory stays: {others} has its files there too"),
        None => said.into(),
    })
}
