//! Human-readable lists of containers and images, as Docker prints them.

use crate::names::Names;
use crate::shell::{Line, Script};

/// Adds filters that select this app's containers, of one role or of all.
pub(super) fn filters(line: Line, names: &Names, role: Option<&str>) -> Line {
    let line = line
        .words(["--filter", &format!("label=service={}", names.service())])
        .words(["--filter", &format!("label=destination={}", names.destination().unwrap_or(""))]);
    match role {
        Some(role) => line.words(["--filter", &format!("label=role={role}")]),
        None => line,
    }
}

pub fn running(names: &Names, role: &str) -> Script {
    Script::new(format!("exec {}\n", filters(Line::new("docker").word("ps"), names, Some(role))))
}

/// Lists all containers of the app, including stopped ones.
pub fn containers(names: &Names) -> Script {
    let line = Line::new("docker").words(["container", "ls", "--all"]);
    Script::new(format!("exec {}\n", filters(line, names, None)))
}

pub fn images(repository: &str) -> Script {
    Script::new(format!("exec {}\n", Line::new("docker").words(["image", "ls", repository])))
}

pub fn accessory(service: &str) -> Script {
    let filter = format!("label=service={service}");
    Script::new(format!("exec {}\n", Line::new("docker").words(["ps", "--all", "--filter", &filter])))
}
