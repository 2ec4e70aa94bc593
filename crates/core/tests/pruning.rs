//! Several roles and apps prune on one server. Docker runs only one prune at a time.

#![allow(clippy::unwrap_used)] // A panic fails the test.

#[path = "common/shells.rs"]
mod shells;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use bowline_core::commands::Scope;
use bowline_core::commands::remove::{Remove, What};
use bowline_core::names::Names;

/// For `turns` calls, another prune keeps Docker busy. With `broken`, Docker fails for another reason.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>calls
[ ! -e broken ] || { echo 'Cannot connect to the Docker daemon' >&2; exit 1; }
left=$(cat turns); [ "$left" -gt 0 ] || { echo 'Total reclaimed space: 0B'; exit 0; }
echo $((left - 1)) >turns
echo 'Error response from daemon: a prune operation is already running' >&2; exit 1
"#;

/// Removes a role's stopped containers. Returns the output and the number of calls of `docker`.
fn removed(files: &[(&str, &str)]) -> (Output, usize) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("bin")).unwrap();
    shells::link(&at("bin"));
    fs::write(at("bin/docker"), DOCKER).unwrap();
    fs::set_permissions(at("bin/docker"), PermissionsExt::from_mode(0o755)).unwrap();
    for (name, content) in files {
        fs::write(at(name), content).unwrap();
    }
    let scope = Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() };
    fs::create_dir_all(at(".kamal/apps/app")).unwrap();
    fs::write(at(".kamal/apps/app/run"), "f00d\n").unwrap();
    let script = Remove { scope, what: What::Containers("web".into()) }.script();
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new(at("bin/sh"));
    shell.args(["-c", &*script.text]).env("PATH", path).current_dir(directory.path());
    let output = shell.output().unwrap();
    (output, fs::read_to_string(at("calls")).unwrap_or_default().lines().count())
}

#[test]
fn a_prune_waits_for_another_one_to_end() {
    shells::each(|| {
        let (output, calls) = removed(&[("turns", "2\n")]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(calls, 3, "{output:?}");
    });
}

#[test]
fn a_prune_that_fails_otherwise_is_not_repeated() {
    shells::each(|| {
        let (output, calls) = removed(&[("turns", "0\n"), ("broken", "")]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), calls), (Some(1), 1), "{output:?}");
        assert!(said.contains("Cannot connect to the Docker daemon"), "{said}");
    });
}
