//! `server exec`: runs a command on the servers themselves, in parallel on all or attached on one. It takes no lock
//! and ignores existing ones.

use bowline_core::commands::exec::Mode;
use bowline_core::commands::server::OnServer;
use bowline_core::selection::servers;

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::exec::attached;
use crate::exec::work::{Command, Work};
use crate::ports::{Console, Exit};
use crate::world::Gathered;

/// Runs a command on every server. The status of a failed command is in its output; it isn't an error here.
pub async fn exec(call: Call<'_>, command: &str) -> Result<Gathered> {
    let hosts = servers(call.config(), &call.options.filters)?;
    let work = find(call, command, Mode::Gathered, &hosts);
    call.world.unless_stopped(work).await??.gather(call.world).await
}

/// Runs a command on one server, its input and output connected to `console`. `Mode::Raw` requires that only one
/// server is selected; otherwise the first is used.
pub async fn attach(call: Call<'_>, command: &str, mode: Mode, console: &dyn Console) -> Result<Exit> {
    let mut hosts = servers(call.config(), &call.options.filters)?;
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
    let work = call.world.unless_stopped(find(call, command, mode, &hosts)).await??;
    attached::run(call.world, &work, console).await
}

async fn find(call: Call<'_>, command: &str, mode: Mode, hosts: &[&str]) -> Result<Work> {
    let scope = call.scope().await;
    let (fleet, failures) = call.connect(hosts).await?;
    let there = hosts.iter().filter(|host| fleet.has(host));
    let on = |host: &&str| {
        let (scope, host, command) = (scope.clone(), (*host).to_owned(), command.to_owned());
        Command::on_server(&host.clone(), OnServer { scope, host, command, mode })
    };
    let commands = there.map(on).collect();
    Ok(Work { images: call.world.images.clone(), fleet, commands, failures, total: hosts.len() })
}
