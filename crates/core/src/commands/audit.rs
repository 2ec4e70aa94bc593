//! The audit log, which has one line for each change on a server.

use super::Scope;
use crate::names::Names;
use crate::shell::{Script, quote};

/// A shell line that appends `[TIME] [PERFORMER] [DEST] [ROLE] TEXT`. The time is the server's, in UTC. A failed write is
/// ignored, so it doesn't stop a deploy.
pub(super) fn line(scope: &Scope, role: Option<&str>, text: &str) -> String {
    let mut tags = format!("[{}]", scope.performer);
    for tag in scope.names.destination().into_iter().chain(role) {
        tags.push_str(&format!(" [{tag}]"));
    }
    format!(
        "mkdir -p .kamal && printf '[%s] %s\\n' \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\" {} >> {} || :\n",
        quote(&format!("{tags} {text}").replace('\n', " ")),
        quote(&scope.names.audit_log()),
    )
}

pub fn tail(names: &Names, lines: usize) -> Script {
    let log = quote(&names.audit_log());
    Script::new(format!("[ ! -e {log} ] || exec tail -n {lines} {log}"))
}
