//! Removes old assets, containers, images and cords.

use std::fmt;
use std::str::FromStr;

use super::answer::{self, Unreadable};
use super::app::MADE_LABEL;
use super::{Scope, assets};
use crate::names::ALL_PULLED;
use crate::shell::{Line, Script, function, quote};

/// Removes old assets, each role's old stopped containers, unused images, and cords that no container mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    pub scope: Scope,
    /// The roles of this server. [`Prune::retain`] applies to each of them.
    pub roles: Vec<String>,
    /// How many stopped containers each role keeps. Those of other versions that served come first.
    pub retain: usize,
    /// `[SERVER/]IMAGE`.
    pub repository: String,
    /// One entry per role.
    pub assets: Vec<assets::Clean>,
    /// The ids of containers that this run has stopped, which Docker may still list as running.
    pub ended: Vec<String>,
    /// Obsolete directories of a proxy's files, which the script deletes.
    pub unread: Vec<String>,
    /// Whether to prune containers and images. `None` prunes neither.
    pub parts: Option<Parts>,
}

/// How long a prune waits for another prune to finish, in tenths of a second.
const TURNS: u32 = 600;

/// A `docker KIND prune` as one shell command without a newline, whose exit status is the prune's. Docker refuses to run
/// two prunes at once, and other roles and apps prune too, so the command retries until the other prune has finished.
pub(crate) fn in_turn(kind: &str, filter: impl FnOnce(Line) -> Line) -> String {
    let line = filter(Line::new("docker").words([kind, "prune", "--force"]));
    format!(
        "(bowline_turns={TURNS}; until bowline_said=$({line} 2>&1 >/dev/null); do \
         case $bowline_said in *'prune operation is already running'*) [ $((bowline_turns -= 1)) -gt 0 ] ;; *) false ;; esac || \
         {{ printf '%s\\n' \"$bowline_said\" >&2; exit 1; }}; sleep 0.1; done)"
    )
}

/// Removes the images with a label that have no tag and no container.
pub(crate) fn nameless(label: &str) -> String {
    in_turn("image", |line| line.words(["--filter", label]))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    All,
    /// Containers and their cords.
    Containers,
    Images,
}

impl Parts {
    pub fn what(self) -> &'static str {
        match self {
            Parts::All => "containers and images",
            Parts::Containers => "containers",
            Parts::Images => "images",
        }
    }
}

impl Prune {
    /// A script that skips containers and images in use, and reports the directories that it can't remove ([`Left`]).
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
        let format = format!(
            "{{{{.ID}}}} {{{{.State}}}}/{owner} {{{{.Label \"{MADE_LABEL}\"}}}}/{{{{.Names}}}} {{{{.Image}}}} ,{{{{.Mounts}}}},"
        );
        let nameless = nameless(&format!("label=service={}", self.scope.names.service()));
        format!(
            "bowline_format={format} bowline_repository={repository} bowline_all_pulled={all} bowline_cords={cords} bowline_ended={ended} bowline_history={history}\n\
             {nameless}{functions}",
            format = quote(&format),
            repository = quote(&self.repository),
            all = quote(ALL_PULLED),
            cords = quote(&self.scope.names.cords()),
            ended = quote(&self.ended.join(" ")),
            history = quote(&self.scope.names.history()),
            nameless = function("remove_nameless", &format!("{nameless}\n")),
            functions = answer::sent(include_str!("prune.sh")),
        )
    }

    /// Adds a role's stopped containers to `$bowline_old`, except those to keep.
    fn stopped(&self, role: &str) -> String {
        let names = &self.scope.names;
        let owner = format!("{}/{}/{role}", names.service(), names.destination().unwrap_or(""));
        format!(
            "bowline_old=\"$bowline_old $(stopped {} {} | tail -n +{})\"\n",
            quote(&owner),
            quote(&names.container(role, "")),
            self.retain + 1
        )
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
