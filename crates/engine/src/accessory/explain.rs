//! Explains failures of accessories.

use bowline_config::Accessory;
use bowline_core::commands::accessory::Answer;
use bowline_core::commands::status::Status;
use bowline_core::plan::deploy::PlanError;
use bowline_core::proxy::Refusal;

use crate::error::{Cause, Failure};
use crate::ports::Output;

/// Why a step ended with another status than 0.
pub(super) fn cause(accessory: &Accessory, answer: Answer, output: Output) -> Cause {
    let status = output.status();
    if status == Some(Status::NotReady) {
        return answer.not_ready(accessory).map_or_else(Into::into, |found| Cause::NotReady(Box::new(found)));
    }
    let explanation = answer.explain(accessory, status, &output.stdout, &output.stderr);
    explanation.map_or_else(|| Cause::Command(output), Into::into)
}

/// There is no container to start.
pub(super) fn no_container(accessory: &Accessory, host: &str) -> Failure {
    let name = &accessory.name;
    told(
        accessory,
        host,
        "find the container",
        "there is none",
        &format!("`accessory boot {name}` makes one"),
    )
}

/// The configuration makes no valid container. The checks before the run should prevent this.
pub(super) fn unusable(error: &PlanError, accessory: &Accessory, host: &str) -> Failure {
    told(accessory, host, "read the configuration", &error.to_string(), "see the secrets of its env")
}

/// The proxy rejected it.
pub(super) fn refused(refusal: &Refusal, accessory: &Accessory, host: &str) -> Failure {
    told(accessory, host, &format!("boot {}", accessory.name), &refusal.message, &refusal.hint)
}

fn told(accessory: &Accessory, host: &str, doing: &str, reason: &str, hint: &str) -> Failure {
    Failure {
        host: host.into(),
        role: Some(accessory.name.clone()),
        doing: doing.into(),
        cause: Cause::Told { reason: reason.into(), hint: Some(hint.into()) },
    }
}
