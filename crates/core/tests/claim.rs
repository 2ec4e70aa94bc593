//! A new run claims a server: scripts of the previous run end first. Runs under real shells.

#![allow(clippy::unwrap_used)] // A panic fails the test.

#[path = "common/shells.rs"]
mod shells;

use std::cell::Cell;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bowline_config::secret::Secret;
use bowline_core::commands::registry::{Receive, Served, Way};
use bowline_core::commands::{Scope, WAITS, lock};
use bowline_core::names::Names;

thread_local! {
    /// Whether the last claim reported that it waits.
    static SAID: Cell<bool> = const { Cell::new(false) };
}

fn scope(run: &str) -> Scope {
    Scope { names: Names::new("app", None), run: run.into(), performer: "me".into() }
}

fn shell(home: &Path, script: &str) -> Command {
    let mut command = Command::new(home.join("bin/sh"));
    command.args(["-c", script]).current_dir(home).stdin(Stdio::piped());
    command
}

fn start(home: &Path, script: &str) -> Child {
    shell(home, script).stdout(Stdio::null()).spawn().unwrap()
}

/// Claims the server and returns how long that took. Records whether the claim waited.
fn claim(home: &Path, run: &str) -> Duration {
    let started = Instant::now();
    let output = shell(home, &scope(run).claim()).output().unwrap();
    assert!(output.status.success());
    let took = started.elapsed();
    let said = String::from_utf8(output.stdout).unwrap();
    SAID.set(said.trim_end() == WAITS);
    took
}

/// A run id that no process outside of this test has.
fn id(digit: char) -> String {
    format!("{:08x}{}", std::process::id(), digit.to_string().repeat(24))
}

#[test]
fn what_the_run_before_began_is_waited_for_and_its_hooks_runs_and_keeper_are_not() {
    shells::each(|| {
        let home = tempfile::tempdir().unwrap();
        shells::link(&home.path().join("bin"));
        let (first, later) = (id('a'), id('b'));
        claim(home.path(), &first);
        let keep = lock::Keep { scope: scope(&first), details: "Locked by: me".into() };
        let mut keeper = start(home.path(), &keep.script().sent());
        let mut script = start(home.path(), &format!("{}sleep 2.5; echo done > done", scope(&first).fence()));
        std::thread::sleep(Duration::from_millis(200));

        // A run that a hook of the first run started keeps the mark and doesn't wait.
        let of_hook = format!("{}{}", &first[..16], &later[16..]);
        assert!(claim(home.path(), &of_hook) < Duration::from_secs(1));
        assert!(start(home.path(), &scope(&first).fence()).wait().unwrap().success());

        claim(home.path(), &first);
        assert!(!SAID.get());
        assert!(claim(home.path(), &later) > Duration::from_millis(300));
        assert!(SAID.get(), "it says that it waits");
        assert!(home.path().join("done").exists(), "it was let come to its end");
        assert_eq!(script.wait().unwrap().code(), Some(0));
        assert_eq!(keeper.try_wait().unwrap(), None, "the keeper ends with its connection");
        assert_eq!(start(home.path(), &scope(&first).fence()).wait().unwrap().code(), Some(75));
        assert!(claim(home.path(), &first) < Duration::from_secs(1), "nothing of the later one runs");
        drop(keeper.stdin.take());
        keeper.wait().unwrap();
    });
}

#[test]
fn an_image_that_comes_no_more_is_not_waited_for() {
    const DOCKER: &str =
        "#!/bin/sh\ncase $* in *pull*) echo $$ >pull; exec sleep 100 ;; version*) echo amd64 ;; esac\n";
    shells::each(|| {
        let home = tempfile::tempdir().unwrap();
        let at = home.path();
        shells::link(&at.join("bin"));
        std::fs::write(at.join("bin/docker"), DOCKER).unwrap();
        std::fs::set_permissions(at.join("bin/docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (first, later) = (id('d'), id('e'));
        claim(at, &first);
        let served = Served { port: 40_000, auth: Secret::new("x"), architectures: vec!["amd64".into()] };
        let receive = Receive {
            scope: scope(&first),
            locked: true,
            image: "app:v1".into(),
            version: "v1".into(),
            way: Way::Pull(served),
        };
        let path = format!("{}:{}", at.join("bin").display(), std::env::var("PATH").unwrap());
        let mut pulling =
            shell(at, &receive.script().sent()).env("PATH", path).stdout(Stdio::null()).spawn().unwrap();
        pulling.stdin.take().unwrap().write_all(b"x\n").unwrap();
        let pull = || std::fs::read_to_string(at.join("pull")).unwrap_or_default().trim().to_owned();
        let until = Instant::now() + Duration::from_secs(20);
        while pull().is_empty() {
            assert!(Instant::now() < until, "it doesn't pull");
            std::thread::sleep(Duration::from_millis(20));
        }
        claim(at, &later);
        assert_eq!(pulling.try_wait().unwrap().and_then(|status| status.code()), Some(143));
        assert!(!Path::new("/proc").join(pull()).exists(), "Docker still asks for it");
    });
}

#[test]
fn a_mark_that_is_no_id_ends_nothing() {
    shells::each(|| {
        let home = tempfile::tempdir().unwrap();
        shells::link(&home.path().join("bin"));
        std::fs::create_dir_all(home.path().join(".kamal/apps/app")).unwrap();
        for mark in ["", "sh", "sleep", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"] {
            std::fs::write(home.path().join(".kamal/apps/app/run"), mark).unwrap();
            let mut other = start(home.path(), &format!("read -r line; : {mark}"));
            assert!(claim(home.path(), &id('c')) < Duration::from_secs(2));
            assert_eq!(other.try_wait().unwrap(), None, "{mark:?}");
            other.kill().unwrap();
            other.wait().unwrap();
        }
    });
}
