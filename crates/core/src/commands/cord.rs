//! The cord: a file whose absence makes a container unhealthy, so that the proxy lets it go before it stops.
//!
//! It is tied when a container is booted (a directory with one file, mounted into the container, asked for by
//! the health check) and cut by deleting the file.

use super::{Scope, events};
use crate::shell::{Script, quote};

/// Shell lines that tie a cord.
pub(super) fn tie(directory: &str) -> String {
    let directory = quote(directory);
    // A login's umask must not keep the container's user from seeing it.
    format!("umask 022\nmkdir -p {directory} && : > {directory}/cord || exit\n")
}

/// The health command with the question for the cord added.
pub fn health_command(cmd: &str, cord: &str) -> String {
    format!("({cmd}) && (stat {cord}/cord > /dev/null || exit 1)")
}

/// Whether a directory on a server is one that a deploy made for a cord: `…/cords/NAME`. A health command of the
/// user's own may ask for a file called `cord` in data that is not ours to delete.
pub fn is_cord(directory: &str) -> bool {
    directory.rsplit('/').nth(1) == Some("cords")
}

/// Whether a health command asks for a cord in this directory of the container.
pub fn asks_for(health_command: &str, directory: &str) -> bool {
    !directory.is_empty() && health_command.contains(&format!("stat {directory}/cord"))
}

/// Cuts a container's cord and waits until Docker sees it as unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The run.
    pub scope: Scope,
    /// The container: its name, for people.
    pub name: String,
    /// Its id: the name may be given to another container meanwhile.
    pub id: String,
    /// The cord's directory on the server.
    pub directory: String,
    /// How long it may take to become unhealthy, in whole seconds.
    pub timeout: u64,
}

impl Cut {
    /// Prints `@healthy` if the container was healthy at all, then `@unhealthy` when it is so no longer, or
    /// `@still-healthy` when time is up.
    pub fn script(&self) -> Script {
        let id = quote(&self.id);
        // An event that says it all spares a look.
        Script::new(format!(
            "{fence}{since}rm -f {cord}/cord || exit\n\
             bowline_id={id}; bowline_deadline=$(($(date +%s) + {timeout})); bowline_was=\n\
             look() {{\n\
             case $1 in 'health_status: unhealthy'|die) echo @unhealthy; exit 0 ;; esac\n\
             bowline_state=$(docker container inspect --format '{{{{.State.Status}}}} {{{{if .State.Health}}}}{{{{.State.Health.Status}}}}{{{{end}}}}' \"$bowline_id\" 2>/dev/null)\n\
             [ \"$bowline_state\" = 'running healthy' ] || {{ echo @unhealthy; exit 0; }}\n\
             [ -n \"$bowline_was\" ] || {{ echo @healthy; bowline_was=1; }}\n\
             [ \"$(date +%s)\" -lt \"$bowline_deadline\" ] || {{ echo @still-healthy; exit 0; }}\n\
             }}\n\
             {follow}",
            since = events::SINCE,
            follow = events::follow(),
            fence = self.scope.fence(),
            cord = quote(&self.directory),
            timeout = self.timeout,
        ))
    }
}
