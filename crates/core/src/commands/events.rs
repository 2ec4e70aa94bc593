//! Looking at a container whenever something happens to it, in place of asking again and again: a look is a program of
//! its own for the server to run, and what it waits for is seen at once.

use super::answer;

/// A shell line before the first look: the moment from which on events count. What was before, the look sees.
pub(crate) const SINCE: &str =
    "bowline_since=$(date +%s.%N); case $bowline_since in *N*) bowline_since=${bowline_since%.*} ;; esac\n";

/// Shell lines that call the function `look` after each event, until it exits.
pub(crate) fn follow() -> String {
    answer::sent(include_str!("events.sh"))
}
