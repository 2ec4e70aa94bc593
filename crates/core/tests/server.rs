//! Runs the scripts that prepare a server under a real `sh`, on servers in different states.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic fails the test.

#[path = "common/shells.rs"]
mod shells;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bowline_core::commands::Scope;
use bowline_core::commands::exec::Mode;
use bowline_core::commands::server::{Answer, Bootstrap, OnServer, Refusal};
use bowline_core::commands::status::Status;
use bowline_core::names::Names;
use tempfile::TempDir;

/// A `docker` that works unless the file `denied` exists, and has the network if the file `network` exists.
const DOCKER: &str = r#"#!/bin/sh
echo "docker $*" >>calls
if [ -e down ]; then echo 'Cannot connect to the Docker daemon' >&2; exit 1; fi
if [ -e denied ]; then echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1; fi
case "$1 $2" in
'version --format') echo 26.1.5 ;;
'network inspect') [ -e network ] ;;
'network create') touch network ;;
esac
"#;
/// Prints an installer that puts Docker in the PATH.
const CURL: &str = "#!/bin/sh\n[ ! -e offline ] || { echo 'could not resolve host' >&2; exit 6; }\n\
    echo 'echo installing; [ ! -e broken ] || exit 3; mv hidden-docker bin/docker'\n";
const ID: &str = "#!/bin/sh\ncase $1 in -u) cat uid ;; -un) echo ada ;; -nG) cat groups ;; esac\n";
/// Only allows usermod.
const SUDO: &str = "#!/bin/sh\n[ -e sudoer ] || exit 1\nshift\ncase $1 in -*|usermod) ;; *) exit 1 ;; esac\n\
    [ \"$1\" != usermod ] || echo 'ada docker' >groups\n";

/// Path and text.
type Program = (&'static str, &'static str);

/// A server with these programs in addition to the usual ones.
fn server(programs: &[Program], files: &[&str]) -> TempDir {
    let server = TempDir::new().unwrap();
    let bin = server.path().join("bin");
    shells::link(&bin);
    for tool in ["mkdir", "grep", "sleep", "cat", "mv", "touch", "date", "cut"] {
        let real = ["/bin", "/usr/bin"].map(|at| Path::new(at).join(tool));
        symlink(real.iter().find(|path| path.exists()).unwrap(), bin.join(tool)).unwrap();
    }
    for (name, text) in programs {
        let path = server.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::write(server.path().join("uid"), if files.contains(&"user") { "1000" } else { "0" }).unwrap();
    std::fs::write(server.path().join("groups"), "ada").unwrap();
    for file in files {
        std::fs::write(server.path().join(file), "").unwrap();
    }
    server
}

fn sh(server: &TempDir, script: &str) -> Output {
    let mut command = Command::new(server.path().join("bin/sh"));
    command.args(["-c", script]).current_dir(server.path()).env_clear();
    command.env("PATH", server.path().join("bin")).env("SHELL", "/bin/sh").stdin(Stdio::null());
    command.output().unwrap()
}

fn bootstrap(server: &TempDir) -> (Option<i32>, String) {
    let output = sh(server, &Bootstrap.script().text);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

const HERE: Program = ("bin/docker", DOCKER);
const HIDDEN: Program = ("hidden-docker", DOCKER);
const CURL_HERE: Program = ("bin/curl", CURL);
const ID_HERE: Program = ("bin/id", ID);
const SUDO_HERE: Program = ("bin/sudo", SUDO);

#[test]
fn what_is_missing_is_made_once() {
    shells::each(|| {
        let server = server(&[HIDDEN, CURL_HERE, ID_HERE], &[]);
        let first = bootstrap(&server);
        assert_eq!(first, (Some(0), "@installing\n@installed\n@network\n@docker 26.1.5\n".into()));
        assert!(server.path().join(".kamal").is_dir());
        assert_eq!(bootstrap(&server), (Some(0), "@docker 26.1.5\n".into()));
    });
}

#[test]
fn a_user_with_sudo_installs_it_and_joins_the_group() {
    shells::each(|| {
        let server = server(&[HIDDEN, CURL_HERE, ID_HERE, SUDO_HERE], &["user", "sudoer", "denied"]);
        assert_eq!(bootstrap(&server), (Some(0), "@installing\n@installed\n@joined ada\n".into()));
        assert_eq!(std::fs::read_to_string(server.path().join("groups")).unwrap(), "ada docker\n");
        // The login still has its old groups. Nothing is done twice.
        std::fs::remove_file(server.path().join("sudoer")).unwrap();
        assert_eq!(bootstrap(&server), (Some(0), "@joined ada\n".into()));
        std::fs::remove_file(server.path().join("denied")).unwrap();
        assert_eq!(bootstrap(&server), (Some(0), "@network\n@docker 26.1.5\n".into()));
    });
}

#[test]
fn what_can_t_be_done_says_why_and_changes_nothing() {
    shells::each(|| {
        let wget = ("bin/wget", CURL);
        let cases: &[(&[Program], &[&str], Refusal)] = &[
            (&[HIDDEN, CURL_HERE, ID_HERE], &["user"], Refusal::NotRoot),
            (&[HIDDEN, CURL_HERE, ID_HERE, SUDO_HERE], &["user"], Refusal::NotRoot),
            (&[HIDDEN, ID_HERE], &[], Refusal::NoTool),
            (&[HIDDEN, CURL_HERE, ID_HERE], &["offline"], Refusal::NoInstaller),
            (&[HIDDEN, wget, ID_HERE], &["offline"], Refusal::NoInstaller),
            (&[HIDDEN, wget, ID_HERE], &["broken"], Refusal::Failed),
            (&[HERE, ID_HERE], &["user", "denied"], Refusal::NotInGroup),
        ];
        for (programs, files, refusal) in cases {
            let server = server(programs, files);
            let (status, said) = bootstrap(&server);
            let answer: Answer = said.parse().unwrap();
            assert_eq!((status, answer.refused), (Some(Status::Refused as i32), Some(*refusal)), "{said}");
            assert!(!server.path().join("network").exists());
        }
    });
}

#[test]
fn a_daemon_that_is_down_is_left_to_people() {
    shells::each(|| {
        let server = server(&[HERE, CURL_HERE, ID_HERE], &["down"]);
        let output = sh(&server, &Bootstrap.script().text);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
        assert!(String::from_utf8_lossy(&output.stderr).contains("Cannot connect to the Docker daemon"));
    });
}

#[test]
fn a_command_is_the_shell_s_to_read_and_its_status_is_its_own() {
    shells::each(|| {
        let server = server(&[], &[]);
        let on_server = |command: &str, mode| {
            let scope = Scope { names: Names::new("app", None), run: "f00d".into(), performer: "ada".into() };
            let command = OnServer { scope, host: "10.0.0.1".into(), command: command.into(), mode };
            sh(&server, &command.script().text)
        };
        let output = on_server("echo one | cat; echo \"it's\" >&2; exit 75", Mode::Gathered);
        let said = (output.stdout.as_slice(), output.stderr.as_slice());
        assert_eq!((output.status.code(), said), (Some(75), (b"one\n".as_slice(), b"it's\n".as_slice())));
        assert_eq!(on_server("exit 4", Mode::Terminal).status.code(), Some(4));
        let log = std::fs::read_to_string(server.path().join(".kamal/app-audit.log")).unwrap();
        assert!(log.contains("[ada] Executed cmd 'exit 4' on 10.0.0.1\n"), "{log}");
    });
}
