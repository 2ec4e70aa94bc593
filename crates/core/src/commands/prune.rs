//! Pruning: removes what a role and destination no longer need.

use std::fmt;
use std::str::FromStr;

use super::answer::{self, Unreadable};
use super::{Scope, assets};
use crate::names::ALL_PULLED;
use crate::shell::{Line, Script, function, quote};

/// Removes old assets, old stopped containers of each role, images no container needs, and cords that nothing mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    pub scope: Scope,
    /// The roles of this server whose containers are counted, each for itself.
    pub roles: Vec<String>,
    /// Stopped containers kept for each role.
    pub retain: usize,
    /// `[SERVER/]IMAGE`.
    pub repository: String,
    /// Old assets, a role each.
    pub assets: Vec<assets::Clean>,
    /// Directories that no proxy reads any more.
    pub unread: Vec<String>,
    /// What else, if anything.
    pub parts: Option<Parts>,
}

/// How long a prune waits for another one to end, in tenths of a second.
const TURNS: u32 = 600;

/// One of Docker's prunes, in a line without its newline that ends with the prune's status. Docker refuses to run two at once, and roles
/// and other apps have theirs: this one waits for its turn.
pub(crate) fn in_turn(kind: &str, filter: impl FnOnce(Line) -> Line) -> String {
    let line = filter(Line::new("docker").words([kind, "prune", "--force"]));
    format!(
        "(bowline_turns={TURNS}; until bowline_said=$({line} 2>&1 >/dev/null); do \
         case $bowline_said in *'prune operation is already running'*) [ $((bowline_turns -= 1)) -gt 0 ] ;; *) false ;; esac || \
         {{ printf '%s\\n' \"$bowline_said\" >&2; exit 1; }}; sleep 0.1; done)"
    )
}

/// Removes the images of a label that have no name and no container.
pub(crate) fn nameless(label: &str) -> String {
    in_turn("image", |line| line.words(["--filter", label]))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Containers and images.
    All,
    /// Only containers, with their cords.
    Containers,
    Images,
}

impl Prune {
    /// The script. It leaves what can't be removed because it is in use, and reports directories ([`Left`]).
    ///
    /// Images are listed before containers: a tag that comes meanwhile is no candidate, and what uses it counts. Decisions
    /// are made from these lists, as each program of Docker costs the server as much as what it does.
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence();
        text.extend(self.assets.iter().map(|clean| clean.lines(&self.scope.names)));
        if !self.unread.is_empty() {
            text.push_str(&format!(
                "{}\n",
                Line::new("rm").word("-rf").words(self.unread.iter().map(String::as_str))
            ));
        }
        let Some(parts) = self.parts else { return Script::new(text) };
        let (containers, images) = (parts != Parts::Images, parts != Parts::Containers);
        text.push_str(&self.functions());
        if images {
            text.push_str("list_images\n");
        }
        text.push_str("list\n");
        if containers {
            for role in &self.roles {
                text.push_str(&self.stopped(role));
            }
            text.push_str("remove_old\n");
            text.push_str(&self.scope.audit(None, "Pruned containers"));
        }
        if images {
            text.push_str("remove_unused\n");
            text.push_str(&self.scope.audit(None, "Pruned images"));
        }
        if containers {
            text.push_str("remove_cords\n");
        }
        Script::new(text)
    }

    fn functions(&self) -> String {
        let owner =
            ["service", "destination", "role"].map(|label| format!("{{{{.Label \"{label}\"}}}}")).join("/");
        let format = format!("{{{{.ID}}}} {{{{.State}}}}/{owner} {{{{.Image}}}} ,{{{{.Mounts}}}},");
        let nameless = nameless(&format!("label=service={}", self.scope.names.service()));
        format!(
            "bowline_format={format} bowline_repository={repository} bowline_all_pulled={all} bowline_cords={cords}\n{nameless}{functions}",
            format = quote(&format),
            repository = quote(&self.repository),
            all = quote(ALL_PULLED),
            cords = quote(&self.scope.names.cords()),
            nameless = function("remove_nameless", &format!("{nameless}\n")),
            functions = answer::sent(include_str!("prune.sh")),
        )
    }

    /// Adds the oldest stopped containers of a role to `$bowline_old`.
    fn stopped(&self, role: &str) -> String {
        let names = &self.scope.names;
        let owner = format!("{}/{}/{role}", names.service(), names.destination().unwrap_or(""));
        format!("bowline_old=\"$bowline_old $(stopped {} | tail -n +{})\"\n", quote(&owner), self.retain + 1)
    }
}

/// Directories that could not be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left(pub Vec<String>);

impl FromStr for Left {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let left = answer::lines(text).filter(|line| line.word == "left");
        left.map(|line| line.some().map(Into::into)).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|directory| writeln!(f, "@left {directory}"))
    }
}
