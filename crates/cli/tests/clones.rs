//! Clones for builds, made by the real git: their content, and the user's files that stay unchanged. Docker is a
//! stub.

#![allow(clippy::unwrap_used, reason = "a helper of tests stops the test")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Ran, bowline, project};
use tempfile::TempDir;

const CONFIG: &str = "service: shop\nimage: shop\nservers: [192.0.2.1]\n\
                      registry: {server: r.test, username: me, password: [PW]}\n";

/// Records the files of a build, and fails if git's variables are set.
const DOCKER: &str = r#"#!/bin/sh
cat > /dev/null
case "$1" in
  version) echo amd64 ;;
  --version) echo Docker ;;
  buildx) exit 1 ;;
  build)
    [ -z "$GIT_DIR$GIT_WORK_TREE$GIT_INDEX_FILE" ] || { echo "git's variables are set" >&2; exit 1; }
    find . -type f ! -path '*/.git/*' ! -name .git | sort > "$BUILT" ;;
esac
"#;

/// A repository with a project in it, and the environment of a shell.
struct Repository {
    outside: TempDir,
}

impl Repository {
    fn new(files: &[(&str, &str)]) -> Self {
        let outside = project(&[("bin/docker", DOCKER), ("home/.gitconfig", GITCONFIG)]);
        let repository = Self { outside };
        let all =
            [("config/deploy.yml", CONFIG), ("Dockerfile", "FROM scratch\n"), (".gitignore", ".kamal\n")];
        for (name, text) in all.iter().chain(files) {
            repository.write(name, text);
        }
        repository.write(".kamal/secrets", "PW=x\n");
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit();
        repository
    }

    fn path(&self) -> PathBuf {
        self.outside.path().join("shop")
    }

    fn cache(&self) -> PathBuf {
        self.outside.path().join("home/.cache/bowline")
    }

    fn write(&self, name: &str, text: &str) {
        write(&self.path().join(name), text);
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    fn git(&self, words: &[&str]) -> String {
        git(&self.outside.path().join("home"), &self.path(), words)
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "next"]);
    }

    /// Builds in this subdirectory. Also returns the files that were built.
    fn build(&self, at: &str, variables: &[(&str, &str)]) -> (Ran, String) {
        let here = |name: &str| self.outside.path().join(name).to_str().unwrap().to_owned();
        let path = format!("{}:{}", here("bin"), std::env::var("PATH").unwrap());
        let (home, built) = (here("home"), here("built"));
        let _ = std::fs::remove_file(&built);
        let usual = [("PATH", path.as_str()), ("HOME", &home), ("BUILT", &built), ("XDG_CACHE_HOME", "")];
        let all = [&usual[..], variables].concat();
        let ran = bowline(&self.path().join(at), &all, &["build", "push"]);
        (ran, std::fs::read_to_string(&built).unwrap_or_default())
    }

    fn builds(&self, at: &str, variables: &[(&str, &str)]) -> String {
        let ((status, _, err), built) = self.build(at, variables);
        assert_eq!(status, 0, "{err}");
        assert!(!err.contains("making another one"), "{err}");
        built
    }

    fn clone(&self) -> PathBuf {
        let clones = std::fs::read_dir(self.cache().join("clones")).unwrap().flatten();
        clones.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap().join("shop")
    }
}

