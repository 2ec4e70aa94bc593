//! `accessory exec`: runs a command in an accessory on each of its servers, as `app exec` does in the app.

use bowline_config::{Accessory, Config};
use bowline_core::commands::exec::{Missing, Mode, Of, Place};
use bowline_core::plan::accessory as planning;
use bowline_core::secrets::Secrets;
use bowline_core::selection::{Accessories, NoMatch};

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::exec::work::{Command, Work};
use crate::exec::{ExecRequest, attached};
use crate::ports::{Console, Exit};
use crate::world::{Gathered, Options};

type Target<'a> = (&'a Accessory, Vec<&'a str>);

/// Runs the command on every server of the accessory in parallel. If it fails, its status is in its output, and this is not
/// an error.
pub async fn exec(call: Call<'_>, name: &str, request: &ExecRequest) -> Result<Gathered> {
    let target = target(call.config(), call.options, name)?;
    let work = call.world.unless_stopped(work(call, request, &target)).await??;
    work.gather(call.world).await
}

/// Runs the command on one server, connected to `console`, and returns how it ended. If several servers match, it runs on
/// the first, as in Kamal. [`Mode::Raw`] requires a single match.
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
    let work = call.world.unless_stopped(work(call, request, &target)).await??;
    attached::run(call.world, &work, console).await
}

/// The accessory with this name. `all` is not allowed.
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

/// Connects, and builds the commands for all servers of the accessory.
async fn work(call: Call<'_>, request: &ExecRequest, (accessory, hosts): &Target<'_>) -> Result<Work> {
    let scope = call.scope().await;
    let secrets = if request.reuse { Secrets::new() } else { secrets(call, accessory).await? };
    let mut commands = Vec::new();
    for host in hosts {
        let place = place(call.config(), &secrets, request, accessory, host)?;
        commands.push(Command::in_container(host, request.at(&scope, of(accessory), place)));
    }
    let (fleet, failures) = call.connect(hosts).await?;
    commands.retain(|command| fleet.has(&command.host));
    Ok(Work { images: call.world.images.clone(), fleet, commands, failures, total: hosts.len() })
}

/// The secrets of its environment. Those of the registry may be undefined, because only a missing image needs them.
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

fn of(accessory: &Accessory) -> Of {
    let Accessory { name, service, network, .. } = accessory.clone();
    Of::Accessory { name, service, network }
}
