//! After a restart, process 1 starts the newest available binary.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Daemon, PROXY, connect, get, proxy, target, until};

/// A script that prints this version, and otherwise does what `otherwise` says.
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
fn a_second_upgrade_is_refused_while_the_first_is_in_progress() {
    let daemon = Daemon::start();
    let (started, released) = (daemon.home.path().join("started"), daemon.home.path().join("released"));
    let waits = format!(
        ": >{}; until [ -e {} ]; do sleep 0.05; done; exec {PROXY} \"$@\"",
        started.display(),
        released.display()
    );
    let slow = binary(daemon.home.path(), "9999.0.0", &waits);
    let mut first = daemon.begin(&format!("upgrade {}", slow.display()));
    until("started", || started.exists());
    let second = daemon.command(&["upgrade", PROXY]);
    std::fs::write(&released, "").unwrap();
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains("another upgrade is in progress"), "{text}");
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_command_is_refused_while_an_upgrade_by_a_hangup_is_in_progress() {
    let home = tempfile::tempdir().unwrap();
    let [running, started, released] =
        ["running", "started", "released"].map(|name| home.path().join(name).display().to_string());
    let waits_the_second_time = format!(
        "if [ -e {running} ]; then : >{started}; until [ -e {released} ]; do sleep 0.05; done; fi\n\
         : >{running}; exec {PROXY} \"$@\""
    );
    let newer = binary(home.path(), "9999.0.0", &waits_the_second_time);
    let daemon = Daemon::start_with(home, &newer);
    daemon.signal("-HUP");
    until("started", || Path::new(&started).exists());
    let refused = daemon.command(&["upgrade", PROXY]);
    std::fs::write(&released, "").unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("another upgrade is in progress"), "{text}");
    daemon.line("Upgraded");
    daemon.upgrade("");
}

#[test]
fn a_command_that_comes_with_a_hangup_starts_its_binary_or_fails() {
    // Which of the two process 1 hears first is random.
    for _ in 0..8 {
        let daemon = Daemon::start();
        let mark = daemon.home.path().join("mark");
        let marks = format!(": >{}; exec {PROXY} \"$@\"", mark.display());
        let other = binary(daemon.home.path(), "9999.0.0", &marks);
        daemon.signal("-STOP");
        let upgrade = format!("upgrade {}", other.display());
        let mut commands = [daemon.begin(&upgrade), daemon.begin(&upgrade)];
        // Once one is refused, process 1 has been sent the other.
        until("refused", || commands.iter_mut().any(|command| command.try_wait().unwrap().is_some()));
        daemon.signal("-HUP");
        daemon.signal("-CONT");
        let succeeded = commands.map(|mut command| command.wait().unwrap().success());
        assert_ne!(succeeded[0], succeeded[1]);
        assert!(mark.exists(), "the command succeeded, but its binary was not started");
    }
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

/// A copy of the program that differs only in its version.
fn of_version_nine(home: &Path) -> (PathBuf, String) {
    let ours = env!("CARGO_PKG_VERSION");
    let later = format!("9{}", &ours[1..]);
    let mut program = std::fs::read(PROXY).unwrap();
    let number = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.');
    let mut at = 1;
    while at < program.len() {
        if program[at] == ours.as_bytes()[0]
            && program[at..].starts_with(ours.as_bytes())
            && !number(program.get(at - 1))
            && !number(program.get(at + ours.len()))
        {
            program[at] = b'9';
        }
        at += 1;
    }
    let path = home.join("version-nine");
    std::fs::write(&path, program).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    (path, format!("bowline-proxy {later}\n"))
}

#[test]
fn after_an_upgrade_commands_go_on_as_the_binary_that_runs() {
    let daemon = Daemon::start();
    let version = |word: &str| String::from_utf8(daemon.command(&[word]).stdout).unwrap();
    let ours = concat!("bowline-proxy ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!([version("version"), version("--version")], [ours, ours]);
    daemon.deploy(&target("hello"));
    let (later, theirs) = of_version_nine(daemon.home.path());
    daemon.ok(&format!("upgrade {}", later.display()));
    assert_eq!([version("version"), version("--version")], [theirs.as_str(), ours]);
    // Also after its file is gone.
    std::fs::remove_file(&later).unwrap();
    assert_eq!(version("version"), theirs);
    daemon.deploy(&target("again"));
    get(&mut connect(daemon.port), "again");
}

#[test]
fn commands_do_not_go_on_as_a_binary_that_others_can_write() {
    let daemon = Daemon::start();
    let (later, _) = of_version_nine(daemon.home.path());
    std::fs::set_permissions(&later, PermissionsExt::from_mode(0o777)).unwrap();
    daemon.ok(&format!("upgrade {}", later.display()));
    let version = daemon.command(&["version"]).stdout;
    assert_eq!(
        String::from_utf8(version).unwrap(),
        concat!("bowline-proxy ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