const GITCONFIG: &str =
    "[user]\n\tname = me\n\temail = me@example.com\n[protocol \"file\"]\n\tallow = always\n";

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn git(home: &Path, at: &Path, words: &[&str]) -> String {
    let mut git = Command::new("git");
    let output = git.args(words).current_dir(at).env("HOME", home).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_git_exports_to_hooks_and_aliases_costs_the_user_no_file() {
    let repository = Repository::new(&[("app.rb", "committed")]);
    repository.builds("", &[]);
    repository.write("app.rb", "edited");
    repository.write("untracked", "precious");
    let path = repository.path();
    let (root, dir) = (path.to_str().unwrap(), path.join(".git").to_str().unwrap().to_owned());
    let index = format!("{dir}/index");
    for variables in [
        vec![("GIT_DIR", dir.as_str()), ("GIT_WORK_TREE", root)],
        vec![("GIT_DIR", ".git"), ("GIT_INDEX_FILE", &index), ("GIT_PREFIX", "")],
        vec![("GIT_DIR", &dir), ("GIT_COMMON_DIR", &dir), ("GIT_OBJECT_DIRECTORY", "/nowhere")],
    ] {
        // First with an existing clone, then without one.
        for _ in 0..2 {
            let built = repository.builds("", &variables);
            assert_eq!(built, "./.gitignore\n./Dockerfile\n./app.rb\n./config/deploy.yml\n");
            let there = ["app.rb", "untracked", ".kamal/secrets"].map(|name| repository.read(name));
            assert_eq!(there, ["edited", "precious", "PW=x\n"], "{variables:?}");
            std::fs::remove_dir_all(repository.cache()).unwrap();
        }
        assert!(!repository.git(&["remote"]).contains("origin"));
    }
}

#[test]
fn from_a_linked_worktree_its_own_commit_is_built_and_origin_stays() {
    let repository = Repository::new(&[]);
    repository.git(&["remote", "add", "origin", "https://h.test/shop.git"]);
    repository.git(&["worktree", "add", "--quiet", "--detach", "linked"]);
    let linked = repository.path().join("linked");
    write(&linked.join("only-here"), "");
    let home = repository.outside.path().join("home");
    git(&home, &linked, &["add", "--all"]);
    git(&home, &linked, &["commit", "--quiet", "--message", "detached"]);
    write(&linked.join(".kamal/secrets"), "PW=x\n");
    let dir = git(&home, &linked, &["rev-parse", "--absolute-git-dir"]);
    for variables in [vec![], vec![("GIT_DIR", dir.trim())]] {
        for _ in 0..2 {
            assert!(repository.builds("linked", &variables).contains("./only-here"), "{variables:?}");
        }
        assert_eq!(repository.git(&["remote", "get-url", "origin"]), "https://h.test/shop.git\n");
    }
}

#[test]
fn in_a_directory_below_the_root_git_s_variables_change_nothing() {
    let repository = Repository::new(&[("web/config/deploy.yml", CONFIG), ("web/Dockerfile", "")]);
    repository.write("web/.kamal/secrets", "PW=x\n");
    let dir = repository.path().join(".git");
    for variables in [vec![], vec![("GIT_DIR", dir.to_str().unwrap())], vec![("GIT_DIR", ".git")]] {
        assert_eq!(repository.builds("web", &variables), "./Dockerfile\n./config/deploy.yml\n");
    }
}

#[test]
fn files_checked_out_from_a_bare_repository_are_built_as_git_is_pointed_there() {
    let repository = Repository::new(&[]);
    let bare = repository.outside.path().join("bare.git");
    let bare = bare.to_str().unwrap();
    repository.git(&["clone", "--quiet", "--bare", ".", bare]);
    std::fs::remove_dir_all(repository.path().join(".git")).unwrap();
    let root = repository.path();
    let built = repository.builds("", &[("GIT_DIR", bare), ("GIT_WORK_TREE", root.to_str().unwrap())]);
    assert_eq!(built, "./.gitignore\n./Dockerfile\n./config/deploy.yml\n");
}

#[test]
fn what_lies_where_a_clone_would_is_kept_unless_it_is_ours() {
    let repository = Repository::new(&[]);
    repository.builds("", &[]);
    let clone = repository.clone();
    let home = repository.outside.path().join("home");
    git(&home, &clone, &["config", "--unset", "bowline.clone"]);
    write(&clone.join("precious"), "x");
    let ((status, _, err), built) = repository.build("", &[]);
    assert_eq!((status, built.as_str()), (1, ""), "{err}");
    assert!(err.contains("is not a clone that Bowline created"), "{err}");
    assert!(clone.join("precious").exists());

    // A damaged clone of ours must not lead git to a repository above it.
    git(&home, &clone, &["config", "bowline.clone", "true"]);
    git(&home, &repository.cache(), &["init", "--quiet"]);
    write(&repository.cache().join("above"), "x");
    std::fs::remove_file(clone.join(".git/HEAD")).unwrap();
    let ((status, _, err), built) = repository.build("", &[]);
    assert_eq!((status, built.is_empty()), (0, false), "{err}");
    assert!(repository.cache().join("above").exists());
}

#[test]
fn no_other_user_looks_into_a_clone_or_makes_it_first() {
    let repository = Repository::new(&[]);
    repository.builds("", &[]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&repository.cache()), 0o700);
    std::fs::set_permissions(repository.cache(), std::fs::Permissions::from_mode(0o755)).unwrap();
    repository.builds("", &[]);
    assert_eq!(mode(&repository.cache()), 0o700);
    if std::os::unix::fs::chown(repository.cache(), Some(12345), None).is_ok() {
        let ((status, _, err), built) = repository.build("", &[]);
        assert_eq!((status, built.as_str()), (1, ""), "{err}");
        assert!(err.contains("belongs to another user"), "{err}");
    }
}

