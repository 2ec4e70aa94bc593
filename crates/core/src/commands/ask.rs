//! Asks Docker about one container where a wrong answer would do harm: "there is no such container" and "Docker doesn't
//! respond" must not be confused.

use super::answer;
use super::status::Status::NoAnswer;

/// How long a Docker daemon may take to answer again, in seconds: as long as one that is being restarted.
pub const PATIENCE_S: u64 = 30;

/// Shell lines that define `ask ID FORMAT` and `ask_name NAME FORMAT`.
pub(crate) fn functions() -> String {
    let functions = answer::sent(include_str!("ask.sh"));
    format!("bowline_patience={PATIENCE_S} bowline_no_answer={NoAnswer}\n{functions}")
}
