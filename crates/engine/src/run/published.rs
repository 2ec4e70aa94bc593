//! Ports that a container would publish and somebody else has.

use crate::ports::Output;

/// Who has which, as a script told; nothing was stopped for it.
pub(crate) fn taken(output: &Output) -> String {
    let ports = output.stdout.lines().filter_map(|line| line.strip_prefix("@taken "));
    let said: Vec<String> = ports
        .map(|line| match line.trim().split_once(' ') {
            Some((port, who)) => format!("port {port} is taken by {who}"),
            None => format!("port {} is taken", line.trim()),
        })
        .collect();
    format!("{}; nothing was stopped", said.join(", "))
}
