//! Closed standard streams, and programs of the project that never end.

#![allow(clippy::unwrap_used, reason = "a helper of tests stops the test")]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::project;

/// No server listens on port 1.
const CONFIG: &str = "service: shop
image: me/shop
servers: [127.0.0.1]
registry: {username: me, password: [PW]}
ssh: {port: 1}
timeouts: {hook: 1}
";

/// Runs a shell line in which `$0` is `bowline`. Returns its status and its output.
fn shell(project: &std::path::Path, line: &str) -> (Option<i32>, String) {
    let mut command = Command::new("sh");
    command.current_dir(project).env("HOME", project).args(["-c", line, env!("CARGO_BIN_EXE_bowline")]);
    let started = Instant::now();
    let output = command.output().unwrap();
    assert!(started.elapsed() < Duration::from_secs(30), "{line}");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn with_its_streams_closed_it_asks_nobody_and_ends() {
    let project = project(&[("config/deploy.yml", CONFIG), (".kamal/secrets", "PW=x\n")]);
    let run = |line: &str| shell(project.path(), line);
    let (status, said) = run("exec \"$0\" remove <&-");
    assert!(status == Some(2) && said.contains("`-y`"), "{status:?} {said}");
    let (status, said) = run("exec \"$0\" app exec -i sh <&-");
    assert!(status == Some(4) && said.contains("127.0.0.1:1 refused"), "{status:?} {said}");
    // Without a reader nothing is printed, but the status is the same.
    for closed in ["<&- >&- 2>&-", ">&-", "2>&-"] {
        let (status, said) = run(&format!("exec \"$0\" app details {closed}"));
        assert_eq!(status, Some(4), "{closed}: {said}");
        let (status, _) = run(&format!("exec \"$0\" config {closed}"));
        assert_eq!(status, Some(0), "{closed}");
    }
}

#[test]
fn a_hook_that_never_ends_is_given_up_with_all_it_started() {
    let hook = "#!/bin/sh\necho begins >&2\nsleep 301 & echo $! >child\nwait\n";
    let project = project(&[
        ("config/deploy.yml", CONFIG),
        (".kamal/secrets", "PW=x\n"),
        (".kamal/hooks/pre-connect", hook),
    ]);
    let (status, said) = shell(project.path(), "exec \"$0\" app details");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("begins"), "{said}");
    assert!(said.contains("hook pre-connect") && said.contains("did not finish within 1 s"), "{said}");
    let child = std::fs::read_to_string(project.path().join("child")).unwrap();
    let alive = || std::path::Path::new(&format!("/proc/{}/cmdline", child.trim())).exists();
    let until = Instant::now() + Duration::from_secs(5);
    while alive() {
        assert!(Instant::now() < until, "what it started lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
}
