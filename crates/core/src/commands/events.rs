//! Follows a container by Docker's events instead of polling it: every look is another process on the server, and an event is
//! noticed immediately.

use super::answer;

/// A shell line before the first look: the moment from which on events count. What was before, the look sees.
pub(crate) const SINCE: &str =
    "bowline_since=$(date +%s.%N); case $bowline_since in *N*) bowline_since=${bowline_since%.*} ;; esac\n";

/// Shell lines that call the function `look` after each event, until it exits.
pub(crate) fn follow() -> String {
    answer::sent(include_str!("events.sh"))
}
