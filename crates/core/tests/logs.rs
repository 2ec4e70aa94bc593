//! Runs the scripts of `logs` under a real `sh`, with a `docker` that prints a little and then waits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic fails the test.

#[path = "common/shells.rs"]
mod shells;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bowline_core::commands::logs::{Lines, Said, logs};
use tempfile::TempDir;

/// Prints two lines. With `--follow`, it then waits until the file `over` exists. Records its process id.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >call
echo $$ >pid
echo 'one ERROR'; echo 'two fine' >&2
case $* in *--follow*) until [ -e over ]; do sleep 0.05; done; echo 'three error' ;; esac
"#;

fn server() -> TempDir {
    let server = TempDir::new().unwrap();
    shells::link(server.path());
    let docker = server.path().join("docker");
    std::fs::write(&docker, DOCKER).unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
    server
}

fn start(server: &TempDir, lines: &Lines) -> Child {
    let path = format!("{}:/usr/bin:/bin", server.path().display());
    let mut sh = Command::new(server.path().join("sh"));
    sh.args(["-c", &logs("app-web-v1", lines).text]).current_dir(server.path()).env("PATH", path);
    sh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

fn said(child: Child) -> (Option<i32>, Vec<String>) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text.lines().map(str::to_owned).collect())
}

fn grep(pattern: &str, options: &[&str]) -> Lines {
    let grep_options = options.iter().map(|option| (*option).into()).collect();
    Lines { grep: Some(pattern.into()), grep_options, skip_timestamps: true, ..Lines::default() }
}

#[test]
fn lines_are_picked_as_grep_is_told() {
    shells::each(|| {
        let server = server();
        let all = Lines { since: Some("1h".into()), tail: Some(5), ..Lines::default() };
        assert_eq!(said(start(&server, &all)), (Some(0), vec!["one ERROR".into(), "two fine".into()]));
        let call = std::fs::read_to_string(server.path().join("call")).unwrap();
        assert_eq!(call, "logs --timestamps --since 1h --tail 5 app-web-v1\n");
        assert_eq!(said(start(&server, &grep("error", &[]))), (Some(0), vec![]));
        assert_eq!(said(start(&server, &grep("error", &["-i"]))).1, ["one ERROR"]);
        assert_eq!(said(start(&server, &grep("$(echo one)", &["-F", "-v"]))).1, ["one ERROR", "two fine"]);
        let wrong = grep("x", &["--no-such-flag"]);
        assert_eq!(said(start(&server, &wrong)).0, Some(1));
        let mut refused = start(&server, &Lines { follow: true, ..wrong });
        let _input = refused.stdin.take();
        let (status, said) = said(refused);
        let refused = said.iter().filter(|line| matches!(Said::heard(line), Some(Said::Refused(_)))).count();
        assert_eq!((status, said.len(), refused), (Some(2), 1, 1), "{said:?}");
    });
}

#[test]
fn a_followed_log_ends_with_its_container_and_says_when() {
    shells::each(|| {
        for (lines, expected) in [
            (Lines::default(), vec!["one ERROR", "two fine", "three error"]),
            (grep("error", &["-i"]), vec!["one ERROR", "three error"]),
            (grep("nothing", &[]), vec![]),
        ] {
            let server = server();
            let mut child = start(&server, &Lines { follow: true, ..lines });
            let input = child.stdin.take();
            std::fs::write(server.path().join("over"), "").unwrap();
            let (status, mut said) = said(child);
            drop(input);
            assert_eq!(status, Some(0));
            let Some(Said::Ended(at)) = Said::heard(&said.pop().unwrap()) else { panic!("{said:?}") };
            let at: u64 = at.parse().unwrap();
            assert!(at > 1_700_000_000);
            assert_eq!(said, expected);
        }
    });
}

#[test]
fn a_followed_log_ends_when_nobody_listens_any_more() {
    shells::each(|| {
        for lines in [Lines::default(), grep("nothing", &[])] {
            let server = server();
            let mut child = start(&server, &Lines { follow: true, ..lines });
            let pid = server.path().join("pid");
            let end = Instant::now() + Duration::from_secs(10);
            while std::fs::read_to_string(&pid).unwrap_or_default().trim().is_empty() {
                assert!(Instant::now() < end, "it never began");
                std::thread::sleep(Duration::from_millis(10));
            }
            drop(child.stdin.take());
            let output = BufReader::new(child.stdout.take().unwrap());
            let last = output.lines().last().unwrap().unwrap();
            assert!(matches!(Said::heard(&last), Some(Said::Ended(_))), "{last}");
            child.wait().unwrap();
            let docker = std::fs::read_to_string(&pid).unwrap();
            assert!(!std::path::Path::new(&format!("/proc/{}", docker.trim())).exists(), "docker is gone");
        }
    });
}
