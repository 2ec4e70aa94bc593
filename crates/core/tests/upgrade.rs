//! `proxy upgrade` on a server, under each shell, with a `docker` whose containers are directories.

#![allow(clippy::unwrap_used)] // A panic fails the test.

#[path = "common/shells.rs"]
mod shells;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bowline_core::commands::Scope;
use bowline_core::commands::status::Status;
use bowline_core::names::Names;
use bowline_core::proxy::kamal::container::{Ensure, Image, Replace};
use bowline_core::proxy::kamal::upgrade::{Found, InPlace, Look, UPGRADED, Way};
use bowline_core::proxy::takeover::Ports;
use bowline_core::shell::Script;

/// A program is a file with its version. `runs` has the version that runs.
const DOCKER: &str = r#"#!/bin/sh
kept=c/kamal-proxy/opt/bowline-proxy/bowline-proxy
case "$*" in
"image inspect bowline-proxy:v10.0.2.0") [ -e image ] ;;
"container inspect --format {{.ID}} kamal-proxy") echo abc ;;
"container inspect --format"*" kamal-proxy_old") exit 1 ;;
"container ls "* | "network inspect "*) ;;
"container inspect --format"*) printf '@image bowline-proxy:v10.0.1.0\n@status running\n' ;;
"container rm --force "*) rm -rf "c/$4" ;;
"container create --name kamal-proxy_next bowline-proxy:v10.0.2.0") mkdir c/kamal-proxy_next ;;
"container cp kamal-proxy_next:/usr/local/bin/bowline-proxy "*) echo 'bowline-proxy 0.2.0' >"$4" && chmod 755 "$4" ;;
"container cp "*" kamal-proxy:/") [ ! -e read-only ] || { echo 'container rootfs is marked read-only' >&2; exit 1; }
    cp -R "$3" c/kamal-proxy ;;
"exec kamal-proxy kamal-proxy version") cat runs ;;
"exec kamal-proxy kamal-proxy --version") echo 'bowline-proxy 0.1.0' ;;
"exec kamal-proxy /opt/bowline-proxy/bowline-proxy --version") cat $kept ;;
"exec kamal-proxy kamal-proxy upgrade "*) [ ! -e broken ] || { echo 'Error: it ended before it was ready' >&2; exit 1; }
    cat "c/kamal-proxy$5" >runs ;;
"exec --user 0 kamal-proxy "*" install "*) cp "c/kamal-proxy$5" "c/kamal-proxy$7" ;;
*) echo "what is $*" >&2; exit 99 ;;
esac
"#;

fn server() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let at = home.path();
    shells::link(&at.join("bin"));
    for directory in [".kamal/apps/app", "c/kamal-proxy", "tmp"] {
        fs::create_dir_all(at.join(directory)).unwrap();
    }
    for (file, text) in [(".kamal/apps/app/run", "f00d\n"), ("runs", "bowline-proxy 0.1.0\n"), ("image", "")]
    {
        fs::write(at.join(file), text).unwrap();
    }
    fs::write(at.join("bin/docker"), DOCKER).unwrap();
    fs::set_permissions(at.join("bin/docker"), fs::Permissions::from_mode(0o755)).unwrap();
    home
}

fn run(home: &Path, script: &Script) -> Output {
    let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", &script.sent()]).current_dir(home).env("PATH", path).env("TMPDIR", home.join("tmp"));
    command.stdin(Stdio::null()).output().unwrap()
}

fn ensure() -> Ensure {
    let scope = Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() };
    Ensure {
        scope,
        run: None,
        image: Image::Own,
        ports: Ports::Published,
        needs_own: None,
        own: "bowline-proxy:v10.0.2.0".into(),
    }
}

fn upgrade(home: &Path) -> (Option<i32>, String) {
    let output = run(home, &InPlace { ensure: ensure(), version: "0.2.0".into() }.script());
    for left in ["c/kamal-proxy_next", "tmp"] {
        let empty = fs::read_dir(home.join(left)).map_or(true, |mut files| files.next().is_none());
        assert!(empty, "{left} is left behind");
    }
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn look(home: &Path) -> Found {
    String::from_utf8(run(home, &Look { ensure: ensure() }.script()).stdout).unwrap().parse().unwrap()
}

#[test]
fn the_program_in_the_container_becomes_another_one_that_only_root_can_write() {
    shells::each(|| {
        let home = server();
        let at = home.path();
        let from = "bowline-proxy 0.1.0".to_owned();
        assert_eq!(look(at).way(), Way::InPlace { from, to: "0.2.0".into() });
        assert_eq!(upgrade(at), (Some(0), String::new()));
        assert_eq!(look(at).way(), Way::Already("bowline-proxy 0.2.0".into()));
        assert_eq!(fs::read_to_string(at.join(UPGRADED)).unwrap(), "abc 0.2.0\n");
        for path in ["opt", "opt/bowline-proxy", "opt/bowline-proxy/0.2.0"] {
            let mode = fs::metadata(at.join("c/kamal-proxy").join(path)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755, "{path}");
        }
    });
}

#[test]
fn one_that_was_ended_after_the_handover_only_sees_to_the_next_restart() {
    shells::each(|| {
        let home = server();
        let at = home.path();
        upgrade(at);
        let kept = at.join("c/kamal-proxy/opt/bowline-proxy/bowline-proxy");
        fs::remove_file(&kept).unwrap();
        // Nothing is copied or handed over again.
        fs::write(at.join("broken"), "").unwrap();
        assert_eq!(upgrade(at), (Some(0), String::new()));
        assert!(kept.exists());
    });
}

#[test]
fn what_does_not_work_leaves_the_old_one_with_the_reason() {
    shells::each(|| {
        let fails = |file: &str, status: i32, why: &str| {
            let home = server();
            let at = home.path();
            match file {
                "image" => fs::remove_file(at.join(file)).unwrap(),
                _ => fs::write(at.join(file), "").unwrap(),
            }
            let (code, said) = upgrade(at);
            assert_eq!((code, said.trim_end()), (Some(status), why));
            assert_eq!(fs::read_to_string(at.join("runs")).unwrap(), "bowline-proxy 0.1.0\n");
            assert_eq!(look(at).keeps.as_deref(), Some("0.1.0"), "a restart takes the old one, too");
        };
        fails("broken", 1, "Error: it ended before it was ready");
        fails("read-only", Status::NotInPlace as i32, "container rootfs is marked read-only");
        fails("image", Status::NoImage as i32, "");
    });
}

#[test]
fn a_reboot_stops_nothing_where_files_on_the_server_choose_a_proxy_that_would_ignore_keys() {
    shells::each(|| {
        let home = server();
        let at = home.path();
        fs::create_dir_all(at.join(".kamal/proxy")).unwrap();
        fs::write(at.join(".kamal/proxy/image"), "basecamp/kamal-proxy").unwrap();
        let ensure = Ensure { needs_own: Some("basic_auth"), ..ensure() };
        let output = run(at, &Replace { ensure }.script());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(Status::ProxyFailed.code() as i32), "{said}");
        let why = "`proxy boot-config` chose the image basecamp/kamal-proxy:v0.9.2 here, and `proxy: basic_auth` needs Bowline's own proxy";
        assert_eq!(said.trim_end(), why);
    });
}
