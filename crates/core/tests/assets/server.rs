//! A server to prepare assets on: a home directory, the machine's real tools, and a fake `docker`.

use crate::shells;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use bowline_config::AssetPath;
use bowline_core::commands::assets::{Clean, Prepare, Running, Volume};
use bowline_core::commands::{Scope, prune};
use bowline_core::names::Names;

pub(super) const PATH: &str = "/app/public";

/// A `docker` whose images are directories in `images` and whose containers are files in `containers`.
pub(super) const DOCKER: &str = r#"#!/bin/sh
cd "$SERVER" || exit 1
shift
case $1 in
create) [ ! -e "containers/$3" ] || { echo "the name $3 is in use" >&2; exit 1; }
    echo "$4" >"containers/$3" && echo "$3" ;;
rm) shift $(($# - 1)) && /usr/bin/rm "containers/$1" ;;
inspect) [ -e "containers/$2" ] ;;
cp) root=images/$(/usr/bin/cat "containers/${3%%:*}") path=${3#*:}
    case $path in
    */.) [ -d "$root${path%/.}" ] || { echo "no such directory" >&2; exit 1; }
        /usr/bin/tar -C "$root${path%/.}" -cf - . ;;
    *) [ -e "$root$path" ] || { echo "no such path" >&2; exit 1; }
        /usr/bin/tar -C "$root${path%/*}" -cf - "${path##*/}" ;;
    esac ;;
esac
"#;

/// Wraps a tool in the PATH and counts its calls. At the call `$KILL_AT` it ends everything, like a power failure. If
/// that call is a copy, its target is half written.
pub(super) const COUNTED: &str = r#"#!/bin/sh
tool=${0##*/}
exec 9<"$SERVER/calls" && flock 9 && read -r calls <"$SERVER/calls"
echo $((calls + 1)) >"$SERVER/calls"
exec 9<&-
if [ $((calls + 1)) = "${KILL_AT-}" ]; then
    case $tool$1 in
    cp-RP) "/usr/bin/$tool" "$@"; /usr/bin/find "$3" -type f -exec /usr/bin/truncate -s 1 {} + ;;
    esac
    kill -9 "-$GROUP"
fi
exec "/usr/bin/$tool" "$@"
"#;

pub(super) struct Server {
    pub(super) home: tempfile::TempDir,
}

