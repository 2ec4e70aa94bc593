//! The result of booting a container: ready, or the reason why not.

use std::net::IpAddr;

use bowline_core::commands::app::NameTaken;
use bowline_core::commands::ready::{Answer, start_failed};
use bowline_core::commands::status::Status;

use crate::error::Cause;
use crate::ports::Output;

/// The addresses of a container that is ready, or the reason why it isn't.
pub fn outcome(container: &str, timeout: u64, output: Output) -> Result<Vec<IpAddr>, Cause> {
    match output.status() {
        None if output.success() => Ok(output.answer::<Answer>()?.addresses()?),
        Some(Status::NotReady) => {
            let not_ready = output.answer::<Answer>()?.not_ready(container, timeout)?;
            Err(Cause::NotReady(Box::new(not_ready)))
        }
        Some(Status::NotStarted) => Err(start_failed(&output.stderr).into()),
        Some(Status::NameTaken) => Err(output.answer::<NameTaken>()?.explain(container).into()),
        _ => Err(Cause::Command(output)),
    }
}

/// How often Docker had restarted a container when it was last seen.
pub fn restarts(output: &Output) -> u32 {
    output.answer::<Answer>().map_or(0, |answer| answer.restarts())
}
