//! Asking Docker about one container, where a wrong answer would do harm: that there is no such container and that
//! Docker doesn't answer are two different things.

/// What a script exits with when Docker did not answer.
pub const NO_ANSWER: u32 = 69;
/// How long a Docker daemon may take to answer again, in seconds: as long as one that is being restarted.
pub const PATIENCE_S: u64 = 30;

const FUNCTIONS: &str = include_str!("ask.sh");

/// Shell lines that define `ask ID FORMAT` and `ask_name NAME FORMAT`.
pub(crate) fn functions() -> String {
    let lines = FUNCTIONS.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    format!("bowline_patience={PATIENCE_S} bowline_no_answer={NO_ANSWER}\n{lines}")
}
