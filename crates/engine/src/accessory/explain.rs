//! Explains failures of accessories.

use bowline_config::Accessory;
use bowline_core::commands::accessory::Answer;
use bowline_core::commands::status::Status;

use crate::error::{Cause, Failure};
use crate::ports::Output;

pub(super) fn cause(accessory: &Accessory, answer: Answer, output: Output) -> Cause {
    let status = output.status();
    if status == Some(Status::NotReady) {
        return answer.not_ready(accessory).map_or_else(Into::into, |found| Cause::NotReady(Box::new(found)));
    }
    let explanation = answer.explain(accessory, status, &output.stdout, &output.stderr);
    explanation.map_or_else(|| Cause::Command(output), Into::into)
}

pub(super) fn no_container(accessory: &Accessory, host: &str) -> Failure {
    let hint = format!("`accessory boot {}` creates one", accessory.name);
    Failure::new(
        host,
        Some(&accessory.name),
        "find the container",
        Cause::Other { reason: "there is none".into(), hint: Some(hint) },
    )
}
