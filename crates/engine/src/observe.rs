//! Looking at all servers at once.

use std::collections::BTreeMap;

use bowline_core::commands::{Scope, observe::Observe};
use bowline_core::observed::Observed;
use bowline_core::plan::step::Step;
use futures_util::future::join_all;

use crate::error::{Cause, Failure};
use crate::event::Event;
use crate::fleet::Fleet;
use crate::ports::{Exit, Output};

/// Observes every server that was reached. With `claim` (only while holding the lock) they become this run's.
pub async fn observe(
    fleet: &Fleet,
    scope: &Scope,
    repository: &str,
    claim: bool,
) -> (BTreeMap<String, Observed>, Vec<Failure>) {
    let step = Step::Observe(Observe { scope: scope.clone(), repository: repository.into(), claim });
    let hosts: Vec<&str> = fleet.hosts().collect();
    let answers = join_all(hosts.iter().map(|host| one(fleet, host, &step))).await;
    let mut observed = BTreeMap::new();
    let mut failures = Vec::new();
    for (host, answer) in hosts.into_iter().zip(answers) {
        match answer {
            Ok(server) => {
                observed.insert(host.to_string(), server);
            }
            Err(failure) => {
                fleet.emit(Event::Failed(failure.clone()));
                failures.push(failure);
            }
        }
    }
    (observed, failures)
}

async fn one(fleet: &Fleet, host: &str, step: &Step) -> Result<Observed, Failure> {
    let output = fleet.run_watched(host, None, step, &|_| {}).await?;
    let failed = |cause| Failure { host: host.into(), role: None, doing: step.describe(), cause };
    if output.exit != Exit::Status(0) {
        return Err(failed(explain(output)));
    }
    Observed::parse(&output.stdout).map_err(|error| failed(error.into()))
}

/// The usual reasons why Docker can't be asked, with what to do.
fn explain(output: Output) -> Cause {
    let said = output.stderr.to_lowercase();
    let (reason, hint) = if said.contains("permission denied") && said.contains("docker") {
        (
            "this user may not use Docker",
            "add the user to the `docker` group there, or set `ssh: user:` to one who may",
        )
    } else if said.contains("not found") {
        ("Docker is not installed", "install Docker Engine there: https://docs.docker.com/engine/install/")
    } else if said.contains("cannot connect to the docker daemon")
        || said.contains("is the docker daemon running")
    {
        ("the Docker daemon does not run", "start it there: `systemctl start docker`")
    } else {
        return Cause::Command(output);
    };
    Cause::Told { reason: reason.into(), hint: Some(hint.into()) }
}
