//! The ports that a container publishes on the server. Bowline checks that they are free before it stops the container that
//! the new one replaces.

use std::fmt;
use std::str::FromStr;

use super::answer::{self, Unreadable};

/// Shell lines that define `held ADDRESS PORT PROTOCOL`, `whose PORT PROTOCOL`, and `taken NEXT OLD`, which prints
/// [`Taken`]. They need [`super::ask::functions`].
pub(crate) fn functions() -> String {
    answer::sent(include_str!("published.sh"))
}

/// Taken ports (`80/tcp`), each with its owner, if known. The script has stopped nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken(pub Vec<(String, Option<String>)>);

impl FromStr for Taken {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut taken = Vec::new();
        for line in answer::lines(text).filter(|line| line.word == "taken") {
            let (port, who) =
                line.some()?.split_once(' ').map_or((line.rest, None), |(port, who)| (port, Some(who)));
            taken.push((port.to_owned(), who.map(Into::into)));
        }
        if taken.is_empty() { Err(Unreadable::Missing("@taken")) } else { Ok(Self(taken)) }
    }
}

impl Taken {
    pub fn describe(&self) -> String {
        let said = self.0.iter().map(|(port, who)| match who {
            Some(who) => format!("port {port} is taken by {who}"),
            None => format!("port {port} is taken"),
        });
        format!("{}; nothing was stopped", said.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(port, who)| writeln!(f, "@taken {port} {}", who.as_deref().unwrap_or_default()))
    }
}
