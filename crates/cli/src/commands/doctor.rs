use bowline_core::doctor::{Finding, Level};
use bowline_engine as engine;
use bowline_remote::{LocalMachine, NewHosts};
use clap::Args;

use crate::exit::{self, Ended};
use crate::invocation::{Invocation, Subject};
use crate::settings::{Settings, Verbosity, View};
use crate::ui::{Focus, findings, json, out};
use crate::{load, signals};

/// Check this machine, the project and the servers, without changing anything.
#[derive(Debug, Args)]
#[command(
    after_help = "Run it before a first deploy, and when something seems wrong. Each line is one finding: ok, a warning, or a problem with \
its fix. It checks the programs here, the files, the secrets, the registry and DNS, and on each server SSH, Docker, disks, \
clock, ports, proxy, certificates, leftovers, lock. An unreachable server doesn't stop the check of the others.

It resolves the secrets, which runs their commands, and runs the hook pre-connect. It changes nothing on servers, and doesn't write to known_hosts. With -q, it \
shows only warnings and problems. The exit code is 1 if there is a problem.

Examples:
  bowline doctor
  bowline doctor -h 10.0.0.5      # one server
  bowline doctor --json           # one object per finding"
)]
pub(crate) struct Doctor;

impl Doctor {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let (project, warnings) = match signals::unless_interrupted(load::read(settings)).await? {
            Ok(loaded) => loaded,
            Err(error) => {
                let found = engine::doctor::without_project(&LocalMachine::default(), &error).await;
                return Ok(show(settings, &found));
            }
        };
        let invocation = Invocation::of(settings, project, Focus::Result, Subject::App, NewHosts::Accept)?;
        let found =
            invocation.look(async |call| engine::doctor::examine(call, Some(&warnings)).await).await?;
        Ok(show(settings, &found))
    }
}

fn show(settings: &Settings, found: &[Finding]) -> u8 {
    if settings.view == View::Json {
        out::stdout(found.iter().map(|finding| json::finding(finding).to_string()));
    } else {
        let least = if settings.verbosity == Verbosity::Quiet { Level::Warning } else { Level::Ok };
        out::stdout(findings::lines(found, least, settings.out));
    }
    let problem = found.iter().any(|finding| finding.level == Level::Problem);
    if problem { exit::FAILED } else { exit::DONE }
}
