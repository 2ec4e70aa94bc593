//! Shows Docker's lists: `app details`, `app version`, `app containers`, `app images`, `details`.

use bowline_core::commands::listing;
use bowline_core::names::Names;
use bowline_core::plan::step::Step;
use bowline_core::proxy::ProxyKind;
use bowline_core::selection::{Accessories, Selection};

use crate::call::Call;
use crate::error::Result;
use crate::project::Project;
use crate::run::fleet::run_all;
use crate::run::observe::look;
use crate::world::Gathered;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// The running containers, by role.
    Running,
    Containers,
    Images,
    /// The proxy, the running containers and the accessories.
    Everything,
}

pub async fn list(call: Call<'_>, listing: Listing) -> Result<Gathered> {
    let config = call.config();
    let (selection, accessories) = match listing {
        Listing::Everything => Selection::whole(config, &call.options.filters)?,
        _ => (Selection::new(config, &call.options.filters)?, Accessories::default()),
    };
    let (fleet, failures) = call.connect(&selection.hosts).await?;
    let mut steps = Vec::new();
    for host in selection.hosts.iter().filter(|host| fleet.has(host)) {
        let of_accessories = accessories
            .of_host(host)
            .map(|accessory| (Some(accessory.name.clone()), listing::accessory(&accessory.service)));
        let of_app = scripts(call.project, &selection, host, listing);
        for (role, script) in of_app.into_iter().chain(of_accessories) {
            steps.push(((*host).to_string(), role, Step::Run("list", script)));
        }
    }
    Ok(run_all(&fleet, steps, failures, selection.hosts.len()).await)
}

fn scripts(
    project: &Project,
    selection: &Selection<'_>,
    host: &str,
    what: Listing,
) -> Vec<(Option<String>, bowline_core::shell::Script)> {
    let names = Names::of(&project.config);
    let roles = || {
        selection
            .roles_of(host)
            .map(|(role, _)| (Some(role.name.clone()), listing::running(&names, &role.name)))
    };
    match what {
        Listing::Running => roles().collect(),
        Listing::Containers => vec![(None, listing::containers(&names))],
        Listing::Images => vec![(None, listing::images(&project.config.repository()))],
        Listing::Everything => {
            let kinds = ProxyKind::of_all(selection.roles_of(host).map(|(role, _)| role));
            let proxies = kinds.into_iter().filter(|kind| *kind != ProxyKind::None);
            let proxies = proxies.map(|kind| (kind.container().map(Into::into), kind.details()));
            proxies.chain(roles()).collect()
        }
    }
}

/// The version that each role serves on each server.
pub async fn versions(call: Call<'_>) -> Result<Gathered> {
    let looked = look(call).await?;
    let names = Names::of(call.config());
    let latest = call.config().latest_image();
    Ok(looked.describe(|role, observed| match observed.current(&names, role, &latest) {
        Some(container) => container.version(&names, role).to_string(),
        None => "no container is running".into(),
    }))
}
