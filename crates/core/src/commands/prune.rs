//! Pruning: removes what a role and destination no longer need.

use std::fmt;
use std::str::FromStr;

use super::answer::{self, Unreadable};
use super::{Scope, assets};
use crate::names::ALL_PULLED;
use crate::shell::{Line, Script, quote};

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
        if images {
            let list = Line::new("docker").words(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
            text.push_str(&format!("bowline_images=$({}) || exit\n", list.word(&self.repository)));
        }
        text.push_str(&list());
        if containers {
            for role in &self.roles {
                text.push_str(&self.stopped(role));
            }
            // Listed again: if two destinations prune at the same time, the last one must see what both have removed.
            text.push_str("bowline_old=$(echo $bowline_old)\nif [ -n \"$bowline_old\" ]; then docker rm $bowline_old >/dev/null; bowline_all=$(containers) || exit; fi\n");
            text.push_str(&self.scope.audit(None, "Pruned containers"));
        }
        if images {
            text.push_str(&self.unused());
            text.push_str(&self.scope.audit(None, "Pruned images"));
        }
        if containers {
            text.push_str(&self.cords());
        }
        Script::new(text)
    }

    /// Adds the oldest stopped containers of a role to `$bowline_old`.
    fn stopped(&self, role: &str) -> String {
        let names = &self.scope.names;
        let owner = format!("{}/{}/{role}", names.service(), names.destination().unwrap_or(""));
        format!("bowline_old=\"$bowline_old $(stopped {} | tail -n +{})\"\n", quote(&owner), self.retain + 1)
    }

    /// Removes tags of the repository that no container uses, but for the latest tags of all destinations. By the
    /// repository and not by a label: an image may come without one. Other apps may share the repository, so any
    /// container counts, and so does what one of them has pulled and not run yet.
    fn unused(&self) -> String {
        format!(
            "bowline_pulled=$(cat {ALL_PULLED} 2>/dev/null)\n\
             bowline_unused=$(printf '%s\\n' \"$bowline_images\" | while read -r bowline_image; do\n\
             case $bowline_image in ''|*:latest|*:latest-*|*:'<none>') continue ;; esac\n\
             case \"$bowline_all\" in *\" $bowline_image ,\"*) continue ;; esac\n\
             printf '%s\\n' \"$bowline_pulled\" | grep -qxF -e \"$bowline_image\" || printf '%s ' \"$bowline_image\"\n\
             done)\n\
             [ -z \"$bowline_unused\" ] || docker rmi $bowline_unused >/dev/null\n\
             {nameless}\n",
            nameless = nameless(&format!("label=service={}", self.scope.names.service())),
        )
    }

    /// Removes cords that nothing mounts. Another service may have the same directory, so any container counts.
    fn cords(&self) -> String {
        format!(
            "for bowline_cord in {cords}/*; do\n\
             [ -d \"$bowline_cord\" ] || continue\n\
             case \"$bowline_all\" in *\",$PWD/$bowline_cord,\"*) ;; *) rm -rf \"$bowline_cord\" ;; esac\n\
             done\n",
            cords = quote(&self.scope.names.cords()),
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

/// Lists all containers as `$bowline_all`, a line each, the newest first, and makes the function `stopped OWNER`: the ids (nothing that a label
/// with line breaks may look like) of an owner's stopped ones. Mounts are between commas, an image before a blank and a comma: so they are found without taking lines apart.
fn list() -> String {
    let owner =
        ["service", "destination", "role"].map(|label| format!("{{{{.Label \"{label}\"}}}}")).join("/");
    let format = format!("{{{{.ID}}}} {{{{.State}}}}/{owner} {{{{.Image}}}} ,{{{{.Mounts}}}},");
    let list =
        Line::new("docker").words(["container", "ls", "--all", "--no-trunc", "--format"]).word(&format);
    format!(
        "containers() {{ {list}; }}\n\
         bowline_all=$(containers) || exit\n\
         bowline_old=\n\
         stopped() {{\n\
         while read -r bowline_id bowline_owner bowline_more; do\n\
         case $bowline_id in *[!0-9a-f]*) continue ;; esac\n\
         case $bowline_owner in created/\"$1\"|exited/\"$1\"|dead/\"$1\") echo \"$bowline_id\" ;; esac\n\
         done <<END\n\
         $bowline_all\n\
         END\n\
         }}\n"
    )
}
