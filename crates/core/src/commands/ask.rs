//! Asks Docker about one container where the answer must distinguish "no such container" from "Docker doesn't respond",
//! because confusing them would do damage.

use super::answer;
use super::status::Status::NoAnswer;

/// How long to wait for a Docker daemon that doesn't respond, in seconds: a restart takes up to that long.
pub const PATIENCE_S: u64 = 30;

/// Shell lines that define `ask ID FORMAT` and `ask_name NAME FORMAT`.
pub(crate) fn functions() -> String {
    let functions = answer::sent(include_str!("ask.sh"));
    format!("bowline_patience={PATIENCE_S} bowline_no_answer={NoAnswer}\n{functions}")
}
