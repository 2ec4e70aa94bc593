//! Looking at a container whenever something happens to it, in place of asking again and again: a look is a program of
//! its own for the server to run, and what it waits for is seen at once.

/// What is looked at again after: it began, ended, or its health changed.
const EVENTS: [&str; 5] = ["start", "die", "oom", "destroy", "health_status"];

/// A shell line before the first look: the moment from which on events count. What was before, the look sees.
pub(crate) const SINCE: &str =
    "bowline_since=$(date +%s.%N); case $bowline_since in *N*) bowline_since=${bowline_since%.*} ;; esac\n";

/// Shell lines that call the function `look` now, and with its name after each event of the container `$bowline_id`, until it exits, and
/// with it the script. `look` has to exit when `$bowline_deadline` (seconds since 1970) has passed. Where Docker's events end early, it is
/// called again and again. If nobody reads any more what `look` prints, the program that waits for events has to be told: it
/// would notice with the next event alone.
pub(crate) fn follow() -> String {
    let filters: String = EVENTS.iter().map(|event| format!(" --filter event={event}")).collect();
    format!(
        "look\n\
         sh -c 'echo $$; exec \"$@\"' sh docker events --since \"$bowline_since\" --until \"$bowline_deadline\" --filter container=\"$bowline_id\"{filters} \
         --format '{{{{.Action}}}}' 2>/dev/null | {{\n\
         read -r bowline_events; trap 'kill \"$bowline_events\" 2>/dev/null' EXIT; trap 'exit 1' PIPE\n\
         while read -r bowline_event; do look \"$bowline_event\"; done\n\
         while :; do look; sleep 0.1; done\n\
         }}\n\
         exit\n"
    )
}
