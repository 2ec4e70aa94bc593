//! Asset bridging: every version serves its own assets and those of the versions before and after it, so that a page finds
//! its assets whichever version answers the request.
//!
//! Each version has three directories. `extracted` holds the files of its image, its container mounts `volumes`, and
//! `earlier` holds files of older versions, whose pages may still be open in a browser. A new version's volume combines its
//! `extracted` and `earlier`, and its files are added to the volumes in use. Nothing is ever overwritten: if two versions
//! have a file of the same name, each volume keeps its own version's. Only Bowline uses `extracted` and `earlier`, so they
//! share files as hard links. Volumes get copies, because an app may write to its volume.

use super::Scope;
use super::answer::sent;
use super::status::Status::NoAssets;
use crate::names::Names;
use crate::shell::{Line, Script, quote};
use bowline_config::AssetPath;

/// How long the assets of an old version stay after a deploy replaced it, in minutes: a day, for pages that are still open.
/// The previous version's assets always stay.
const KEEP_MINUTES: u32 = 24 * 60;

/// Extracts a version's assets and bridges them with those of the running versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    pub scope: Scope,
    pub role: String,
    /// `REPO:VER`.
    pub image: String,
    pub version: String,
    /// The assets' directory in the image.
    pub path: AssetPath,
    /// The running containers whose assets are bridged. Of several containers with the same volume, only one.
    pub running: Vec<Running>,
    /// Whether one of them runs this version, so that its directories are in use.
    pub in_use: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The image's id.
    pub image: String,
    /// Its asset volume. `None` if it was booted without one.
    pub volume: Option<Volume>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The directory on the server.
    pub directory: String,
    /// The mount point in the container.
    pub at: String,
}

/// Whether a directory on a server was created for assets: `…/assets/volumes/NAME`.
pub fn is_volume(directory: &str) -> bool {
    directory.rsplit_once('/').is_some_and(|(parent, _)| parent.ends_with("/assets/volumes"))
}

/// The directory with the extracted assets of a volume: `…/assets/extracted/NAME`.
fn extracted_beside(volume: &str) -> String {
    let (base, name) = volume.rsplit_once("/volumes/").unwrap_or_default();
    format!("{base}/extracted/{name}")
}

/// The name of a version's directories: `ROLE-VER`.
fn directory(role: &str, version: &str) -> String {
    format!("{role}-{version}")
}

/// The directory that a version's container mounts.
pub(super) fn volume(scope: &Scope, role: &str, version: &str) -> String {
    format!("{}/{}", scope.names.assets_volumes(), directory(role, version))
}

impl Volume {
    /// The name of the directories that belong to this volume, if it is in our directory. (Kamal 1 uses another one.)
    fn name(&self, names: &Names) -> Option<&str> {
        let (parent, name) = self.directory.rsplit_once('/')?;
        parent.ends_with(&format!("/{}", names.assets_volumes())).then_some(name)
    }
}

impl Prepare {
    /// Prepares everything in a private directory, adds to the volumes in use, and renames the new volume into place.
    pub fn script(&self) -> Script {
        let path = quote(&self.path.path);
        let mut text = self.scope.fence();
        text.push_str(&self.variables());
        text.push_str(&sent(include_str!("assets.sh")));
        text.push_str(&format!(
            "umask 022\n\
             rm -rf \"${{bowline_work%/*}}\"\n\
             mkdir -p \"$bowline_work/all\" \"$bowline_work/volume\" \"$bowline_work/earlier\"{path} || exit\n\
             trap finish EXIT\n\
             trap 'exit 1' HUP INT TERM\n\
             extract {image} {path} \"$bowline_work/new\"{path} || exit\n",
            image = quote(&self.image),
        ));
        text.extend(self.running.iter().map(|running| self.carry(running)));
        text.push_str(&format!(
            "merge \"$bowline_work/new\"{path} \"$bowline_work/all\" && merge \"$bowline_work/earlier\"{path} \"$bowline_work/all\" || exit\n\
             cp -RP \"$bowline_work/all/.\" \"$bowline_work/volume/\" || exit\n\
             find \"$bowline_work/earlier\" -depth -type d -exec rmdir {{}} + 2>/dev/null\n"
        ));
        // The steps so far take long. A run that was presumed dead must not touch what a later run has created meanwhile.
        text.push_str(&self.scope.fence());
        text.extend(self.running.iter().filter_map(|running| running.volume.as_ref()).map(reach));
        text.push_str(&self.scope.fence());
        text.push_str(&self.put());
        Script::new(text)
    }

