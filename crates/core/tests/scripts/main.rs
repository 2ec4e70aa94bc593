//! All scripts under real shells: each is well-formed with any values in the configuration.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic fails the test.

mod lock;
mod receive;
mod secrets;
#[path = "../common/shells.rs"]
mod shells;
mod steps;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use bowline_config::{Logging, Traefik};
use bowline_core::commands::env::{self, SecretEnv};
use bowline_core::plan::step::Step;
use bowline_core::proxy::traefik::container;
use bowline_core::proxy::{self, kamal};
use bowline_core::shell::{Input, Script};
use steps::{all_steps, boot, scope, secrets};

/// A directory with a `docker` that succeeds without doing anything.
fn server() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let docker = home.path().join("bin/docker");
    shells::link(docker.parent().unwrap());
    std::fs::write(&docker, "#!/bin/sh\nexit 0\n").unwrap();
    std::process::Command::new("chmod").arg("+x").arg(&docker).status().unwrap();
    home
}

fn sh(home: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    let path = format!("{}/bin:{}", home.display(), std::env::var("PATH").unwrap());
    command.args(["-c", line]).current_dir(home).env("PATH", path);
    command
}

#[test]
fn nothing_in_a_value_becomes_code() {
    shells::each(|| {
        for step in all_steps() {
            let home = server();
            let checked =
                sh(home.path(), &format!("sh -n -c {}", bowline_core::shell::quote(&step.script().text)))
                    .output()
                    .unwrap();
            assert!(
                checked.status.success(),
                "{}: {}",
                step.describe(),
                String::from_utf8_lossy(&checked.stderr)
            );
            // Runs it for real. The mark is this run's, so no fence stops it.
            let claim = sh(home.path(), &scope("f00d").claim()).status().unwrap();
            assert!(claim.success());
            let mut child =
                sh(home.path(), &format!("exec timeout 2 {}", &step.script().sent()["exec ".len()..]))
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
            // A script may end without reading its input.
            let _ = child.stdin.take().unwrap().write_all(step.script().input.expose());
            child.wait().unwrap();
            assert!(!home.path().join("hacked").exists(), "{} ran a value", step.describe());
        }
    });
}

#[test]
fn a_secret_is_in_no_command_line() {
    for step in all_steps() {
        let script = step.script();
        assert!(!script.sent().contains("sentinel-secret"), "{}", step.describe());
        assert!(!script.shown().contains("sentinel-secret"), "{}", step.describe());
    }
}

#[test]
fn a_later_run_fences_an_earlier_one_off() {
    shells::each(|| {
        for step in all_steps() {
            if matches!(
                step,
                Step::Observe(_)
                    | Step::Lock(_)
                    | Step::Prepare(_)
                    | Step::Exec(_)
                    | Step::OnServer(_)
                    | Step::Bootstrap(_)
                    | Step::Run(..)
                    | Step::Boot(_)
                    | Step::Proxy(proxy::Step::Kamal(kamal::Step::List | kamal::Step::Look(_)))
            ) {
                continue;
            }
            let home = server();
            assert!(sh(home.path(), &scope("later").claim()).status().unwrap().success());
            let status = sh(home.path(), &step.script().sent()).stderr(Stdio::null()).status().unwrap();
            assert_eq!(status.code(), Some(75), "{}", step.describe());
        }
    });
}

#[test]
fn an_env_file_is_pushed_whole_and_for_its_owner_alone_and_deleted_with_all_beside_it() {
    shells::each(|| {
        let home = server();
        let scope = scope("f00d");
        assert!(sh(home.path(), &scope.claim()).status().unwrap().success());
        let path = scope.names.env_file("web");
        let at = home.path().join(&path);
        let run = |secret| {
            let script =
                env::EnvFile { scope: scope.clone(), role: Some("web".into()), path: path.clone(), secret };
            let Script { text, input, .. } = script.script();
            let mut child = sh(home.path(), &text).stdin(Stdio::piped()).spawn().unwrap();
            if let Input::Secret(secret) = input {
                child.stdin.as_mut().unwrap().write_all(secret.expose().as_bytes()).unwrap();
            }
            assert!(child.wait().unwrap().success());
        };
        let there = || {
            let mut names: Vec<String> = std::fs::read_dir(at.parent().unwrap())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        run(Some(secrets()));
        assert_eq!(std::fs::read_to_string(&at).unwrap(), "KEY=sentinel-secret\n");
        assert_eq!(std::fs::metadata(&at).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!((there(), secrets().left_out()), (vec!["web.env".to_owned()], vec!["PEM"]));
        std::fs::write(at.with_extension("env.export"), "left by a run that was killed").unwrap();
        run(None);
        assert_eq!(there(), [""; 0]);
    });
}

#[test]
fn the_run_line_is_the_one_kamal_would_send() {
    insta::assert_snapshot!(boot().run_line().as_str().replace(" --", "\n--"));
    let ensure = container::Ensure {
        scope: scope("f00d"),
        traefik: Traefik::default(),
        secret: SecretEnv::default(),
        logging: Logging::default(),
    };
    insta::assert_snapshot!(ensure.run_line().as_str().replace(" --", "\n--"));
}

/// Shell variables without our prefix that a script may set.
const NOT_OURS: [&str; 2] = ["IFS", "LC_ALL"];

#[test]
fn variables_of_scripts_have_a_name_that_no_user_gives_one() {
    // What precedes the beginning of a command, as opposed to a word in one.
    let begins = [
        "\n", "; ", "&& ", "|| ", "| ", "{ ", "( ", "(", "do ", "then ", "else ", ") ", "if ", "until ",
        "while ",
    ];
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let mut seen = 0;
    for step in all_steps() {
        let text = format!("\n{}", step.script().text);
        let mut names: Vec<&str> = Vec::new();
        for (at, _) in text.match_indices('=') {
            let before = &text[..at];
            let start =
                before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |at| at + 1);
            let (head, name) = before.split_at(start);
            if is_name(name) && begins.iter().any(|begin| head.ends_with(begin)) {
                names.push(name);
            }
        }
        for word in ["read -r ", "\nfor ", "; for "] {
            for (at, _) in text.match_indices(word) {
                let rest = text[at + word.len()..].split([';', '\n']).next().unwrap_or_default();
                names.extend(rest.split(' ').take_while(|name| is_name(name) && *name != "in"));
            }
        }
        for name in names {
            seen += 1;
            let ours =
                name.starts_with("bowline_") || name.starts_with("BOWLINE_") || NOT_OURS.contains(&name);
            assert!(ours, "{}: `{name}`", step.describe());
        }
    }
    assert!(seen > 100, "only {seen} were found");
}
