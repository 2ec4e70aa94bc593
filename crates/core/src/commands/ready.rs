//! Waiting, on the server, until a container that was just started is ready or won't be.

use super::events;
use crate::proxy;
use crate::shell::quote;

/// What the script exits with when the container did not become ready.
pub const NOT_READY: u32 = 70;
/// Log lines of a failed container that are fetched.
const LOG_LINES: usize = 50;
/// Ends of a failed container that are fetched.
const ENDS: usize = 20;
/// A container that Docker had to start again so often won't come up.
const RESTARTS: u32 = 3;

/// Shell lines that follow the container `$bowline_id`, which was just started, for at most `timeout` seconds; one without a
/// health check is ready when it still runs after `delay` seconds. `network` is the one on which it is reached. They need
/// [`super::ask::functions`] and print `@state` lines (status, health, exit code, restarts, out of memory) as they
/// change, then `@ready ADDRESS` (all its addresses if it isn't on that network), or `@failed REASON` with how it ended
/// until then (`oom`, `die=CODE`), where it listens, its health command, its log and health log.
pub(super) fn wait(timeout: u64, delay: u64, network: &str) -> String {
    follow(timeout, delay, network, ("", RESTARTS))
}

/// The same for a container that was ready when Docker had started it again so many times: one that ended since has
/// failed, and one without a health check needn't wait.
pub(super) fn still(timeout: u64, delay: u64, network: &str, restarts: u32) -> String {
    follow(timeout, delay, network, (&restarts.to_string(), restarts.saturating_add(1)))
}

/// `seen`: the number of restarts at which it was seen running; `most`: the number at which it has failed.
fn follow(timeout: u64, delay: u64, network: &str, (seen, most): (&str, u32)) -> String {
    let before = quote(
        "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} \
         {{.State.ExitCode}} {{.RestartCount}} {{.State.OOMKilled}} \
         {{with index .NetworkSettings.Networks \"",
    );
    let after =
        quote("\"}}{{.IPAddress}} {{else}}{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}{{end}}");
    let template = format!("{before}\"$bowline_network\"{after}");
    // Docker forgets a container's end when it starts it again; its events don't.
    let ends = quote("{{.Action}}{{with index .Actor.Attributes \"exitCode\"}}={{.}}{{end}}");
    format!(
        "{network}{since}failed() {{\n\
         echo \"@failed $1\"\n\
         echo \"@ended $(docker events --since $((bowline_deadline - {timeout} - 5)) --until 0s --filter \"container=$bowline_id\" --filter event=oom \
         --filter event=die --format {ends} | tail -n {ENDS} | tr '\\n' ' ')\"\n\
         bowline_pid=$(docker container inspect --format '{{{{.State.Pid}}}}' \"$bowline_id\")\n\
         echo \"@listening $(cat \"/proc/$bowline_pid/net/tcp\" \"/proc/$bowline_pid/net/tcp6\" 2>/dev/null | awk '$4 == \"0A\" {{ printf \"%s \", $2 }}')\"\n\
         echo \"@check $(docker container inspect --format '{{{{if .Config.Healthcheck}}}}{{{{json .Config.Healthcheck.Test}}}}{{{{end}}}}' \"$bowline_id\")\"\n\
         echo @log; docker container logs --tail {LOG_LINES} \"$bowline_id\" 2>&1\n\
         echo; printf '@health %s\\n' \"$(docker container inspect --format '{{{{json .State.Health}}}}' \"$bowline_id\")\"\n\
         exit {NOT_READY}\n\
         }}\n\
         bowline_deadline=$(($(date +%s) + {timeout})); bowline_last=; bowline_waited={seen}\n\
         look() {{\n\
         while :; do\n\
         ask \"$bowline_id\" {template} || failed gone\n\
         set -- $bowline_said\n\
         bowline_now=\"$1 $2 $3 $4 $5\"\n\
         [ \"$bowline_now\" = \"$bowline_last\" ] || {{ echo \"@state $bowline_now\"; bowline_last=$bowline_now; }}\n\
         [ \"$4\" -lt {most} ] || failed restarting\n\
         case \"$1 $2\" in\n\
         'running healthy') shift 5; echo \"@ready $*\"; exit 0 ;;\n\
         'running none')\n\
         [ -z \"$bowline_waited\" ] || [ \"$bowline_waited\" != \"$4\" ] || {{ shift 5; echo \"@ready $*\"; exit 0; }}\n\
         bowline_waited=$4; echo \"@delay {delay}\"; sleep {delay}; continue ;;\n\
         exited*|dead*|removing*) failed exited ;;\n\
         esac\n\
         [ \"$(date +%s)\" -lt \"$bowline_deadline\" ] || failed timeout\n\
         return\n\
         done\n\
         }}\n\
         {follow}",
        network = proxy::shared_network(network),
        since = events::SINCE,
        follow = events::follow(),
    )
}