/// In memory if possible, because the tests write many small files.
pub(super) fn home() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(super) fn program(path: PathBuf, text: &str) {
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Server {
    pub(super) fn new() -> Self {
        let home = home();
        shells::link(&home.path().join("bin"));
        for directory in ["images", "containers", "counted"] {
            fs::create_dir(home.path().join(directory)).unwrap();
        }
        program(home.path().join("bin/docker"), DOCKER);
        for tool in ["cp", "mv", "rm", "rmdir", "mkdir", "tar", "find", "chmod", "touch", "awk", "dd", "cat"]
        {
            program(home.path().join("counted").join(tool), COUNTED);
        }
        Self { home }
    }

    pub(super) fn tool(&self, name: &str, text: &str) {
        program(self.path("bin").join(name), text);
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    pub(super) fn image(&self, version: &str, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = self.path(&format!("images/app:{version}{PATH}/{name}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    /// A new run. No other test has its id: a script waits for processes with the id of the run before it.
    pub(super) fn scope(&self) -> Scope {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let run = format!("{:08x}{number:08x}{:016x}", std::process::id(), 0);
        Scope { names: Names::new("app", None), run, performer: "me".into() }
    }

    pub(super) fn prepare(&self, version: &str, running: &[&str]) -> Prepare {
        let running_on = |old: &&str| Running {
            image: format!("app:{old}"),
            volume: Some(Volume { directory: self.volume(old).display().to_string(), at: PATH.into() }),
        };
        Prepare {
            scope: self.scope(),
            role: "web".into(),
            image: format!("app:{version}"),
            version: version.into(),
            path: AssetPath { path: PATH.into(), mount_options: None },
            running: running.iter().map(running_on).collect(),
            in_use: running.contains(&version),
        }
    }

    pub(super) fn volume(&self, version: &str) -> PathBuf {
        self.path(&format!(".kamal/apps/app/assets/volumes/web-{version}"))
    }

    pub(super) fn extracted(&self, version: &str) -> PathBuf {
        self.path(&format!(".kamal/apps/app/assets/extracted/web-{version}"))
    }

    pub(super) fn earlier(&self, version: &str) -> PathBuf {
        self.path(&format!(".kamal/apps/app/assets/earlier/web-{version}"))
    }

    pub(super) fn names(&self, directory: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(&format!(".kamal/apps/app/assets/{directory}"))) else {
            return Vec::new();
        };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(super) fn command(&self, scope: &Scope, text: &str, umask: &str) -> Command {
        let mut command = Command::new("sh");
        let text = format!("export GROUP=$$\numask {umask}\n{}{text}", scope.claim());
        command.args(["-c", &text]).current_dir(self.home.path()).env("SERVER", self.home.path());
        let path = format!("{}/bin:{}", self.home.path().display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).stdin(Stdio::null());
        command
    }

    pub(super) fn run(&self, prepare: &Prepare) -> Output {
        self.command(&prepare.scope, &prepare.script().text, "077").output().unwrap()
    }

    /// Prepares assets, which must succeed and leave no temporary files.
    #[track_caller]
    pub(super) fn prepared(&self, version: &str, running: &[&str]) {
        self.well(&self.prepare(version, running));
    }

    #[track_caller]
    pub(super) fn well(&self, prepare: &Prepare) {
        let output = self.run(prepare);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        self.assert_tidy();
    }

    /// Checks that no temporary container or directory is left.
    #[track_caller]
    pub(super) fn assert_tidy(&self) {
        assert_eq!(fs::read_dir(self.path("containers")).unwrap().count(), 0, "a container is left");
        assert_eq!(self.names("new"), [""; 0]);
        let beside = |(name, _): &(&Vec<u8>, &String)| name.windows(9).any(|part| part == b".bowline-");
        for volume in self.names("volumes") {
            let tree = tree(&self.path(&format!(".kamal/apps/app/assets/volumes/{volume}")));
            assert!(!tree.iter().any(|entry| beside(&entry)), "in {volume}: {tree:?}");
        }
    }

    #[track_caller]
    pub(super) fn clean(&self, clean: &Clean) {
        let scope = self.scope();
        let prune = prune::Prune {
            scope: scope.clone(),
            roles: Vec::new(),
            retain: 5,
            repository: "app".into(),
            assets: vec![clean.clone()],
            ended: Vec::new(),
            unread: Vec::new(),
            parts: None,
        };
        let output = self.command(&scope, &prune.script().text, "022").output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
}

/// Everything in a directory: a file's content, `-> TARGET` for a link, `/` for a directory.
pub(super) fn tree(directory: &Path) -> BTreeMap<Vec<u8>, String> {
    fn walk(root: &Path, directory: &Path, found: &mut BTreeMap<Vec<u8>, String>) {
        for entry in fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display())) {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_symlink() {
                found.insert(name, format!("-> {}", path.read_link().unwrap().display()));
            } else if kind.is_dir() {
                found.insert(name, "/".into());
                walk(root, &path, found);
            } else {
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, &mut found);
    found
}

pub(super) fn content(directory: &Path, file: &str) -> String {
    fs::read_to_string(directory.join(file)).unwrap_or_else(|e| format!("{file}: {e}"))
}

pub(super) fn age(path: &Path, hours: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
}

pub(super) fn clean_but(keep: &[&str]) -> Clean {
    Clean {
        role: "web".into(),
        keep: keep.iter().map(|version| (*version).into()).collect(),
        siblings: Vec::new(),
        elsewhere: Vec::new(),
        helper: false,
    }
}

/// Prepares `v2` next to `v1` with counted tools. Returns the number of calls, or `None` if it was killed.
pub(super) fn counted(server: &Server, kill_at: usize) -> Option<usize> {
    let prepare = server.prepare("v2", &["v1"]);
    fs::write(server.path("calls"), "0\n").unwrap();
    let mut command = server.command(&prepare.scope, &prepare.script().text, "022");
    let home = server.home.path().display();
    command
        .env("PATH", format!("{home}/bin:{home}/counted:/usr/bin:/bin"))
        .env("KILL_AT", kill_at.to_string());
    let output = command.process_group(0).output().unwrap();
    if output.status.success() {
        return Some(fs::read_to_string(server.path("calls")).unwrap().trim().parse().unwrap());
    }
    assert_eq!(output.status.code(), None, "it was killed and did not fail: {output:?}");
    None
}

/// A server on which `v1` serves and `v2` can be deployed.
pub(super) fn v1_serves(files: usize) -> Server {
    let server = Server::new();
    for version in ["v1", "v2"] {
        for number in 0..files {
            server.image(version, &[(&format!("d/{number}-{version}.js"), "content")]);
        }
        server.image(version, &[("same", version)]);
    }
    server.prepared("v1", &[]);
    server
}
