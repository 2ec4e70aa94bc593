//! `accessory exec`: a command in an accessory on each of its servers, by the same means as in the app.

use bowline_config::{Accessory, Config};
use bowline_core::commands::Scope;
use bowline_core::commands::exec::{Exec, Missing, Mode, Of, Place};
use bowline_core::plan::accessory as planning;
use bowline_core::plan::secrets::Secrets;
use bowline_core::selection::{Accessories, NoMatch};

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::exec::work::{Command, Work, unless_stopped};
use crate::exec::{ExecRequest, attached};
use crate::ports::{Console, Exit};
use crate::world::{Gathered, Options};

/// An accessory on its servers.
type Target<'a> = (&'a Accessory, Vec<&'a str>);

/// Runs it on every server of the accessory in parallel. The status of a failed command is in its output; it isn't an error here.
///
/// # Errors
/// An unknown accessory, missing secrets, an interrupt.
pub async fn exec(call: Call<'_>, name: &str, request: &ExecRequest) -> Result<Gathered> {
    let target = target(call.config(), call.options, name)?;
    let work = unless_stopped(call.world, work(call, request, &target)).await?;
    work.gather(call.world).await
}

/// Runs it on one server, connected to `console`, and returns how it ended. With a terminal or something
/// to read, that is the accessory's first server, as with Kamal.
///
/// # Errors
/// As [`exec`], and a lost connection.
pub async fn attach(
    call: Call<'_>,
    name: &str,
    request: &ExecRequest,
    console: &dyn Console,
) -> Result<Exit> {
    let (accessory, mut hosts) = target(call.config(), call.options, name)?;
    if request.mode == Mode::Raw && hosts.len() > 1 {
        return Err(RunError::Usage {
            message: format!(
                "`--raw` passes on the output of one container, and {name} is on {} servers",
                hosts.len()
            ),
            hint: Some(format!("choose one with `--hosts`: {}", hosts.join(", "))),
        });
    }
    hosts.truncate(1);
    let target = (accessory, hosts);
    let work = unless_stopped(call.world, work(call, request, &target)).await?;
    attached::run(call.world, &work, console).await
}

/// One accessory, never all.
fn target<'a>(config: &'a Config, options: &Options, name: &str) -> Result<Target<'a>> {
    let accessories = Accessories::new(config, &options.filters, name)?;
    match <[Target<'a>; 1]>::try_from(accessories.placed) {
        Ok([target]) if target.0.name == name => Ok(target),
        _ => {
            let known = config.accessories.iter().map(|accessory| accessory.name.as_str());
            let known = known.collect::<Vec<_>>().join(", ");
            Err(NoMatch::Accessory { given: name.into(), known }.into())
        }
    }
}

/// Connects, with the commands for all of its servers.
async fn work(call: Call<'_>, request: &ExecRequest, (accessory, hosts): &Target<'_>) -> Result<Work> {
    let scope = call.scope().await;
    let secrets = if request.reuse { Secrets::new() } else { secrets(call, accessory).await? };
    let mut commands = Vec::new();
    for host in hosts {
        let place = place(call.config(), &secrets, request, accessory, host)?;
        commands.push(Command::in_container(host, in_place(&scope, request, accessory, place)));
    }
    let (fleet, failures) = call.connect(hosts).await?;
    commands.retain(|command| fleet.has(&command.host));
    Ok(Work { images: call.world.images.clone(), fleet, commands, failures, total: hosts.len() })
}

/// The secrets of its env. Those of the registry may be missing: only a missing image needs them.
async fn secrets(call: Call<'_>, accessory: &Accessory) -> Result<Secrets> {
    let known = call.project.secrets.names();
    let mut names = planning::pull_secrets(call.config(), accessory);
    names.retain(|name| known.contains(&name.as_str()));
    names.extend(planning::env_secrets(accessory));
    call.project.secrets(call.world, &names).await
}

fn place(
    config: &Config,
    secrets: &Secrets,
    request: &ExecRequest,
    accessory: &Accessory,
    host: &str,
) -> Result<Place> {
    if request.reuse {
        return Ok(Place::Serving(accessory.service.clone()));
    }
    Ok(Place::New {
        image: accessory.image.clone(),
        environment: Box::new(planning::environment(config, secrets, accessory, host)?),
        missing: Missing::Pull(planning::login(config, secrets, accessory).ok().flatten()),
    })
}

fn in_place(scope: &Scope, request: &ExecRequest, accessory: &Accessory, place: Place) -> Exec {
    Exec {
        scope: scope.clone(),
        of: Of::Accessory {
            name: accessory.name.clone(),
            service: accessory.service.clone(),
            network: accessory.network.clone(),
        },
        place,
        env: request.env.clone(),
        words: request.words.clone(),
        mode: request.mode,
    }
}
