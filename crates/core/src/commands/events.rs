//! Follows a container through Docker's events instead of polling it. Polling starts a process on the server each time,
//! while an event arrives immediately.

use super::answer;

/// A shell line that saves the time before the first look. Events count from then on, and the look sees what happened before.
pub(crate) const SINCE: &str =
    "bowline_since=$(date +%s.%N); case $bowline_since in *N*) bowline_since=${bowline_since%.*} ;; esac\n";

/// Shell lines that call the function `look` after each event, until it exits.
pub(crate) fn follow() -> String {
    answer::sent(include_str!("events.sh"))
}
