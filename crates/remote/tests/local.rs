//! Programs and files on this machine.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bowline_config::secret::Secret;
use bowline_engine::ports::{Exit, Files, Line, Local, LocalCommand, Output, PathKind};
use bowline_remote::LocalMachine;

fn sh(text: &str) -> LocalCommand {
    LocalCommand { words: vec!["/bin/sh".into(), "-c".into(), text.into()], ..LocalCommand::default() }
}

async fn run(command: &LocalCommand) -> Result<Output, String> {
    LocalMachine::default().run(command, &|_| {}).await
}

fn alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[tokio::test]
async fn data_comes_in_pieces_and_a_failure_says_why() {
    let all = async |text: &str| {
        let (mut pieces, mut bytes) = (LocalMachine::default().pieces(&sh(text)), Vec::new());
        loop {
            match pieces.next().await {
                Ok(Some(piece)) => bytes.extend(piece),
                Ok(None) => return (bytes, None),
                Err(reason) => return (bytes, Some(reason)),
            }
        }
    };
    let (bytes, failed) = all("echo note >&2; head -c 1000000 /dev/zero; sleep 30 >/dev/null 2>&1 &").await;
    assert_eq!((bytes.len(), failed), (1_000_000, None));
    let (bytes, failed) = all("printf some; echo 'no such image' >&2; exit 3").await;
    assert_eq!((&*bytes, failed.as_deref()), (&b"some"[..], Some("no such image")));
    assert_eq!(all("kill -KILL $$").await.1.as_deref(), Some("killed by SIGKILL"));
    let absent = LocalCommand { words: vec!["/absent/program".into()], ..LocalCommand::default() };
    let reason = LocalMachine::default().pieces(&absent).next().await.unwrap_err();
    assert!(reason.contains("is not installed"), "{reason}");

    let mut pieces = LocalMachine::default().pieces(&sh("echo $$; sleep 30"));
    let pid = String::from_utf8(pieces.next().await.unwrap().unwrap()).unwrap().trim().to_owned();
    drop(pieces);
    let ended = async {
        while alive(&pid) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
}

#[tokio::test]
async fn status_output_input_variables_and_directory() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = sh("cat; echo \"$NAME\"; pwd; echo oops >&2; exit 4");
    command.env = vec![("NAME".into(), Secret::new("value"))];
    command.input = Some(Secret::new("in\n"));
    command.directory = Some(directory.path().to_owned());
    let seen = Mutex::new(Vec::new());
    let note = |line: Line<'_>| {
        if let Line::Out(text) = line {
            seen.lock().unwrap().push(text.to_owned());
        }
    };
    let output = LocalMachine::default().run(&command, &note).await.unwrap();
    let place = directory.path().canonicalize().unwrap().display().to_string();
    assert_eq!(output.exit, Exit::Status(4));
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        (&*format!("in\nvalue\n{place}\n"), "oops\n")
    );
    assert_eq!(seen.into_inner().unwrap(), ["in", "value", &place]);
    assert_eq!(run(&sh("cat; kill -TERM $$")).await.unwrap().exit, Exit::Signal("TERM".into()));
}

#[tokio::test]
async fn what_cannot_be_started() {
    let command = LocalCommand { words: vec!["no-such-program".into()], ..LocalCommand::default() };
    assert!(run(&command).await.unwrap_err().contains("no-such-program is not installed"));
    assert!(run(&LocalCommand::default()).await.is_err());
}

#[tokio::test]
async fn much_input_that_nobody_reads_and_much_output() {
    let mut command = sh("exit 3");
    command.input = Some(Secret::new("x".repeat(5_000_000)));
    assert_eq!(run(&command).await.unwrap().exit, Exit::Status(3));
    let error = run(&sh("head -c 20000000 /dev/zero")).await.unwrap_err();
    assert!(error.contains("printed more than"), "{error}");
}

