//! A clean clone of the project's repository: what a build without a `context` takes, so that an image holds what is
//! committed and nothing else.
//!
//! It lies where Kamal has it, is kept, and is brought up to date the next time.

/// The project's directory, by which its clones are told from those of others.
pub fn project_directory(root: &str, prefix: &str) -> String {
    format!("{root}/{prefix}").trim_end_matches('/').to_string()
}

/// A clone on the machine that deploys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanClone {
    /// The repository's root.
    root: String,
    /// The commit.
    revision: String,
    /// The project's own directory among the clones.
    home: String,
    /// The project's place in the repository: empty, or a path that ends with `/`.
    prefix: String,
}

impl CleanClone {
    /// `temporary` is the directory for such files, `root` the repository's, `prefix` the project's place in it; `hash`
    /// is the SHA-256 of the project's directory ([`project_directory`]) in hex. Several may be in use at once: they
    /// differ by `number`, the first is 1.
    pub fn new(
        temporary: &str,
        (service, hash): (&str, &str),
        (root, prefix): (&str, &str),
        revision: &str,
        number: usize,
    ) -> Self {
        let another = if number > 1 { format!("-{number}") } else { String::new() };
        let hash = hash.get(..13).unwrap_or(hash);
        Self {
            root: root.into(),
            revision: revision.into(),
            home: format!("{}/kamal-clones/{service}-{hash}{another}", temporary.trim_end_matches('/')),
            prefix: prefix.into(),
        }
    }

    /// The file that whoever uses it holds locked.
    pub fn lock(&self) -> String {
        format!("{}.lock", self.home)
    }

    /// The clone's root.
    pub fn directory(&self) -> String {
        let name = self.root.rsplit('/').find(|name| !name.is_empty()).unwrap_or("repository");
        format!("{}/{name}", self.home)
    }

    /// What is there if it was cloned before.
    pub fn git_directory(&self) -> String {
        format!("{}/.git", self.directory())
    }

    /// The project's directory in the clone.
    pub fn project(&self) -> String {
        format!("{}/{}", self.directory(), self.prefix)
    }

    /// Removes all of it.
    pub fn discard(&self) -> Vec<String> {
        words(&["rm", "-rf", &self.home])
    }

    /// Makes it anew.
    pub fn make(&self) -> [Vec<String>; 2] {
        [
            words(&["mkdir", "-p", &self.home]),
            words(&["git", "-C", &self.home, "clone", &self.root, "--recurse-submodules"]),
        ]
    }

    /// Brings one that is there to the commit.
    pub fn reset(&self) -> [Vec<String>; 5] {
        [
            self.git(&["remote", "set-url", "origin", &self.root]),
            self.git(&["fetch", "origin"]),
            self.git(&["reset", "--hard", &self.revision]),
            self.git(&["clean", "-fdx"]),
            self.git(&["submodule", "update", "--init"]),
        ]
    }

    /// Lets git tidy up, now and then.
    pub fn tidy(&self) -> Vec<String> {
        self.git(&["gc", "--auto", "--quiet"])
    }

    /// Prints what is not as committed: nothing, in a sound clone.
    pub fn status(&self) -> Vec<String> {
        self.git(&["status", "--porcelain"])
    }

    /// Prints its commit.
    pub fn head(&self) -> Vec<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, arguments: &[&str]) -> Vec<String> {
        let directory = self.directory();
        words(&[&["git", "-C", &directory], arguments].concat())
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_where_kamal_has_it() {
        assert_eq!(project_directory("/home/me/shop", ""), "/home/me/shop");
        assert_eq!(project_directory("/home/me/shop", "apps/a b/"), "/home/me/shop/apps/a b");
        let app = ("shop", "4a68c726aa051718fe4a");
        let clone = CleanClone::new("/tmp/", app, ("/home/me/shop", ""), "abc", 1);
        assert_eq!(clone.directory(), "/tmp/kamal-clones/shop-4a68c726aa051/shop");
        assert_eq!(clone.project(), "/tmp/kamal-clones/shop-4a68c726aa051/shop/");
        let below = CleanClone::new("/tmp", app, ("/home/me/shop", "apps/a b/"), "abc", 2);
        assert!(below.project().ends_with("-2/shop/apps/a b/"), "{}", below.project());
        assert_ne!(below.lock(), clone.lock());
    }

    #[test]
    fn a_clone_is_made_or_brought_up_to_date() {
        let clone = CleanClone::new("/t", ("s", "f00"), ("/r", ""), "abc", 1);
        let (home, directory) = (clone.lock().replace(".lock", ""), clone.directory());
        let lines = |commands: &[Vec<String>]| commands.iter().map(|c| c.join(" ")).collect::<Vec<_>>();
        assert_eq!(
            lines(&clone.make()),
            [format!("mkdir -p {home}"), format!("git -C {home} clone /r --recurse-submodules")]
        );
        let git = |rest: &str| format!("git -C {directory} {rest}");
        let expected = [
            "remote set-url origin /r",
            "fetch origin",
            "reset --hard abc",
            "clean -fdx",
            "submodule update --init",
        ];
        assert_eq!(lines(&clone.reset()), expected.map(git));
    }
}
