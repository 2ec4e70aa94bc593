//! Pruning: what a role and destination no longer need.

use super::{Scope, assets};
use crate::names::ALL_PULLED;
use crate::shell::{Line, Script, quote};

/// Removes old assets, old stopped containers of each role, images no container needs, and cords that nothing mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    /// The run.
    pub scope: Scope,
    /// The roles of this server whose containers are counted, each for itself.
    pub roles: Vec<String>,
    /// Stopped containers kept for each role.
    pub retain: usize,
    /// `[SERVER/]IMAGE`.
    pub repository: String,
    /// Old assets, a role each.
    pub assets: Vec<assets::Clean>,
    /// What else, if anything.
    pub parts: Option<Parts>,
}

/// What is pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Containers and images.
    All,
    /// Only containers, with their cords.
    Containers,
    /// Only images.
    Images,
}

impl Prune {
    /// The script. What can't be removed (somebody uses it) is left; directories are told as `@left DIRECTORY`.
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence();
        text.extend(self.assets.iter().map(|clean| clean.lines(&self.scope.names)));
        let containers = matches!(self.parts, Some(Parts::All | Parts::Containers));
        if containers {
            for role in &self.roles {
                text.push_str(&self.containers(role));
            }
            text.push_str(&self.scope.audit(None, "Pruned containers"));
        }
        if matches!(self.parts, Some(Parts::All | Parts::Images)) {
            text.push_str(&self.images());
            text.push_str(&self.scope.audit(None, "Pruned images"));
        }
        if containers {
            text.push_str(&self.cords());
        }
        Script::new(text)
    }

    fn containers(&self, role: &str) -> String {
        let names = &self.scope.names;
        let list = Line::new("docker")
            .words(["ps", "--quiet", "--all"])
            .words(["--filter", &format!("label=service={}", names.service())])
            .words(["--filter", &format!("label=destination={}", names.destination().unwrap_or(""))])
            .words(["--filter", &format!("label=role={role}")])
            .words(["--filter", "status=created", "--filter", "status=exited", "--filter", "status=dead"]);
        format!(
            "{list} | tail -n +{} | while read -r id; do docker rm \"$id\" >/dev/null; done\n",
            self.retain + 1
        )
    }

    /// Tags of the repository that no container uses, but for the latest tags of all destinations. By the
    /// repository and not by a label: an image may come without one. Other apps may share the repository, so any
    /// container counts, and so does what one of them has pulled and not run yet; these are asked after the tags, so
    /// that a tag that comes meanwhile is no candidate.
    fn images(&self) -> String {
        format!(
            "images=$(docker image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}' {repository}) &&\n\
             used=$(docker container ls --all --format '{{{{.Image}}}}') &&\n\
             used=$(printf '%s\\n' \"$used\"; cat {ALL_PULLED} 2>/dev/null; :) &&\n\
             printf '%s\\n' \"$images\" | while read -r image; do\n\
             case $image in ''|*:latest|*:latest-*|*:'<none>') continue ;; esac\n\
             printf '%s\\n' \"$used\" | grep -qxF -e \"$image\" || docker rmi \"$image\" >/dev/null\n\
             done\n\
             docker image prune --force --filter {label} >/dev/null\n",
            repository = quote(&self.repository),
            label = quote(&format!("label=service={}", self.scope.names.service())),
        )
    }

    /// Cords that nothing mounts. Another service may have the same directory, so any container counts.
    fn cords(&self) -> String {
        let list = Line::new("docker").words(["container", "ls", "--all", "--quiet"]);
        format!(
            "if [ -d {cords} ] && ids=$({list}); then\n\
             mounts=; [ -z \"$ids\" ] || mounts=$(docker container inspect --format '{{{{range .Mounts}}}}{{{{println .Source}}}}{{{{end}}}}' $ids) || exit 0\n\
             for cord in {cords}/*; do\n\
             [ -d \"$cord\" ] || continue\n\
             printf '%s\\n' \"$mounts\" | grep -qxF -e \"$PWD/$cord\" || rm -rf \"$cord\"\n\
             done\n\
             fi\n",
            cords = quote(&self.scope.names.cords()),
        )
    }
}
