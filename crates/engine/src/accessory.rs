//! Accessories, the containers next to the app: what changing them needs, and `accessory details|logs|exec`.

pub mod exec;
mod explain;
mod files;
pub(crate) mod image;
pub(crate) mod work;

use bowline_config::Accessory;
use bowline_core::commands::{Scope, listing, logs};
use bowline_core::plan::accessory as planning;
use bowline_core::plan::change::{Deed, Given};
use bowline_core::plan::step::Step;
use bowline_core::selection::Accessories;

use crate::call::Call;
use crate::error::{Failure, Result};
use crate::error_pages;
use crate::logs::follow_all;
use crate::run::fleet::{Fleet, run_all};
use crate::world::Gathered;

/// The names of the secrets that an action on accessories needs.
pub(crate) fn secrets(call: Call<'_>, deed: Deed, accessories: &Accessories<'_>) -> Vec<String> {
    let config = call.config();
    let of = |(accessory, _): &(&Accessory, Vec<&str>)| match deed {
        Deed::Boot | Deed::Reboot => planning::secrets_needed(config, accessory),
        Deed::Pull => planning::pull_secrets(config, accessory),
        Deed::Power(_) | Deed::Remove => Vec::new(),
    };
    let mut names: Vec<String> = accessories.placed.iter().flat_map(of).collect();
    names.sort();
    names.dedup();
    names
}

/// Accessories with everything that their containers need, so that anything missing is an error before the run starts.
pub(crate) async fn given<'a>(call: Call<'a>, accessories: Accessories<'a>) -> Result<Given<'a>> {
    let secrets = call.project.secrets(call.world, &secrets(call, Deed::Boot, &accessories)).await?;
    let mut given = Given { accessories, secrets, ..Given::default() };
    complete(call, &mut given, Values::Known).await?;
    Ok(given)
}

/// Whether secrets have their values, or placeholders for a plan that is only shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    Known,
    StandIns,
}

/// Adds the files of accessories. Placeholders give templates no contents: a template might fail with them, or run
/// programs.
pub(crate) async fn complete(call: Call<'_>, given: &mut Given<'_>, values: Values) -> Result<()> {
    for (accessory, hosts) in &given.accessories.placed {
        if values == Values::Known {
            planning::check_secrets(accessory, &given.secrets)?;
        }
        if let Some(host) = hosts.first() {
            // Whether the secrets can be passed to a container doesn't depend on the server.
            planning::environment(call.config(), &given.secrets, accessory, host)?;
        }
        let secrets = (values == Values::Known).then_some(&given.secrets);
        given.files.insert(accessory.name.clone(), files::read(call, accessory, secrets).await?);
    }
    if given.accessories.placed.iter().any(|(accessory, _)| accessory.proxy.is_some()) {
        given.pages = error_pages::read(call)?;
    }
    Ok(())
}

/// Whether any accessory uses the app's own image, which the run sends.
pub(crate) fn need_the_app(call: Call<'_>, scope: &Scope, accessories: &Accessories<'_>) -> bool {
    let mut all = accessories.placed.iter();
    all.any(|(accessory, _)| planning::receive(call.config(), scope, accessory).is_some())
}

/// Connects to the servers of accessories for a command that changes nothing.
async fn look<'a>(
    call: Call<'_>,
    accessories: &Accessories<'a>,
) -> Result<(Fleet, Vec<Failure>, Vec<(&'a Accessory, &'a str)>)> {
    let hosts = accessories.hosts();
    let (fleet, failures) = call.connect(&hosts).await?;
    let places = accessories.placed.iter();
    let places = places.flat_map(|(accessory, hosts)| hosts.iter().map(|host| (*accessory, *host)));
    let there = places.filter(|(_, host)| fleet.has(host)).collect();
    Ok((fleet, failures, there))
}

pub async fn details(call: Call<'_>, name: &str) -> Result<Gathered> {
    let accessories = Accessories::new(call.config(), &call.options.filters, name)?;
    let (fleet, failures, places) = look(call, &accessories).await?;
    let step = |(accessory, host): (&Accessory, &str)| {
        let list = Step::Run("list", listing::accessory(&accessory.service));
        (host.to_string(), Some(accessory.name.clone()), list)
    };
    let steps = places.into_iter().map(step).collect();
    Ok(run_all(&fleet, steps, failures, accessories.hosts().len()).await)
}

/// `accessory logs` of every server, printed once or followed until the run is interrupted.
pub async fn logs(call: Call<'_>, name: &str, lines: &logs::Lines) -> Result<Gathered> {
    let accessories = Accessories::new(call.config(), &call.options.filters, name)?;
    let (fleet, failures, places) = look(call, &accessories).await?;
    let total = accessories.hosts().len();
    let step = |service: &str| Step::Wait("show the log", logs::logs(service, lines), logs::LONGEST_S);
    if !lines.follow {
        let one = |(accessory, host): (&Accessory, &str)| {
            (host.to_string(), Some(accessory.name.clone()), step(&accessory.service))
        };
        return Ok(run_all(&fleet, places.into_iter().map(one).collect(), failures, total).await);
    }
    let one = |(accessory, host): (&Accessory, &str)| {
        (host.to_string(), accessory.name.clone(), step(&accessory.service))
    };
    let followed = follow_all(&fleet, places.into_iter().map(one).collect());
    let failed = call.world.unless_stopped(followed).await?;
    Ok(Gathered { outputs: Vec::new(), failures: failures.into_iter().chain(failed).collect(), total })
}
