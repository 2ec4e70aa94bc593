//! Asset bridging: every version's assets stay within reach of both versions while they overlap.
//!
//! The new image's assets are copied out of a throw-away container into the version's own volume directory.
//! With a version running, its volume also gets the new files and the new one its files, never overwriting.

use super::Scope;
use crate::config::AssetPath;
use crate::shell::{Line, Script, quote};

/// Extracts a version's assets and bridges them with the running version's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    /// The run.
    pub scope: Scope,
    /// The role.
    pub role: String,
    /// `REPO:VER`.
    pub image: String,
    /// The version.
    pub version: String,
    /// The directory in the image.
    pub path: AssetPath,
    /// The versions running now, by the names their directories have.
    pub running: Vec<String>,
}

/// What `Prepare` exits with when the image has no such directory.
pub const NO_ASSETS: u32 = 73;

/// Copies what isn't there yet. `cp -n` of coreutils 9.2 to 9.4 fails when it leaves a file alone, so that a
/// status alone says nothing: a real failure has a message.
const COPY_NEW: &str = "copy_new() {\n\
    said=$(LC_ALL=C cp -rnT \"$1\" \"$2\" 2>&1) && return\n\
    case $said in *cannot*|*rror*|*pace*) printf '%s\\n' \"$said\" >&2; return 1 ;; esac\n\
    }\n";

/// `ROLE-VER`: the directory of a version's assets.
fn directory(role: &str, version: &str) -> String {
    format!("{role}-{version}")
}

/// Where a version's volume is, to be mounted.
pub(super) fn volume(scope: &Scope, role: &str, version: &str) -> String {
    format!("{}/{}", scope.names.assets_volumes(), directory(role, version))
}

impl Prepare {
    /// The script: extract beside, put in place, then copy both ways.
    pub fn script(&self) -> Script {
        let scope = &self.scope;
        let helper = quote(&scope.names.asset_container(&self.role));
        let new = directory(&self.role, &self.version);
        let extracted = format!("{}/{new}", scope.names.assets_extracted());
        let volume = volume(scope, &self.role, &self.version);
        let create = Line::new("docker")
            .words(["container", "create", "--name", &scope.names.asset_container(&self.role), &self.image])
            .words(["true"]);
        let copy = Line::new("docker")
            .words(["container", "cp", "-L"])
            .word(&format!("{}:{}/.", scope.names.asset_container(&self.role), self.path.path))
            .word(&extracted);
        let mut text = scope.fence();
        text.push_str("umask 022\n");
        text.push_str(COPY_NEW);
        text.push_str(&format!(
            "rm -rf {extracted} && mkdir -p {extracted} {volume} || exit\n\
             docker container rm --force {helper} >/dev/null 2>&1\n\
             {create} >/dev/null || exit\n\
             {copy} || {{ status=$?; docker container rm {helper} >/dev/null; rm -rf {extracted}; exit {NO_ASSETS}; }}\n\
             docker container rm {helper} >/dev/null\n\
             copy_new {extracted} {volume} || exit\n",
            extracted = quote(&extracted),
            volume = quote(&volume),
        ));
        for version in self.running.iter().filter(|running| **running != self.version) {
            text.push_str(&self.bridge(&extracted, &volume, version));
        }
        Script::new(text)
    }

    fn bridge(&self, new_extracted: &str, new_volume: &str, version: &str) -> String {
        let old = directory(&self.role, version);
        let old_extracted = format!("{}/{old}", self.scope.names.assets_extracted());
        let old_volume = format!("{}/{old}", self.scope.names.assets_volumes());
        format!(
            "if [ -d {ov} ]; then copy_new {ne} {ov} || exit; fi\n\
             if [ -d {oe} ]; then copy_new {oe} {nv} || exit; fi\n",
            ov = quote(&old_volume),
            oe = quote(&old_extracted),
            ne = quote(new_extracted),
            nv = quote(new_volume),
        )
    }
}

/// Shell lines that remove the assets of all versions of a role but these. `siblings` are the roles whose names
/// begin with this one's and a `-` (`web-api` beside `web`): theirs are left.
pub(super) fn clean(scope: &Scope, role: &str, siblings: &[String], keep: &[String]) -> String {
    let mut left: Vec<String> = keep.iter().map(|version| quote(&directory(role, version))).collect();
    left.extend(siblings.iter().map(|sibling| format!("{}*", quote(&format!("{sibling}-")))));
    let left = if left.is_empty() { "''".into() } else { left.join("|") };
    [scope.names.assets_extracted(), scope.names.assets_volumes()]
        .iter()
        .map(|base| {
            format!(
                "for old in {}/{}*; do [ -d \"$old\" ] || continue; \
                 case ${{old##*/}} in {left}) ;; *) rm -rf \"$old\" ;; esac; done\n",
                quote(base),
                quote(&format!("{role}-")),
            )
        })
        .collect()
}
