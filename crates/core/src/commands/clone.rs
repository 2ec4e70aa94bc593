//! A clean clone of the project's repository, for builds without a `context`: the image then contains only committed files.
//!
//! The clone is kept and updated for the next build, and git deletes everything else in it. So every git command names the
//! clone's own repository and work tree, gets none of the variables with which a git hook or alias points to another
//! repository, and resets or removes only directories with Bowline's mark.

/// Environment variables that point git to a repository, which git exports to its hooks and aliases. Newer versions of git
/// may have more and list them: `git rev-parse --local-env-vars`, see [`repository_variables`].
pub const REPOSITORY_VARIABLES: [&str; 15] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_GRAFT_FILE",
    "GIT_SHALLOW_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX",
];

/// Variables with git settings, in which CI systems pass credentials. They point to no repository, so Bowline passes them
/// on as git does for submodules.
const SETTINGS: [&str; 2] = ["GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"];

/// The variables that git listed, and [`REPOSITORY_VARIABLES`].
pub fn repository_variables(listed: &str) -> Vec<String> {
    let more = listed.split_whitespace().filter(|name| name.starts_with("GIT_") && !SETTINGS.contains(name));
    let mut all: Vec<String> = REPOSITORY_VARIABLES.iter().copied().chain(more).map(Into::into).collect();
    all.sort();
    all.dedup();
    all
}

/// A setting in a clone's configuration which marks it as Bowline's to reset and remove.
const MARK: &str = "bowline.clone";

/// The project's directory, which distinguishes its clones from those of other projects.
pub fn project_directory(root: &str, prefix: &str) -> String {
    format!("{root}/{prefix}").trim_end_matches('/').to_string()
}

/// Where a project is in its git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub root: String,
    /// The project's directory relative to `root`: empty, or a path that ends with `/`.
    pub prefix: String,
    /// What to clone: the root, or a repository in another directory.
    pub repository: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanClone {
    place: Place,
    revision: String,
    /// The directory of this project's clone.
    home: String,
}

impl CleanClone {
    /// `cache` is a directory that only this user can write to. `hash` is the SHA-256 of the project's directory
    /// ([`project_directory`]) in hex. Clones that are in use at the same time differ by `number`, starting with 1.
    pub fn new(
        cache: &str,
        (service, hash): (&str, &str),
        place: &Place,
        revision: &str,
        number: usize,
    ) -> Self {
        let another = if number > 1 { format!("-{number}") } else { String::new() };
        let hash = hash.get(..13).unwrap_or(hash);
        Self {
            place: place.clone(),
            revision: revision.into(),
            home: format!("{}/clones/{service}-{hash}{another}", cache.trim_end_matches('/')),
        }
    }

    /// The file to lock while the clone is in use.
    pub fn lock(&self) -> String {
        format!("{}.lock", self.home)
    }

    /// The root of the clone's work tree.
    pub fn directory(&self) -> String {
        let name = self.place.root.rsplit('/').find(|name| !name.is_empty()).unwrap_or("repository");
        format!("{}/{name}", self.home)
    }

    /// The directory of the clone until it is complete.
    fn unfinished(&self) -> String {
        format!("{}/.unfinished", self.home)
    }

    pub fn project(&self) -> String {
        format!("{}/{}", self.directory(), self.place.prefix)
    }

    pub fn submodule_list(&self) -> String {
        format!("{}/.gitmodules", self.directory())
    }

    /// Succeeds if [`CleanClone::make`] created the clone.
    pub fn marked(&self) -> Vec<String> {
        words(&["git", "config", "--file", &format!("{}/.git/config", self.directory()), "--get", MARK])
    }

    pub fn discard(&self) -> Vec<String> {
        words(&["rm", "-rf", &self.directory()])
    }

    /// Creates the clone without checking out files. It has our mark from the start.
    pub fn make(&self) -> [Vec<String>; 4] {
        let (unfinished, mark) = (self.unfinished(), format!("{MARK}=true"));
        let clone = ["git", "-c", "submodule.recurse=false", "clone", "--no-checkout", "--origin", "origin"];
        let clone = [&clone[..], &["--config", &mark, &self.place.repository, &unfinished]].concat();
        [
            words(&["mkdir", "-p", &self.home]),
            words(&["rm", "-rf", &unfinished]),
            words(&clone),
            words(&["mv", &unfinished, &self.directory()]),
        ]
    }

    /// Resets the clone to the commit. Handles deleted branches, moved tags, and a commit that is on no branch.
    pub fn reset(&self) -> [Vec<String>; 4] {
        let fetch = ["fetch", "--force", "--prune", "--tags", "--no-recurse-submodules", "origin"];
        let refs = ["+refs/heads/*:refs/remotes/origin/*", "+HEAD:refs/bowline/head"];
        [
            self.origin(&self.place.repository),
            self.git(&[&fetch[..], &refs].concat()),
            self.git(&["reset", "--hard", &self.revision]),
            self.git(&["clean", "-ffdx"]),
        ]
    }

