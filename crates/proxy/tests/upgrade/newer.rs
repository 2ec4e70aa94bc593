//! After a restart, process 1 starts the newest binary at hand.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Daemon, PROXY, connect, get, proxy, target};

/// A binary that says it is of this version, and is ours for the rest.
fn binary(home: &Path, version: &str, otherwise: &str) -> PathBuf {
    let directory = home.join("upgrades");
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("bowline-proxy");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'bowline-proxy {version}'; exit; fi\n{otherwise}\n"
    );
    std::fs::write(&path, script).unwrap();
    for place in [&directory, &path] {
        std::fs::set_permissions(place, PermissionsExt::from_mode(0o755)).unwrap();
    }
    path
}

#[test]
fn a_newer_binary_is_started_and_an_older_one_is_not() {
    for (version, taken) in [("9999.0.0", true), ("0.0.0", false)] {
        let home = tempfile::tempdir().unwrap();
        let mark = home.path().join("mark");
        let newer = binary(home.path(), version, &format!(": >{}; exec {PROXY} \"$@\"", mark.display()));
        let daemon = Daemon::start_with(home, &newer);
        daemon.deploy(&target("hello"));
        get(&mut connect(daemon.port), "hello");
        assert_eq!(mark.exists(), taken, "{version}");
    }
}

#[test]
fn a_newer_binary_that_does_not_come_up_leaves_the_start_to_our_own() {
    let home = tempfile::tempdir().unwrap();
    let newer = binary(home.path(), "9999.0.0", "exit 3");
    let daemon = Daemon::start_with(home, &newer);
    daemon.deploy(&target("hello"));
    get(&mut connect(daemon.port), "hello");
}

#[test]
fn a_copy_of_the_program_is_installed_whole_and_for_its_owner_alone_to_write() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("bowline-proxy");
    std::fs::write(&path, "a former one").unwrap();
    let installed = proxy(home.path()).arg("install").arg(&path).status().unwrap();
    assert!(installed.success());
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(PROXY).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
    let refused = proxy(home.path()).args(["install", "/missing/bowline-proxy"]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.starts_with("Error: cannot install this program as /missing/bowline-proxy: "), "{text}");
}