/// Another repository, with a file of this name in it.
fn library(repository: &Repository, name: &str) -> PathBuf {
    let (home, path) = (repository.outside.path().join("home"), repository.outside.path().join(name));
    write(&path.join(name.rsplit('/').next().unwrap()), "");
    git(&home, &path, &["init", "--quiet", "--initial-branch=main"]);
    git(&home, &path, &["add", "--all"]);
    git(&home, &path, &["commit", "--quiet", "--message", "first"]);
    path
}

#[test]
fn submodules_and_theirs_are_built_also_those_that_come_later_or_go() {
    let repository = Repository::new(&[]);
    let (lib, inner) = (library(&repository, "lib"), library(&repository, "inner"));
    let home = repository.outside.path().join("home");
    let add = |at: &Path, what: &Path, name: &str| {
        git(&home, at, &["submodule", "--quiet", "add", what.to_str().unwrap(), name]);
        git(&home, at, &["commit", "--quiet", "--message", "a submodule"]);
    };
    add(&repository.path(), &lib, "lib");
    assert!(repository.builds("", &[]).contains("./lib/lib\n"));
    add(&lib, &inner, "inner");
    git(&home, &repository.path().join("lib"), &["pull", "--quiet"]);
    repository.commit();
    assert!(repository.builds("", &[]).contains("./lib/inner/inner\n"));
    repository.git(&["rm", "--quiet", "-f", "lib"]);
    repository.commit();
    assert!(!repository.builds("", &[]).contains("lib"));
}

#[test]
fn relative_addresses_of_submodules_are_relative_to_the_real_remote() {
    let repository = Repository::new(&[]);
    let (remote, home) =
        (repository.outside.path().join("far/shop.git"), repository.outside.path().join("home"));
    library(&repository, "far/lib");
    repository.git(&["clone", "--quiet", "--bare", ".", remote.to_str().unwrap()]);
    repository.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    repository.git(&["submodule", "--quiet", "add", "../lib", "lib"]);
    repository.commit();
    for _ in 0..2 {
        assert!(repository.builds("", &[]).contains("./lib/lib\n"));
    }
    let origin = git(&home, &repository.clone(), &["remote", "get-url", "origin"]);
    assert_eq!(origin.trim(), repository.path().to_str().unwrap(), "no address of a server in the image");
}

#[test]
fn settings_of_the_user_s_git_make_no_new_clone_each_time() {
    let repository = Repository::new(&[]);
    let settings = "[clone]\n\tdefaultRemoteName = upstream\n[submodule]\n\trecurse = true\n";
    write(&repository.outside.path().join("home/.gitconfig"), &format!("{GITCONFIG}{settings}"));
    for _ in 0..2 {
        repository.builds("", &[]);
        repository.git(&["checkout", "--quiet", "--detach"]);
        repository.commit();
    }
    repository.builds("", &[]);
}