    /// Resets all submodules, recursively, to what the commit says. Relative addresses are relative to `remote`.
    pub fn submodules(&self, remote: Option<&str>) -> Vec<Vec<String>> {
        let mut all = vec![
            self.git(&["submodule", "sync", "--quiet", "--recursive"]),
            self.git(&["submodule", "update", "--init", "--recursive", "--force"]),
            self.git(&["submodule", "foreach", "--quiet", "--recursive", "git clean -ffdx --quiet"]),
        ];
        if let Some(remote) = remote {
            all.insert(0, self.origin(remote));
            // The address may contain credentials, which must not end up in an image that includes `.git`.
            all.push(self.origin(&self.place.repository));
        }
        all
    }

    pub fn tidy(&self) -> Vec<String> {
        self.git(&["gc", "--auto", "--quiet"])
    }

    /// Prints the files that differ from the commit: none in a sound clone.
    pub fn status(&self) -> Vec<String> {
        self.git(&["status", "--porcelain", "--ignore-submodules=none"])
    }

    /// Prints all submodules, recursively: see [`unsound_submodules`].
    pub fn submodule_status(&self) -> Vec<String> {
        self.git(&["submodule", "status", "--recursive"])
    }

    pub fn head(&self) -> Vec<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    fn origin(&self, address: &str) -> Vec<String> {
        self.git(&["remote", "set-url", "origin", address])
    }

    /// A git command that can't operate on another repository, even if the clone is missing or damaged.
    fn git(&self, arguments: &[&str]) -> Vec<String> {
        let directory = self.directory();
        let git =
            ["git", "-C", &directory, "--git-dir=.git", "--work-tree=.", "-c", "submodule.recurse=false"];
        words(&[&git[..], arguments].concat())
    }
}

/// Whether a `.gitmodules` file has addresses that are relative to the address of its repository.
pub fn has_relative_address(list: &str) -> bool {
    list.lines().any(|line| {
        let address = line.split_once('=').filter(|(key, _)| key.trim() == "url").map(|(_, url)| url.trim());
        address.is_some_and(|url| {
            let url = url.trim_matches('"');
            url.starts_with("./") || url.starts_with("../")
        })
    })
}

/// The submodules that are not at their commit, from the output of [`CleanClone::submodule_status`]. One that is not
/// checked out is excluded deliberately (`update = none`), or else the update would have failed.
pub fn unsound_submodules(listed: &str) -> Vec<&str> {
    listed.lines().filter(|line| line.starts_with(['+', 'U'])).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(root: &str, prefix: &str) -> Place {
        Place { root: root.into(), prefix: prefix.into(), repository: root.into() }
    }

    #[test]
    fn it_lies_below_the_cache() {
        assert_eq!(project_directory("/home/me/shop", ""), "/home/me/shop");
        assert_eq!(project_directory("/home/me/shop", "apps/a b/"), "/home/me/shop/apps/a b");
        let app = ("shop", "4a68c726aa051718fe4a");
        let clone = CleanClone::new("/c/", app, &place("/home/me/shop", ""), "abc", 1);
        assert_eq!(clone.directory(), "/c/clones/shop-4a68c726aa051/shop");
        assert_eq!(clone.project(), "/c/clones/shop-4a68c726aa051/shop/");
        let below = CleanClone::new("/c", app, &place("/home/me/shop", "apps/a b/"), "abc", 2);
        assert!(below.project().ends_with("-2/shop/apps/a b/"), "{}", below.project());
        assert_ne!(below.lock(), clone.lock());
    }

    #[test]
    fn every_git_in_it_names_its_repository() {
        let clone = CleanClone::new("/c", ("s", "f00"), &place("/r", ""), "abc", 1);
        let mut all = [&clone.reset()[..], &clone.submodules(Some("https://h.test/r"))].concat();
        all.extend([clone.tidy(), clone.status(), clone.submodule_status(), clone.head()]);
        let own = ["git", "-C", &clone.directory(), "--git-dir=.git", "--work-tree=."];
        for line in all {
            assert_eq!(line[..5], own, "{line:?}");
        }
    }

    #[test]
    fn the_variables_are_those_git_lists_and_those_we_know_but_for_settings() {
        let all = repository_variables("GIT_DIR GIT_NEW_ONE\nGIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS PATH");
        let has = |name: &str| all.iter().any(|known| known == name);
        assert!(has("GIT_DIR") && has("GIT_NEW_ONE") && has("GIT_INDEX_FILE") && has("GIT_CONFIG"));
        assert!(!has("GIT_CONFIG_COUNT") && !has("GIT_CONFIG_PARAMETERS") && !has("PATH"));
        assert_eq!(repository_variables("").len(), REPOSITORY_VARIABLES.len());
    }

    #[test]
    fn relative_addresses_and_unsound_submodules_are_seen() {
        assert!(has_relative_address("[submodule \"a\"]\n\tpath = a\n\turl = ../lib.git\n"));
        assert!(has_relative_address("url=\"./lib\""));
        assert!(!has_relative_address("[submodule \"../a\"]\n\tpath = ../a\n\turl = https://h.test/../a"));
        let listed = " 1f3a lib (v1)\n-22aa left-out\n+33bb moved (v2)\nU44cc torn";
        assert_eq!(unsound_submodules(listed), ["+33bb moved (v2)", "U44cc torn"]);
    }
}