#[tokio::test]
async fn dropped_it_ends_with_all_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pids").display().to_string();
    // One child ignores SIGTERM.
    let text = format!("sh -c 'trap \"\" TERM; echo $$ >> {file}; sleep 60' & echo $$ >> {file}; wait");
    let cut = tokio::time::timeout(Duration::from_millis(500), run(&sh(&text))).await;
    assert!(cut.is_err());
    let pids = std::fs::read_to_string(&file).unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    assert_eq!(pids.lines().count(), 2);
    while pids.lines().any(alive) {
        assert!(Instant::now() < until, "still there: {pids}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_it_leaves_in_the_background_is_not_waited_for_and_stays() {
    let began = Instant::now();
    let output = run(&sh("sleep 30 & echo $!")).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    let pid = output.stdout.trim();
    // A signal would take a moment to arrive.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(alive(pid));
    assert!(run(&sh(&format!("kill {pid}"))).await.unwrap().success());
}

#[test]
fn files_and_chance() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("text"), "text").unwrap();
    assert_eq!(LocalMachine::default().read(&path("text")), Ok(Some("text".into())));
    assert_eq!(LocalMachine::default().read(&path("none")), Ok(None));
    let refused = LocalMachine::default().read(&path("")).unwrap_err();
    assert_eq!(refused, format!("can't read {}: Is a directory", path("")));
    std::fs::write(path("latin"), b"a\nb\xe9\n").unwrap();
    let refused = LocalMachine::default().read(&path("latin")).unwrap_err();
    assert_eq!(refused, format!("{} is not UTF-8 text (line 2)", path("latin")));
    assert!(LocalMachine::default().read(&path("")).is_err());
    assert_eq!(LocalMachine::default().kind(&path("text")), Some(PathKind::File));
    assert_eq!(LocalMachine::default().kind("/bin/sh"), Some(PathKind::Program));
    assert_eq!(LocalMachine::default().kind(&path("none")), None);
    assert_eq!(LocalMachine::default().kind("/"), Some(PathKind::Directory));
    assert_eq!(LocalMachine::default().create(&path("a/b/new"), "text", true), Ok(true));
    assert_eq!(LocalMachine::default().create(&path("a/b/new"), "other", false), Ok(false));
    assert_eq!(LocalMachine::default().read(&path("a/b/new")), Ok(Some("text".into())));
    assert_eq!(LocalMachine::default().kind(&path("a/b/new")), Some(PathKind::Program));
    assert_eq!(
        (LocalMachine::default().exists(&path("a/b")), LocalMachine::default().exists(&path("a/c"))),
        (true, false)
    );
    assert!(LocalMachine::default().create(&path("text/new"), "", false).unwrap_err().contains("text/new"));
    let (one, two) = (LocalMachine::default().random_hex(16), LocalMachine::default().random_hex(16));
    assert!(one.len() == 32 && one != two && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(LocalMachine::default().now() > 1_700_000_000);
}

fn program(directory: &std::path::Path, name: &str, text: &[u8]) -> LocalCommand {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    LocalCommand { words: vec![path.display().to_string(), "an argument".into()], ..LocalCommand::default() }
}

#[tokio::test]
async fn a_script_without_a_first_line_is_run_by_sh_and_one_with_a_wrong_one_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let output = run(&program(at, "plain", b"echo \"$1\"; exit 3\n")).await.unwrap();
    assert_eq!((output.stdout.as_str(), output.exit), ("an argument\n", Exit::Status(3)));
    let error = run(&program(at, "windows", b"#!/bin/sh\r\necho x\r\n")).await.unwrap_err();
    assert!(error.contains(r#"needs "/bin/sh\r", which is not installed"#), "{error}");
    let error = run(&program(at, "none", b"#!/no/such/thing -x\necho x\n")).await.unwrap_err();
    assert!(error.contains(r#""/no/such/thing""#), "{error}");
    let error = run(&program(at, "foreign", b"\x7fELF\0\0\0\0nothing")).await.unwrap_err();
    assert!(error.contains("can't be started"), "{error}");
}

#[tokio::test]
async fn variables_can_be_left_out() {
    let mut command = sh("echo \"<$HOME>\"");
    command.without = vec!["HOME".into()];
    assert_eq!(run(&command).await.unwrap().stdout, "<>\n");
}

#[test]
fn a_file_is_held_by_one_until_it_is_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/on the way.lock").display().to_string();
    let held = LocalMachine::default().hold(&path).unwrap().unwrap();
    assert!(LocalMachine::default().hold(&path).unwrap().is_none());
    drop(held);
    assert!(LocalMachine::default().hold(&path).unwrap().is_some());
    let error = LocalMachine::default().hold("/proc/no such place/x").err().unwrap();
    assert!(error.contains("/proc/no such place/x"), "{error}");
}
