//! The cord: a file whose absence makes a container unhealthy, so that Traefik stops routing to it before it stops.
//!
//! Booting a container ties the cord: it creates a directory with one file and mounts it, and the health check looks for the
//! file. Deleting the file cuts the cord.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::labels::{Protocol, Route};
use crate::commands::answer::{Unreadable, lines, sent};
use crate::commands::app::Boot;
use crate::commands::serving::Serving;
use crate::commands::{Scope, ask, events};
use crate::observed::Container;
use crate::proxy::answer::addresses;
use crate::shell::{Script, quote};

/// Shell lines that tie a cord: create the directory with the file.
pub(crate) fn tie(directory: &str) -> String {
    let directory = quote(directory);
    // A restrictive umask would keep the container's user from seeing the file.
    format!("umask 022\nmkdir -p {directory} && : > {directory}/cord || exit\n")
}

/// The health check command, extended to fail if the cord is cut.
pub fn health_command(cmd: &str, cord: &str) -> String {
    format!("({cmd}) && (stat {cord}/cord > /dev/null || exit 1)")
}

/// Whether a directory on a server was created for a cord: `…/cords/NAME`. A user's own health check may look for a
/// file called `cord` in data that Bowline must not delete.
pub fn is_cord(directory: &str) -> bool {
    directory.rsplit('/').nth(1) == Some("cords")
}

/// Whether a health check command looks for a cord in this directory of the container.
pub fn asks_for(health_command: &str, directory: &str) -> bool {
    !directory.is_empty() && health_command.contains(&format!("stat {directory}/cord"))
}

/// Cuts a container's cord and waits until Docker considers it unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub scope: Scope,
    /// The container's name, for display.
    pub name: String,
    /// Identifies the container. Its name may be given to another one in the meantime.
    pub id: String,
    /// The cord's directory on the server.
    pub directory: String,
    /// How long the container may take to become unhealthy, in seconds.
    pub timeout: u64,
    /// What Traefik routes to it.
    pub protocols: BTreeSet<Protocol>,
    /// The container that serves in its place. The cord is cut only if that one serves.
    pub instead: Option<Serving>,
}

impl Cut {
    pub(crate) fn of(scope: &Scope, container: &Container) -> Option<Self> {
        Some(Self {
            scope: scope.clone(),
            name: container.name.clone(),
            id: container.id.clone(),
            directory: container.cord()?.into(),
            timeout: container.unhealthy_within(),
            protocols: Route::new("", &container.labels).protocols(),
            instead: None,
        })
    }

    pub(crate) fn of_new(boot: &Boot, id: &str) -> Option<Self> {
        boot.cord.as_ref()?;
        Some(Self {
            scope: boot.scope.clone(),
            name: boot.container(),
            id: id.into(),
            directory: boot.cord_directory(),
            timeout: boot.timeout,
            protocols: Route::new("", boot.labels.iter().map(|(key, value)| (key, value))).protocols(),
            instead: None,
        })
    }

    /// Prints [`Answer`], with a line of addresses whenever they change.
    pub fn script(&self) -> Script {
        let inside = format!(
            "{{{{range .Mounts}}}}{{{{if eq .Source {:?}}}}}{{{{.Destination}}}}{{{{end}}}}{{{{end}}}}",
            self.directory
        );
        Script::new(format!(
            "{fence}{ask}{instead}{since}bowline_id={id} bowline_cord={cord} bowline_inside={inside} bowline_timeout={timeout}\n{cut}{follow}",
            fence = self.scope.fence(),
            ask = ask::functions(),
            instead = self.instead.as_ref().map(Serving::or_exit).unwrap_or_default(),
            since = events::SINCE,
            id = quote(&self.id),
            cord = quote(&self.directory),
            inside = quote(&inside),
            timeout = self.timeout,
            cut = sent(include_str!("cord.sh")),
            follow = events::follow(),
        ))
    }
}

/// What happened to the container after its cord was cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its last known addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it was healthy at any time.
    pub was_healthy: bool,
    pub end: End,
}

/// How the wait for the container to become unhealthy ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum End {
    #[default]
    Unhealthy,
    /// It is still healthy at the timeout.
    StillHealthy,
    /// The container doesn't exist.
    Gone,
    /// The SSH user can't delete the file, for this reason.
    Uncut(String),
}

impl FromStr for Answer {
    type Err = Unreadable;

    fn from_str(answer: &str) -> Result<Self, Unreadable> {
        let (mut read, mut end) = (Self::default(), None);
        for line in lines(answer) {
            match line.word {
                "address" => read.addresses = addresses(line.rest).collect(),
                "healthy" => read.was_healthy = true,
                "unhealthy" => end = Some(End::Unhealthy),
                "still-healthy" => end = Some(End::StillHealthy),
                "gone" => end = Some(End::Gone),
                "uncut" => end = Some(End::Uncut(line.rest.to_owned())),
                _ => {}
            }
        }
        read.end = end.ok_or(Unreadable::CutShort)?;
        Ok(read)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.addresses.is_empty() {
            let addresses: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
            writeln!(f, "@address {}", addresses.join(" "))?;
        }
        if self.was_healthy {
            writeln!(f, "@healthy")?;
        }
        match &self.end {
            End::Unhealthy => writeln!(f, "@unhealthy"),
            End::StillHealthy => writeln!(f, "@still-healthy"),
            End::Gone => writeln!(f, "@gone"),
            End::Uncut(why) => writeln!(f, "@uncut {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let addresses: Vec<IpAddr> = ["172.18.0.2", "fd00::2"].map(|text| text.parse().unwrap()).into();
        for end in [End::Unhealthy, End::StillHealthy, End::Gone, End::Uncut("Permission denied".into())] {
            let answer = Answer { addresses: addresses.clone(), was_healthy: true, end };
            assert_eq!(answer.to_string().parse(), Ok(answer));
        }
    }

    #[test]
    fn the_last_addresses_count_and_an_answer_needs_an_end() {
        let read: Answer =
            "@address 172.18.0.2 \n@healthy\n@address 172.18.0.3\n@unhealthy\n".parse().unwrap();
        assert_eq!(read.addresses, ["172.18.0.3".parse::<IpAddr>().unwrap()]);
        assert_eq!("@healthy\n".parse::<Answer>(), Err(Unreadable::CutShort));
    }
}
