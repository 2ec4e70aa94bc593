//! `server exec`: a command on the servers themselves, on all of them at once or on one with its bytes passed on.
//! No lock is taken, and none is looked at.

use bowline_core::commands::Scope;
use bowline_core::commands::exec::Mode;
use bowline_core::commands::server::OnServer;
use bowline_core::names::Names;
use bowline_core::selection::servers;

use crate::error::{Result, RunError};
use crate::exec::attached;
use crate::exec::work::{Command, Work, unless_stopped};
use crate::ports::{Console, Exit};
use crate::run::fleet::Fleet;
use crate::world::{Gathered, Options, Project, World};
use crate::{hooks, version};

/// Runs it on every server. A command that fails is no error here: its status is in the output.
pub async fn exec(world: &World, project: &Project, options: &Options, command: &str) -> Result<Gathered> {
    let hosts = servers(&project.config, &options.filters)?;
    let work = find(world, project, options, command, Mode::Gathered, &hosts);
    unless_stopped(world, work).await?.gather(world).await
}

/// Runs it on one server, its input and output connected to `console`: with a terminal or something to read on the
/// first, raw on the only one.
pub async fn attach(
    world: &World,
    project: &Project,
    options: &Options,
    command: &str,
    mode: Mode,
    console: &dyn Console,
) -> Result<Exit> {
    let mut hosts = servers(&project.config, &options.filters)?;
    if mode == Mode::Raw && hosts.len() > 1 {
        return Err(RunError::Usage {
            message: format!(
                "`--raw` passes on the output of one server, and this would run on {}: {}",
                hosts.len(),
                hosts.join(", ")
            ),
            hint: Some("choose one with `--primary` (the first server) or `--hosts`".into()),
        });
    }
    hosts.truncate(1);
    let work = unless_stopped(world, find(world, project, options, command, mode, &hosts)).await?;
    attached::run(world, &work, console).await
}

async fn find(
    world: &World,
    project: &Project,
    options: &Options,
    command: &str,
    mode: Mode,
    hosts: &[&str],
) -> Result<Work> {
    let scope = Scope {
        names: Names::of(&project.config),
        run: world.local.random_hex(16),
        performer: version::performer(world).await,
    };
    hooks::pre_connect(world, project, options, hosts).await?;
    let (fleet, failures) = Fleet::connect(world, project, hosts).await?;
    let there = hosts.iter().filter(|host| fleet.has(host));
    let on = |host: &&str| {
        let (scope, host, command) = (scope.clone(), (*host).to_owned(), command.to_owned());
        Command::on_server(&host.clone(), OnServer { scope, host, command, mode })
    };
    let commands = there.map(on).collect();
    Ok(Work { images: world.images.clone(), fleet, commands, failures, total: hosts.len() })
}
