//! Retires a container: it gets no new requests, then it stops.
//!
//! Whether it gets requests is checked on the server at that moment, not taken from the plan.

use bowline_core::commands::answer::Unreadable;
use bowline_core::commands::app::{Drained, IfHealthy, Stopped};
use bowline_core::commands::finish::{Answer as Finished, Finish};
use bowline_core::commands::policy::Returns;
use bowline_core::commands::status::Status;
use bowline_core::plan::{Retire, step::Step};

use crate::error::{Cause, Failure};
use crate::event::Event;
use crate::ports::{Output, ServerError};
use crate::proxy::Proxy;
use crate::run::fleet::Fleet;

/// How often to try for a container whose health comes and goes. The last attempt stops it in any case.
const GENTLY: usize = 3;

/// Retires one container. A failure undoes nothing: running the command again retires the rest.
pub(crate) async fn retire(
    fleet: &Fleet,
    host: &str,
    role: &str,
    retire: &Retire,
    proxy: &dyn Proxy,
) -> Result<(), Failure> {
    retire_and(fleet, host, role, retire, proxy, None).await.map(drop)
}

/// Like [`retire`], followed in the same round trip by the last steps on the server. Returns how far those got. The
/// caller tries a failed part again separately, which reports why it failed.
pub(crate) async fn retire_and(
    fleet: &Fleet,
    host: &str,
    role: &str,
    retire: &Retire,
    proxy: &dyn Proxy,
    then: Option<&Finish>,
) -> Result<Finished, Failure> {
    for attempt in 1.. {
        let mut stop = retire.stop.clone();
        stop.if_healthy = proxy.detach(role, &retire.detach).await?;
        if attempt == GENTLY {
            stop.if_healthy = IfHealthy::Stop;
        }
        let alone = Step::Stop(stop.clone());
        let step = match then {
            Some(then) => Step::Finish(Box::new(Finish { stop: Some(stop), ..then.clone() })),
            None => alone.clone(),
        };
        let output = match once_or_twice(fleet, host, role, &step).await {
            // It became healthy again after it was detached.
            Err(failure) if failure.has_status(Status::Healthy) => continue,
            Err(Failure { cause: Cause::Command(output), .. }) if has_stopped(then, &output) => output,
            Err(failure) => return Err(Failure { doing: alone.describe(), ..failure }),
            Ok(output) => output,
        };
        let finished = match then {
            Some(_) => output.answer(),
            None => output.answer().map(|stopped| Finished { stopped: Some(stopped), ..Finished::default() }),
        };
        let stopped = finished.and_then(|finished| match finished.stopped.clone() {
            Some(stopped) => Ok((stopped, finished)),
            None => Err(Unreadable::CutShort),
        });
        let (stopped, finished) =
            stopped.map_err(|error| fleet.failed(host, Some(role), &alone, error.into()))?;
        tell(fleet, host, &retire.stop.name, stopped);
        return Ok(finished);
    }
    Ok(Finished::default())
}

/// Whether the stop succeeded and only a step after it failed.
fn has_stopped(then: Option<&Finish>, output: &Output) -> bool {
    then.is_some() && output.answer::<Finished>().is_ok_and(|finished| finished.stopped.is_some())
}

/// Runs a step, and runs it again over another connection if the first one breaks. Running it twice is harmless. Not
/// knowing whether it ran could leave two containers serving.
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

fn tell(fleet: &Fleet, host: &str, name: &str, stopped: Stopped) {
    let note = |text: String| fleet.emit(Event::Note { host: Some(host.into()), text });
    if stopped.drain == Some(Drained::Busy) {
        note(format!("{name} still had open requests at the end of `drain_timeout`"));
    }
    if stopped.unseen {
        note(format!(
            "Bowline could not see the open requests of {name}, so it stopped the container after a pause. To see them, it \
             needs `nsenter`, `ss` and `awk` on the server (Debian: util-linux, iproute2, mawk)"
        ));
    }
    note_returns(fleet, host, name, &stopped.returns);
    if let Some(directory) = stopped.left {
        note(format!("{directory} belongs to another user and could not be removed; remove it by hand"));
    }
}

/// Reports a stopped container that Docker will start again.
pub(crate) fn note_returns(fleet: &Fleet, host: &str, name: &str, Returns(policy): &Returns) {
    let Some(policy) = policy else { return };
    let text = format!(
        "{name} is stopped, but its restart policy `{policy}` could not be changed: it will start again when Docker restarts"
    );
    fleet.emit(Event::Note { host: Some(host.into()), text });
}
