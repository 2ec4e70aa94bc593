//! A server changes hands: what the run before still does there comes to its end first. Read by a real `sh`.

#![allow(clippy::unwrap_used)] // A test that can't go on has failed.

#[path = "common/shells.rs"]
mod shells;

use std::cell::Cell;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bowline_core::commands::{Scope, WAITS, lock};
use bowline_core::names::Names;

thread_local! {
    /// Whether the last claim said that it waits.
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

/// Takes the server; how long that took. A claim that waits says so.
fn claim(home: &Path, run: &str) -> Duration {
    let started = Instant::now();
    let output = shell(home, &scope(run).claim()).output().unwrap();
    assert!(output.status.success());
    let took = started.elapsed();
    let said = String::from_utf8(output.stdout).unwrap();
    SAID.set(said.trim_end() == WAITS);
    took
}

/// An id that no process of this machine has but those of one test.
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
        let mut script = start(home.path(), &format!("{}sleep 1.5; echo done > done", scope(&first).fence()));
        std::thread::sleep(Duration::from_millis(200));

        // A run that a hook of the first started: the server stays the first's, and nobody waits.
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