    fn variables(&self) -> String {
        let names = &self.scope.names;
        let work = format!("{}/{}/{}", names.assets_new(), self.role, self.scope.run);
        format!(
            "bowline_work={work}\nbowline_run={run}\nbowline_helper={helper}\nbowline_in_use={in_use}\n\
             bowline_keep={KEEP_MINUTES}\nbowline_no_assets={NoAssets}\n",
            work = quote(&work),
            run = quote(self.scope.token()),
            helper = quote(&names.asset_container(&self.role)),
            in_use = if self.in_use { "yes" } else { "" },
        )
    }

    fn carry(&self, running: &Running) -> String {
        let names = &self.scope.names;
        let of = |base: String| {
            let name = running.volume.as_ref().and_then(|volume| volume.name(names));
            name.map(|name| format!("{base}/{name}")).unwrap_or_default()
        };
        let at = running.volume.as_ref().map_or(self.path.path.as_str(), |volume| volume.at.as_str());
        let words = [running.image.as_str(), at, &of(names.assets_extracted()), &of(names.assets_earlier())];
        format!("{} || exit\n", Line::new("carry").words(words))
    }

    fn put(&self) -> String {
        let names = &self.scope.names;
        let name = directory(&self.role, &self.version);
        let put = |from: &str, base: &str| {
            format!("put \"$bowline_work\"{} {} || exit\n", quote(from), quote(&format!("{base}/{name}")))
        };
        [
            put(&format!("/new{}", self.path.path), &names.assets_extracted()),
            put("/earlier", &names.assets_earlier()),
            put("/volume", &names.assets_volumes()),
        ]
        .concat()
    }
}

fn reach(volume: &Volume) -> String {
    format!("{} || exit\n", Line::new("reach").words([volume.directory.as_str(), &volume.at]))
}

/// Removes a role's assets, except those of some versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clean {
    pub role: String,
    pub keep: Vec<String>,
    /// The roles whose names begin with this role's name and a `-` (`web-api` for `web`). Their assets stay.
    pub siblings: Vec<String>,
    /// Volumes in other directories that belong to none of the kept versions.
    pub elsewhere: Vec<String>,
    /// Whether a helper container was left behind.
    pub helper: bool,
}

impl Clean {
    /// Shell lines. A directory that can't be removed, because the app wrote to its volume as another user, is reported
    /// ([`super::prune::Left`]) and is not an error.
    pub(super) fn lines(&self, names: &Names) -> String {
        let mut text = String::from("gone() { rm -rf \"$1\" || echo \"@left $1\"; }\n");
        let mut stay: Vec<String> =
            self.keep.iter().map(|version| quote(&directory(&self.role, version))).collect();
        stay.extend(self.siblings.iter().map(|sibling| format!("{}*", quote(&format!("{sibling}-")))));
        let stay = if stay.is_empty() { "''".into() } else { stay.join("|") };
        for base in [names.assets_extracted(), names.assets_earlier(), names.assets_volumes()] {
            text.push_str(&format!(
                "for bowline_old in {}/{}*; do [ -d \"$bowline_old\" ] || continue; \
                 case ${{bowline_old##*/}} in {stay}) ;; *) gone \"$bowline_old\" ;; esac; done\n",
                quote(&base),
                quote(&format!("{}-", self.role)),
            ));
        }
        for volume in &self.elsewhere {
            text.push_str(&format!("gone {}\ngone {}\n", quote(volume), quote(&extracted_beside(volume))));
        }
        text.push_str(&format!("rm -rf {}\n", quote(&format!("{}/{}", names.assets_new(), self.role))));
        if self.helper {
            let remove = Line::new("docker").words(["container", "rm", "--volumes"]);
            let helper = names.asset_container(&self.role);
            text.push_str(&format!("{} >/dev/null\n", remove.word(&helper)));
        }
        text.push_str(":\n");
        text
    }
}
