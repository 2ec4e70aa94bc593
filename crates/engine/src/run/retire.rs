//! Retiring a container (S18): no request goes to it any more, then it is stopped.
//!
//! Whether requests go to it is what the server says at that moment, not what was planned.

use bowline_core::commands::app::{HEALTHY, IfHealthy};
use bowline_core::commands::policy::RETURNS;
use bowline_core::plan::{Retire, step::Step};

use crate::error::{Cause, Failure};
use crate::event::Event;
use crate::ports::{Exit, Output, ServerError};
use crate::proxy::Proxy;
use crate::run::fleet::Fleet;

/// How often a container whose health comes and goes is retired gently; then it is stopped in any case.
const GENTLY: usize = 3;

/// Retires one container. Nothing here is undone when it fails: running the same command again retires what is left.
pub(crate) async fn retire(
    fleet: &Fleet,
    host: &str,
    role: &str,
    retire: &Retire,
    proxy: &dyn Proxy,
) -> Result<(), Failure> {
    for attempt in 1.. {
        let mut stop = retire.stop.clone();
        stop.if_healthy = proxy.detach(role, &retire.detach).await?;
        if attempt == GENTLY {
            stop.if_healthy = IfHealthy::Stop;
        }
        match once_or_twice(fleet, host, role, &Step::Stop(stop)).await {
            // It was healthy again after it had been detached.
            Err(failure) if failure.has_status(HEALTHY) => {}
            ended => return ended.map(|output| tell(fleet, host, &retire.stop.name, &output)),
        }
    }
    Ok(())
}

/// Runs a step, and if its connection breaks once more over another one: to do it twice does no harm, and not to
/// know whether it was done would leave two containers serving.
pub(crate) async fn once_or_twice(
    fleet: &Fleet,
    host: &str,
    role: &str,
    step: &Step,
) -> Result<Output, Failure> {
    match fleet.run(host, Some(role), step).await {
        Err(Failure { cause: Cause::Server(ServerError::Lost { .. }), .. }) => {
            fleet.run(host, Some(role), step).await
        }
        ended => ended,
    }
}

/// Tells what a stop could not do.
fn tell(fleet: &Fleet, host: &str, name: &str, output: &Output) {
    let note = |text: String| fleet.emit(Event::Note { host: Some(host.into()), text });
    let said = |word: &str| output.stdout.lines().find_map(|line| line.strip_prefix(word)).map(str::trim);
    if said("@drain ") == Some("busy") {
        note(format!("{name} still had open requests when its time to drain was over"));
    }
    if output.stdout.lines().any(|line| line.trim_end() == "@unseen") {
        note(format!(
            "the open requests of {name} could not be seen: it was stopped after a pause. `nsenter`, `ss` and `awk` \
             on the server show them (Debian: util-linux, iproute2, mawk)"
        ));
    }
    tell_returns(fleet, host, name, &output.stdout);
    if let Some(directory) = said("@left ") {
        note(format!("{directory} belongs to another user and could not be removed; remove it by hand"));
    }
}

/// Tells of a container that is stopped and will come back.
pub(crate) fn tell_returns(fleet: &Fleet, host: &str, name: &str, answer: &str) {
    let Some(policy) = answer.lines().find_map(|line| line.strip_prefix(RETURNS)) else { return };
    let text = format!(
        "{name} is stopped, but its restart policy `{}` could not be changed: it will run again when Docker is restarted",
        policy.trim()
    );
    fleet.emit(Event::Note { host: Some(host.into()), text });
}

impl Failure {
    /// Whether a step's script ended with this status.
    pub(crate) fn has_status(&self, status: u32) -> bool {
        matches!(&self.cause, Cause::Command(Output { exit: Exit::Status(ended), .. }) if *ended == status)
    }
}
